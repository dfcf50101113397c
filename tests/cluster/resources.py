"""What kinds of objects there are, how a URL names them, and how clients find that out."""

import re

# group, version, kind, plural, namespaced
RESOURCES = [
    ("", "v1", "Secret", "secrets", True),
    ("", "v1", "ConfigMap", "configmaps", True),
    ("", "v1", "Service", "services", True),
    ("", "v1", "Endpoints", "endpoints", True),
    ("", "v1", "Namespace", "namespaces", False),
    ("", "v1", "ServiceAccount", "serviceaccounts", True),
    ("", "v1", "Node", "nodes", False),
    ("certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", False),
    ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", True),
    ("gateway.networking.k8s.io", "v1", "Gateway", "gateways", True),
    ("networking.k8s.io", "v1", "Ingress", "ingresses", True),
    ("networking.k8s.io", "v1", "IngressClass", "ingressclasses", False),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", False),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", False),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", True),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", True),
]
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
PATH = re.compile(
    r"^/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/.))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?P<rest>/.*)?$"
)
LABEL = re.compile(r"^([^=!]+)(!=|==?)?(.*)$")


class Target:
    """What a request is about."""

    def __init__(self, group, version, kind, plural, namespaced, namespace, name):
        self.group, self.version, self.kind, self.plural = group, version, kind, plural
        self.namespace, self.name = namespace if namespaced else None, name
        self.selected, self.signer, self.part = None, None, None
        self.type, self.labels = None, []

    def key(self):
        return (self.plural, self.namespace, self.name)

    def api_version(self):
        return f"{self.group}/{self.version}" if self.group else self.version

    def select(self, fields, labels):
        """What a list or watch is narrowed to."""
        name, _, value = fields.partition("=")
        if name == "spec.signerName":
            self.signer = value
        elif name == "type":
            self.type = value
        elif name == "metadata.name" and not self.name:
            # A list or watch of one name is authorized by that name.
            self.selected = self.name = value
        self.labels = [LABEL.match(label).groups() for label in labels.split(",") if label]

    def wants(self, item):
        signer = item.get("spec", {}).get("signerName") if self.signer else None
        kind = item.get("type") if self.type else None
        labels = item["metadata"].get("labels") or {}
        labelled = all(matches(labels.get(key), sign, value) for key, sign, value in self.labels)
        name = self.selected in (None, item["metadata"]["name"])
        return name and labelled and self.signer == signer and self.type == kind


def matches(held, sign, value):
    if not sign:
        return held is not None
    return (held == value) == (sign != "!=")


def discovery(path):
    groups = sorted({(resource[0], resource[1]) for resource in RESOURCES if resource[0]})
    if path == "/version":
        return {"major": "1", "minor": "33", "gitVersion": "v1.33.0-test", "platform": "linux/amd64"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group_of(*group) for group in groups]}
    for group, version in [("", "v1"), *groups]:
        if path == (f"/apis/{group}/{version}" if group else "/api/v1"):
            names = [
                {"name": plural, "singularName": kind.lower(), "namespaced": namespaced, "kind": kind, "verbs": VERBS}
                for of, _, kind, plural, namespaced in RESOURCES
                if of == group
            ]
            head = {"kind": "APIResourceList", "apiVersion": "v1"}
            return {**head, "groupVersion": f"{group}/{version}".lstrip("/"), "resources": names}
    return None


def group_of(group, version):
    served = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [served], "preferredVersion": served}
