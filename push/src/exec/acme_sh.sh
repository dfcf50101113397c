# Calls the deploy function of an acme.sh hook: sh -c THIS deploy HOOK DOMAIN KEY CERT CA FULLCHAIN.
# The hook is sourced unchanged; what hooks expect from acme.sh itself is below (requests need curl).
# Settings come from the environment only, so saving one does nothing.
hook=$1
shift
name=$(basename "$hook" .sh)

_debug() { :; }
_debug2() { :; }
_debug3() { :; }
_secure_debug() { :; }
_secure_debug2() { :; }
_secure_debug3() { :; }
_info() { printf '%s\n' "$*"; }
_err() { printf '%s\n' "$*" >&2; return 1; }
_exists() { command -v "$1" >/dev/null 2>&1; }
_getdeployconf() { :; }
_savedeployconf() { :; }
_cleardeployconf() { :; }
_migratedeployconf() { :; }
_readdomainconf() { :; }
_savedomainconf() { :; }
_cleardomainconf() { :; }
_readaccountconf_mutable() { eval "printf '%s' \"\${$1}\""; }
_saveaccountconf_mutable() { :; }
_clearaccountconf() { :; }
_startswith() { case $1 in "$2"*) return 0 ;; *) return 1 ;; esac; }
_endswith() { case $1 in *"$2") return 0 ;; *) return 1 ;; esac; }
_contains() { printf '%s\n' "$1" | grep -q -- "$2"; }
_egrep_o() { grep -Eo -- "$1"; }
_upper_case() { tr '[:lower:]' '[:upper:]'; }
_lower_case() { tr '[:upper:]' '[:lower:]'; }
_head_n() { head -n "$1"; }
_tail_n() { tail -n "$1"; }
_time() { date +%s; }
_utc_date() { date -u '+%Y-%m-%d %H:%M:%S'; }
_mktemp() { mktemp; }
_sleep() { sleep "$1"; }
_math() { printf '%s' "$(($*))"; }
_base64() { if [ "$1" ]; then base64; else base64 | tr -d '\r\n'; fi; }
_dbase64() { base64 -d; }
_getfield() { printf '%s\n' "$1" | cut -d "${3:-,}" -f "$2"; }
_hasfield() { case "${3:-,}$1${3:-,}" in *"${3:-,}$2${3:-,}"*) return 0 ;; *) return 1 ;; esac; }
_json_encode() { sed 's/\\/\\\\/g; s/"/\\"/g' | awk '{ printf "%s\\n", $0 }'; }
_json_decode() { sed 's/\\"/"/g; s/\\\\/\\/g'; }
_digest() { openssl dgst -"$1" ${2:+-hex} | sed 's/^.*= //'; }
_url_encode() {
  od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g' | tr 'a-f' 'A-F'
}

# Headers are in _H1 to _H5; those of the answer go to the file HTTP_HEADER.
HTTP_HEADER=$(mktemp)
trap 'rm -f "$HTTP_HEADER"' EXIT
_request() {
  curl --silent --show-error --location --dump-header "$HTTP_HEADER" ${HTTPS_INSECURE:+--insecure} \
    ${_H1:+--header "$_H1"} ${_H2:+--header "$_H2"} ${_H3:+--header "$_H3"} \
    ${_H4:+--header "$_H4"} ${_H5:+--header "$_H5"} "$@"
}
# _get URL [only the headers] [seconds]
_get() {
  if [ "$2" ]; then
    _request ${3:+--max-time "$3"} --head "$1"
  else
    _request ${3:+--max-time "$3"} "$1"
  fi
}
# _post BODY URL [answer in base64] [method] [content type]. The body may be a key: it is piped, since
# everybody sees the arguments of processes.
_post() {
  _answer=$(mktemp)
  printf '%s' "$1" | _request --output "$_answer" --request "${4:-POST}" \
    ${5:+--header "Content-Type: $5"} --data-binary @- "$2"
  _status=$?
  if [ "$3" ]; then base64 <"$_answer" | tr -d '\n'; else cat "$_answer"; fi
  rm -f "$_answer"
  return "$_status"
}

. "$hook" || exit 1
"${name}_deploy" "$@"
