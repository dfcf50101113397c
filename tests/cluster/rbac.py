"""What roles and their bindings allow (rbac.authorization.k8s.io/v1)."""


def allows(store, user, verb, target):
    """Whether something that is bound to `user` lets it do this."""
    for plural, namespace in (("clusterrolebindings", None), ("rolebindings", target.namespace)):
        if plural == "rolebindings" and namespace is None:
            continue
        for binding in store.list(plural, namespace)[0]:
            if not any(name_of(subject) == user for subject in binding.get("subjects") or []):
                continue
            if any(covers(rule, verb, target) for rule in rules(store, binding)):
                return True
    return False


def name_of(subject):
    if subject["kind"] == "ServiceAccount":
        return f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
    return subject["name"]


def rules(store, binding):
    role = binding["roleRef"]
    of_cluster = role["kind"] == "ClusterRole"
    namespace = None if of_cluster else binding["metadata"]["namespace"]
    found = store.list("clusterroles" if of_cluster else "roles", namespace)[0]
    return [rule for one in found if one["metadata"]["name"] == role["name"] for rule in one.get("rules") or []]


def covers(rule, verb, target):
    names = rule.get("resourceNames")
    return (
        verb in rule["verbs"]
        and target.group in rule["apiGroups"]
        and target.plural in rule["resources"]
        and (not names or target.name in names)
    )
