# Calls the deploy function of an acme.sh hook: sh -c THIS deploy HOOK DOMAIN KEY CERT CA FULLCHAIN.
# The hook is sourced unchanged; what it expects from acme.sh itself and needs no network is below.
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
_readdomainconf() { :; }
_savedomainconf() { :; }
_startswith() { case $1 in "$2"*) return 0 ;; *) return 1 ;; esac; }
_endswith() { case $1 in *"$2") return 0 ;; *) return 1 ;; esac; }
_contains() { printf '%s' "$1" | grep -q -- "$2"; }
_upper_case() { tr '[:lower:]' '[:upper:]'; }
_lower_case() { tr '[:upper:]' '[:lower:]'; }
_head_n() { head -n "$1"; }
_tail_n() { tail -n "$1"; }
_time() { date +%s; }
_utc_date() { date -u '+%Y-%m-%d %H:%M:%S'; }
_mktemp() { mktemp; }
_math() { printf '%s' "$(($*))"; }
_base64() { if [ "$1" ]; then base64; else base64 | tr -d '\r\n'; fi; }
_dbase64() { base64 -d; }
_getfield() { printf '%s\n' "$1" | cut -d "${3:-,}" -f "$2"; }
_hasfield() { case "${3:-,}$1${3:-,}" in *"${3:-,}$2${3:-,}"*) return 0 ;; *) return 1 ;; esac; }

. "$hook" || exit 1
"${name}_deploy" "$@"
