"""Objects, their versions and their history: what etcd and the registry are to a real API server."""

import base64
import binascii
import copy
import datetime
import threading
import uuid

import fields

TLS = "kubernetes.io/tls"


class Refused(Exception):
    """What is answered instead: a Status."""

    def __init__(self, code, reason, message, details=None):
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details or {}

    def status(self):
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }


class Store:
    def __init__(self):
        self.changed = threading.Condition()
        self.version = 100
        self.compacted = 0
        self.objects = {}
        self.history = []  # (version, key, type, object)
        self.suspended = {}  # what is left of lists, by token

    def compact(self):
        """Forgets the history: watches that would go on from before must start over."""
        with self.changed:
            self.compacted = self.version
            self.history = []
            self.suspended = {}
            self.changed.notify_all()

    def read(self, key):
        with self.changed:
            held = self.objects.get(key)
            if held is None:
                raise Refused(404, "NotFound", f'{key[0].split("/")[-1]} "{key[2]}" not found')
            return held.object

    def list(self, resource, namespace):
        with self.changed:
            found = [
                held.object
                for (kind, space, _), held in sorted(self.objects.items())
                if kind == resource and namespace in (None, space)
            ]
            return found, self.version

    def suspend(self, items, version):
        """Keeps the rest of a list, which stays as it is; gives the token for it."""
        with self.changed:
            token = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()
            self.suspended[token] = (items, version)
            return token

    def resume(self, token):
        with self.changed:
            if token not in self.suspended:
                raise Refused(410, "Expired", "The provided continue parameter is too old")
            return self.suspended[token]

    def since(self, version):
        """The changes after `version`, and the version up to which there are none."""
        if version < self.compacted:
            raise Refused(410, "Expired", f"too old resource version: {version} ({self.version})")
        return [entry for entry in self.history if entry[0] > version]

    def write(self, key, manager, new, dry_run=False):
        """Puts an object there as a whole."""
        with self.changed:
            held = self.objects.get(key) or Held({}, {}, {})
            normalize(new)
            wanted = new.get("metadata", {}).get("resourceVersion")
            if wanted and held.object and wanted != held.object["metadata"]["resourceVersion"]:
                raise Refused(409, "Conflict", "the object has been modified; please apply your changes to the latest version")
            owners = fields.update(held.object, held.owners, manager, new)
            kind = (new["apiVersion"], new["kind"])
            return self._store(key, kind, held, new, owners, manager, dry_run)

    def apply(self, key, manager, wanted, force, dry_run=False):
        with self.changed:
            held = self.objects.get(key) or Held({}, {}, {})
            normalize(wanted)
            try:
                new, owners = fields.apply(held.object, held.owners, manager, wanted, force)
            except fields.Conflict as conflict:
                causes = [
                    {
                        "reason": "FieldManagerConflict",
                        "message": f'conflict with "{other}" using {wanted["apiVersion"]}',
                        "field": "." + ".".join(path),
                    }
                    for path, other in conflict.fields
                ]
                count = len(causes)
                message = f"Apply failed with {count} conflict{'s' if count > 1 else ''}: " + "; ".join(
                    f"{cause['message']}: {cause['field']}" for cause in causes
                )
                raise Refused(409, "Conflict", message, {"causes": causes}) from None
            kind = (wanted["apiVersion"], wanted["kind"])
            return self._store(key, kind, held, new, owners, manager, dry_run)

    def delete(self, key):
        with self.changed:
            held = self.objects.get(key)
            if held is None:
                raise Refused(404, "NotFound", f'{key[0].split("/")[-1]} "{key[2]}" not found')
            del self.objects[key]
            self.version += 1
            gone = copy.deepcopy(held.object)
            gone["metadata"]["resourceVersion"] = str(self.version)
            self.history.append((self.version, key, "DELETED", gone))
            self.changed.notify_all()
            return gone

    def _store(self, key, kind, held, new, owners, manager, dry_run):
        resource, namespace, name = key
        if namespace and ("namespaces", None, namespace) not in self.objects:
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
        validate(resource, name, held.object, new)
        same = owners == held.owners and fields.leaves(new) == fields.leaves(held.object)
        if held.object and same:
            return held.object
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        times = {
            who: now if who[0] == manager or who not in held.times else held.times[who] for who in owners
        }
        if dry_run:
            return new
        self.version += 1
        before = held.object.get("metadata", {})
        metadata = new.setdefault("metadata", {})
        new["apiVersion"], new["kind"] = kind
        metadata["name"] = name
        if namespace:
            metadata["namespace"] = namespace
        metadata["uid"] = before.get("uid") or str(uuid.uuid4())
        metadata["creationTimestamp"] = before.get("creationTimestamp") or now
        metadata["resourceVersion"] = str(self.version)
        metadata["managedFields"] = fields.describe(owners, kind[0], times)
        self.objects[key] = Held(new, owners, times)
        change = "MODIFIED" if held.object else "ADDED"
        self.history.append((self.version, key, change, copy.deepcopy(new)))
        self.changed.notify_all()
        return new


class Held:
    def __init__(self, value, owners, times):
        self.object, self.owners, self.times = value, owners, times


def normalize(value):
    """`stringData` is for writing only."""
    if value.get("kind") == "Secret":
        for name, text in (value.pop("stringData", None) or {}).items():
            value.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()
        value.setdefault("type", "Opaque")
    value.get("metadata", {}).pop("managedFields", None)


def validate(resource, name, before, new):
    """What the API demands of Secrets."""
    if resource != "secrets":
        return
    data = new.get("data") or {}

    def invalid(field, why):
        raise Refused(422, "Invalid", f'Secret "{name}" is invalid: {field}: {why}')

    for field, text in data.items():
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise Refused(400, "BadRequest", f"Secret in version v1 cannot be handled: illegal base64 data in {field}") from None
    if sum(len(text) for text in data.values()) > 1024 * 1024 * 4 // 3:
        invalid("data", "Too long: may not be more than 1048576 bytes")
    if before and before.get("type") != new.get("type"):
        invalid("type", f'Invalid value: "{new.get("type")}": field is immutable')
    if before.get("immutable") and (data != (before.get("data") or {}) or not new.get("immutable")):
        invalid("data", "Forbidden: field is immutable when `immutable` is set")
    if new.get("type") == TLS:
        for field in ("tls.crt", "tls.key"):
            if field not in data:
                invalid(f"data[{field}]", "Required value")
