"""What a client needs to know of the server: its certificate, and kubeconfigs."""

import json
import subprocess


def make_certificate(directory):
    """An authority, and a certificate of it: clients refuse one that is both."""
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split()
    ca = ["-keyout", directory / "ca.key", "-out", directory / "ca.crt"]
    openssl("req", "-x509", *key, "-subj", "/CN=Test Cluster CA", *ca)
    leaf = ["-CA", directory / "ca.crt", "-CAkey", directory / "ca.key"]
    leaf += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "basicConstraints=CA:FALSE"]
    files = ["-keyout", directory / "server.key", "-out", directory / "server.crt"]
    openssl("req", "-x509", *key, "-subj", "/CN=apiserver", *leaf, *files)


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def kubeconfig(url, user):
    cluster = {"server": url, "certificate-authority": "ca.crt"}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user, "namespace": "web"}}],
            "users": [{"name": user, "user": {"tokenFile": f"{user}.token"}}],
        }
    )
