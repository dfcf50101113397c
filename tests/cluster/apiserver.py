#!/usr/bin/env python3
"""An API server for tests: as much of the Kubernetes API as certificates need, and no cluster behind
it. Server-side apply, watches, RBAC and errors answer as the documentation has it, and as kubectl and
Traefik take it; what is not here answers 404 or 415. It reads JSON only.

    apiserver.py DIRECTORY

prints `ready URL`. In the directory it makes ca.crt, and kubeconfigs for the users `admin` (may do
everything) and `perennial` (may do what rbac.json says). Tests steer it by files there, read with each
request: tokens.json, rbac.json, faults.json.
"""

import collections
import copy
import http.server
import json
import pathlib
import ssl
import sys
import threading
import time
import urllib.parse

import rbac
import signing
from resources import PATH, RESOURCES, Target, discovery
from setting import kubeconfig, make_certificate
from store import Refused, Store

SECRET_FIELDS = {"apiVersion", "kind", "metadata", "type", "data", "stringData", "immutable"}
SUBRESOURCES = {"certificatesigningrequests": ["", "status", "approval"]}
METADATA = "as=PartialObjectMetadata"


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, directory):
        super().__init__(("127.0.0.1", 0), Handler)
        self.directory, self.store, self.failed = directory, Store(), collections.Counter()
        url = f"https://127.0.0.1:{self.server_port}"
        make_certificate(directory)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "server.crt", directory / "server.key")
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        tokens = {
            f"{user}-token": {"user": user, "groups": groups}
            for user, groups in (("admin", ["system:masters"]), ("perennial", []))
        }
        for name, content in (("tokens", tokens), ("rbac", {}), ("faults", {})):
            (directory / f"{name}.json").write_text(json.dumps(content))
        for user in ("admin", "perennial"):
            (directory / f"{user}.token").write_text(f"{user}-token")
            (directory / f"{user}.kubeconfig").write_text(kubeconfig(url, user))
        for namespace in ("default", "web"):
            made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            self.store.write(("namespaces", None, namespace), "apiserver", made)
        self.url = url

    def said(self, name):
        """What a file of the tests says now. They replace it by a rename, so it is always whole."""
        return json.loads((self.directory / f"{name}.json").read_text())

    def handle_error(self, request, client_address):
        """Clients that hang up are none of our business."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 300

    def do_GET(self):
        self.answer_with(self.read)

    def do_POST(self):
        self.answer_with(self.create)

    def do_PUT(self):
        self.answer_with(self.replace)

    def do_PATCH(self):
        self.answer_with(self.patch)

    def do_DELETE(self):
        self.answer_with(self.delete)

    def answer_with(self, method):
        url = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        self.body = self.read_body()
        try:
            self.user = self.authenticate()
            method(url.path)
        except Refused as refused:
            extra = {}
            if refused.code == 429:
                extra["Retry-After"] = str(refused.details.get("retryAfterSeconds", 1))
            self.send_json(refused.code, refused.status(), extra)

    def read_body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def send_json(self, code, value, extra=None):
        if code < 400 and METADATA in self.headers.get("Accept", "").split(",")[0]:
            value = only_metadata(value)
        body = json.dumps(value).encode() + b"\n"
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, text in (extra or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    # --- who, and whether ---

    def authenticate(self):
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        known = self.server.said("tokens").get(token)
        if known is None or known.get("expires", float("inf")) < time.time():
            raise Refused(401, "Unauthorized", "Unauthorized")
        return known

    def authorize(self, verb, target):
        if "system:masters" in self.user.get("groups", []):
            return
        user = self.user["user"]
        for rule in self.server.said("rbac").get(user, []):
            names = rule.get("names")
            if (
                verb in rule["verbs"]
                and target.plural in rule["resources"]
                and target.namespace in rule.get("namespaces", [target.namespace])
                and (names is None or target.name in names)
            ):
                return
        if rbac.allows(self.server.store, user, verb, target):
            return
        where = f' in the namespace "{target.namespace}"' if target.namespace else ""
        what = f'{target.plural} "{target.name}"' if target.name else target.plural
        raise Refused(
            403,
            "Forbidden",
            f'{what} is forbidden: User "{user}" cannot {verb} resource "{target.plural}"'
            f' in API group "{target.group}"{where}',
        )

    def target(self, path, verb):
        matched = PATH.match(path)
        part = (matched["rest"] or "").removeprefix("/") if matched else ""
        if matched is None or part not in SUBRESOURCES.get(matched["plural"], [""]):
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        group, version = matched["group"] or "", matched["core"] or matched["version"]
        for resource in RESOURCES:
            if (group, version, matched["plural"]) == (resource[0], resource[1], resource[3]):
                target = Target(*resource, matched["namespace"], matched["name"])
                break
        else:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        if part:
            target.part, target.plural = part, f"{target.plural}/{part}"
        target.select(self.query.get("fieldSelector", ""), self.query.get("labelSelector", ""))
        if target.plural in self.server.said("faults").get("absent", []):
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        self.authorize(verb, target)
        self.fail(verb, target)
        target.plural = target.plural.split("/")[0]
        return target

    def fail(self, verb, target):
        """What a test wants to go wrong."""
        fault = self.server.said("faults").get(verb)
        if isinstance(fault, dict) and target.plural == fault.get("resource", "secrets"):
            time.sleep(fault.get("sleep", 0))
            if "code" in fault and self.server.failed[verb] < fault.get("times", float("inf")):
                self.server.failed[verb] += 1
                details = {"retryAfterSeconds": fault.get("after", 7)}
                raise Refused(fault["code"], fault.get("reason", ""), fault.get("message", ""), details)

    # --- verbs ---

    def read(self, path):
        if found := discovery(path):
            return self.send_json(200, found)
        watching = self.query.get("watch") in ("true", "1")
        single = not watching and (match := PATH.match(path)) and match["name"]
        verb = "watch" if watching else "get" if single else "list"
        target = self.target(path, verb)
        if watching:
            return self.watch(target)
        if single:
            return self.send_json(200, self.server.store.read(target.key()))
        self.list(target)

    def list(self, target):
        store = self.server.store
        if token := self.query.get("continue"):
            items, version = store.resume(token)
        else:
            items, version = store.list(target.plural, target.namespace)
            items = [item for item in items if target.wants(item)]
        metadata = {"resourceVersion": str(version)}
        limit = int(self.query.get("limit") or 0) or len(items)
        if rest := items[limit:]:
            metadata["continue"] = store.suspend(rest, version)
            metadata["remainingItemCount"] = len(rest)
        head = {"kind": f"{target.kind}List", "apiVersion": target.api_version()}
        self.send_json(200, {**head, "metadata": metadata, "items": items[:limit]})

    def create(self, path):
        wanted = self.json()
        target = self.target(path, "create")
        target.name = wanted.get("metadata", {}).get("name")
        signing.begin(self, target, wanted)
        if target.key() in self.server.store.objects:
            raise Refused(409, "AlreadyExists", f'{target.plural} "{target.name}" already exists')
        self.send_json(201, self.store(target, wanted))

    def replace(self, path):
        wanted = self.json()
        target = self.target(path, "update")
        live = self.server.store.read(target.key())
        self.send_json(200, self.store(target, signing.changed(self, target, live, wanted)))

    def patch(self, path):
        target = self.target(path, "patch")
        kind = self.headers.get("Content-Type", "").split(";")[0]
        wanted, store = self.json(), self.server.store
        exists = target.key() in store.objects
        if kind == "application/apply-patch+yaml":
            manager = self.query.get("fieldManager")
            if not manager:
                raise Refused(400, "BadRequest", "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply patch")
            if not exists:
                self.authorize("create", target)
            self.check(target, wanted)
            force = self.query.get("force") == "true"
            done = store.apply(target.key(), manager, wanted, force, self.dry_run())
            if self.server.said("faults").get("patch") == "hang up after":
                self.close_connection = True
                return self.connection.close()
            return self.send_json(200 if exists else 201, done)
        if kind not in ("application/merge-patch+json", "application/strategic-merge-patch+json"):
            raise Refused(415, "UnsupportedMediaType", f"this server does not read {kind}")
        live = copy.deepcopy(store.read(target.key()))
        if wanted.get("metadata", {}).get("uid") not in (None, live["metadata"]["uid"]):
            raise Refused(409, "Conflict", "Precondition failed: UID in precondition")
        whole = merged(copy.deepcopy(live), wanted)
        self.send_json(200, self.store(target, signing.changed(self, target, live, whole)))

    def delete(self, path):
        target = self.target(path, "delete")
        gone = self.server.store.delete(target.key())
        done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        done["details"] = {"name": target.name, "kind": target.plural, "uid": gone["metadata"]["uid"]}
        self.send_json(200, done)

    def store(self, target, wanted):
        self.check(target, wanted)
        agent = self.headers.get("User-Agent", "unknown").split("/")[0]
        manager = self.query.get("fieldManager") or agent
        store = self.server.store
        return store.write(target.key(), manager, wanted, self.dry_run())

    def dry_run(self):
        return self.query.get("dryRun") == "All"

    def json(self):
        kind = self.headers.get("Content-Type", "application/json").split(";")[0]
        if not kind.endswith(("json", "yaml")):
            # What client-go tries next is JSON.
            raise Refused(415, "UnsupportedMediaType", f"this server does not read {kind}")
        try:
            value = json.loads(self.body)
        except ValueError:
            raise Refused(400, "BadRequest", "this server reads JSON only") from None
        if not isinstance(value, dict):
            raise Refused(400, "BadRequest", "the object is no object")
        return value

    def check(self, target, wanted):
        metadata = wanted.setdefault("metadata", {})
        for name, value in (("name", target.name), ("namespace", target.namespace)):
            if metadata.get(name) not in (None, value):
                raise Refused(400, "BadRequest", f"the {name} of the object does not match the {name} on the URL")
        wanted.setdefault("apiVersion", target.api_version())
        wanted.setdefault("kind", target.kind)
        if wanted["kind"] != target.kind:
            raise Refused(400, "BadRequest", f"expected {target.kind}, got {wanted['kind']}")
        if target.kind == "Secret" and self.query.get("fieldValidation") == "Strict":
            for unknown in sorted(wanted.keys() - SECRET_FIELDS):
                raise Refused(400, "BadRequest", f'strict decoding error: unknown field "{unknown}"')

    # --- watches ---

    def watch(self, target):
        store, version = self.server.store, self.query.get("resourceVersion", "")
        initial, bookmarks = version in ("", "0"), self.query.get("allowWatchBookmarks") == "true"
        limit = float(self.query.get("timeoutSeconds") or 1800)
        silent = self.server.said("faults").get("watch") == "silent"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        if silent:
            return time.sleep(limit + 60)
        with store.changed:
            items, now = store.list(target.plural, target.namespace)
        if initial:
            for item in items:
                if target.wants(item):
                    self.event("ADDED", item)
            if self.query.get("sendInitialEvents") == "true":
                self.bookmark(target, now, {"k8s.io/initial-events-end": "true"})
        seen = now if initial else int(version)
        try:
            self.follow(target, seen, time.monotonic() + limit, bookmarks)
        except Refused as refused:
            self.event("ERROR", refused.status())
        self.wfile.write(b"0\r\n\r\n")

    def follow(self, target, seen, until, bookmarks):
        store, marked = self.server.store, time.monotonic()
        while (left := until - time.monotonic()) > 0:
            with store.changed:
                if not (changes := store.since(seen)):
                    store.changed.wait(min(left, 1))
                    changes = store.since(seen)
                seen = max([seen] + [version for version, *_ in changes])
            for _, (plural, namespace, _), kind, item in changes:
                if plural == target.plural and target.namespace in (None, namespace) and target.wants(item):
                    self.event(kind, item)
            if bookmarks and time.monotonic() - marked > 1:
                marked = time.monotonic()
                self.bookmark(target, seen)

    def bookmark(self, target, version, annotations=None):
        metadata = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        self.event("BOOKMARK", {"kind": target.kind, "apiVersion": target.api_version(), "metadata": metadata})

    def event(self, kind, item):
        if kind != "ERROR" and METADATA in self.headers.get("Accept", "").split(",")[0]:
            item = only_metadata(item)
        line = json.dumps({"type": kind, "object": item}).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.flush()

    def log_message(self, form, *arguments):
        if path := self.server.said("faults").get("log"):
            with open(path, "a", encoding="utf-8") as log:
                log.write(form % arguments + "\n")


def only_metadata(value):
    if "items" in value:
        items = [only_metadata(item) for item in value["items"]]
        head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
        return {**head, "metadata": value["metadata"], "items": items}
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": value["metadata"]}


def merged(live, patch):
    """RFC 7386."""
    for name, value in patch.items():
        if value is None:
            live.pop(name, None)
        elif isinstance(value, dict):
            live[name] = merged(live.get(name) if isinstance(live.get(name), dict) else {}, value)
        else:
            live[name] = value
    return live


def main():
    server = Server(pathlib.Path(sys.argv[1]).resolve())
    print(f"ready {server.url}", flush=True)

    def steer():
        # The test has ended when it no longer holds our standard input; until then it sends orders.
        for line in sys.stdin:
            if line.strip() == "compact":
                server.store.compact()
        server.shutdown()

    threading.Thread(target=steer, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
