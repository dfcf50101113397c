"""Who owns which field of an object: server-side apply, as the documentation of Kubernetes has it.

Maps are granular, lists and everything else are owned whole; that is how the API treats Secrets and
ConfigMaps. A conflict is a field that another manager owns and whose value would change.
"""

import copy

# What is nobody's: it says which object it is, or is written by the server.
IDENTITY = {("apiVersion",), ("kind",)} | {
    ("metadata", name)
    for name in (
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "managedFields",
    )
}


class Conflict(Exception):
    """Fields that belong to others: a list of (path, manager)."""

    def __init__(self, fields):
        super().__init__(f"{len(fields)} conflicts")
        self.fields = fields


def leaves(value, path=()):
    """Every field of an object, with its value."""
    if isinstance(value, dict) and value:
        found = {}
        for name, inner in value.items():
            if path + (name,) not in IDENTITY:
                found.update(leaves(inner, path + (name,)))
        return found
    return {} if value == {} or value is None else {path: value}


def put(target, path, value):
    for name in path[:-1]:
        target = target.setdefault(name, {})
    target[path[-1]] = copy.deepcopy(value)


def drop(target, path):
    """Removes a field, and the maps that are empty then."""
    if len(path) > 1 and isinstance(target.get(path[0]), dict):
        drop(target[path[0]], path[1:])
        if not target[path[0]] and path[0] != "metadata":
            del target[path[0]]
    elif len(path) == 1:
        target.pop(path[0], None)


def apply(live, owners, manager, wanted, force):
    """Merges what `manager` wants; gives the new object and owners: {(manager, operation): paths}."""
    fields, held = leaves(wanted), leaves(live)
    me = (manager, "Apply")
    conflicts = sorted(
        (path, other)
        for (other, operation), theirs in owners.items()
        if (other, operation) != me
        for path in theirs & fields.keys()
        if held.get(path) != fields[path]
    )
    if conflicts and not force:
        raise Conflict(conflicts)
    owners = {who: set(paths) for who, paths in owners.items()}
    for path, other in conflicts:
        for who in list(owners):
            if who[0] == other and who != me:
                owners[who].discard(path)
    result = copy.deepcopy(live)
    for path in owners.get(me, set()) - fields.keys():
        if not any(path in paths for who, paths in owners.items() if who != me):
            drop(result, path)
    for path, value in fields.items():
        put(result, path, value)
    owners[me] = set(fields)
    return result, {who: paths for who, paths in owners.items() if paths}


def update(live, owners, manager, new):
    """What `manager` changed is its own from now on, and nobody else's."""
    before, after = leaves(live), leaves(new)
    changed = {path for path, value in after.items() if before.get(path) != value}
    gone = before.keys() - after.keys()
    owners = {who: paths - changed - gone for who, paths in owners.items()}
    if changed:
        owners[(manager, "Update")] = owners.get((manager, "Update"), set()) | changed
    return {who: paths for who, paths in owners.items() if paths}


def describe(owners, version, times):
    """`managedFields`."""
    entries = []
    for (manager, operation), paths in sorted(owners.items()):
        tree = {}
        for path in paths:
            put(tree, tuple(f"f:{name}" for name in path), {})
        entries.append(
            {
                "manager": manager,
                "operation": operation,
                "apiVersion": version,
                "time": times[(manager, operation)],
                "fieldsType": "FieldsV1",
                "fieldsV1": tree,
            }
        )
    return entries
