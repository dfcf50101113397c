"""What kube-apiserver does with its external signer, step by step and with its checks
(pkg/serviceaccount/externaljwt/plugin): it reads one command a line in JSON and answers each with one
line. The time is told with each command, so that months pass in seconds.

    python apiserver.py SOCKET ISSUER
"""

import base64
import hashlib
import json
import sys
import tempfile
import uuid
from pathlib import Path

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)
from grpc_tools import protoc

HERE = Path(__file__).parent
MIN_TOKEN_AGE = 600
LEEWAY = 60


def stubs():
    """The messages and the client's side of the service, made from the .proto beside this file."""
    made = tempfile.mkdtemp()
    well_known = Path(protoc.__file__).parent / "_proto"
    arguments = [f"-I{HERE}", f"-I{well_known}", f"--python_out={made}", f"--grpc_python_out={made}"]
    if protoc.main(["protoc", *arguments, "signer.proto"]) != 0:
        sys.exit("the stubs cannot be made")
    sys.path.insert(0, made)
    import signer_pb2
    import signer_pb2_grpc

    return signer_pb2, signer_pb2_grpc


class Refused(Exception):
    """kube-apiserver does not accept what the signer says."""


class Apiserver:
    """A kube-apiserver with --service-account-signing-endpoint."""

    def __init__(self, socket, issuer):
        self.messages, services = stubs()
        # It waits for a socket that is not there yet, or not any more.
        options = [
            ("grpc.default_authority", "localhost"),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
        ]
        channel = grpc.insecure_channel(f"unix:{socket}", options=options)
        self.signer = services.ExternalJWTSignerStub(channel)
        self.issuer = issuer
        self.keys, self.order, self.data_timestamp, self.refresh_at = {}, [], None, 0
        self.fetches = 0

    def start(self, at, seconds=60):
        """The first fetch and the metadata, without which it does not start."""
        self.fetch(at, seconds)
        asked = self.messages.MetadataRequest()
        metadata = self.signer.Metadata(asked, timeout=10, wait_for_ready=True)
        longest = metadata.max_token_expiration_seconds
        if longest < MIN_TOKEN_AGE:
            raise Refused(f"max token life of {longest} s is too short")
        return {"longest": longest}

    def fetch(self, at, seconds=60):
        """Takes the keys of the signer in place of those it has."""
        asked = self.messages.FetchKeysRequest()
        answer = self.signer.FetchKeys(asked, timeout=seconds, wait_for_ready=True)
        if answer.refresh_hint_seconds <= 0:
            raise Refused(f"refresh hint {answer.refresh_hint_seconds}")
        if not answer.keys:
            raise Refused("no keys")
        if not answer.HasField("data_timestamp") or answer.data_timestamp.seconds <= 0:
            raise Refused("no data timestamp")
        keys = {}
        for key in answer.keys:
            if not 0 < len(key.key_id) <= 1024:
                raise Refused(f"key id {key.key_id!r}")
            public = load_der_public_key(key.key)
            keys[key.key_id] = (public, algorithm(public), key.exclude_from_oidc_discovery)
        self.keys, self.data_timestamp = keys, answer.data_timestamp.seconds
        self.refresh_at = at + answer.refresh_hint_seconds
        self.fetches += 1
        return self.shown()

    def tick(self, at):
        """The periodic fetch, when the last hint says so."""
        if at >= self.refresh_at:
            self.fetch(at)
        return self.shown()

    def shown(self):
        return {
            "kids": list(self.keys),
            "data_timestamp": self.data_timestamp,
            "refresh_at": self.refresh_at,
            "fetches": self.fetches,
        }

    def token(self, at, seconds=3600, **other):
        """A TokenRequest: claims, signed and put together."""
        claims = {
            "aud": ["https://kubernetes.default.svc.cluster.local"],
            "exp": at + seconds,
            "iat": at,
            "iss": self.issuer,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": {
                "namespace": "shop",
                "node": {"name": "node-1", "uid": str(uuid.uuid4())},
                "pod": {"name": "web-0", "uid": str(uuid.uuid4())},
                "serviceaccount": {"name": "web", "uid": str(uuid.uuid4())},
                "warnafter": at + seconds - 10,
            },
            "nbf": at,
            "sub": "system:serviceaccount:shop:web",
        }
        claims.update(other)
        claims = {name: value for name, value in claims.items() if value is not None}
        return self.sign(at, encode(json.dumps(claims, separators=(",", ":")).encode()))

    def legacy(self, at, key):
        """A token of the time before, signed with a key file."""
        private = load_pem_private_key(key.encode(), None)
        spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        kid = encode(hashlib.sha256(spki).digest())
        claims = {"iss": self.issuer, "sub": "system:serviceaccount:shop:old", "aud": "a"}
        claims.update({"iat": at - 86400, "nbf": at - 86400, "exp": at + 86400})
        return {"token": jwt.encode(claims, private, "RS256", headers={"kid": kid}), "kid": kid}

    def sign(self, at, claims, seconds=30):
        """Has claims signed as they are, and looks at the header as kube-apiserver does."""
        asked = self.messages.SignJWTRequest(claims=claims)
        answer = self.signer.Sign(asked, timeout=seconds, wait_for_ready=True)
        header = json.loads(decode(answer.header))
        if set(header) - {"alg", "kid", "typ"}:
            raise Refused(f"unknown members in {header}")
        if header.get("typ") != "JWT":
            raise Refused("bad type")
        kid = header.get("kid", "")
        if not 0 < len(kid) <= 1024:
            raise Refused(f"key id {kid!r}")
        if header.get("alg") not in ("RS256", "ES256", "ES384", "ES512"):
            raise Refused(f"bad signing algorithm {header.get('alg')}")
        known = self.key(at, kid)
        if known is not None and known[2]:
            raise Refused("the key is excluded from discovery")
        if not answer.signature:
            raise Refused("empty signature")
        return {"token": f"{answer.header}.{claims}.{answer.signature}", "kid": kid}

    def key(self, at, kid):
        """A key; an unknown one makes it fetch."""
        if kid not in self.keys:
            self.fetch(at)
        return self.keys.get(kid)

    def review(self, at, token):
        """A TokenReview: whose token it is."""
        header = jwt.get_unverified_header(token)
        key = self.key(at, header["kid"])
        if key is None:
            raise Refused("unknown key")
        return {"sub": verify(token, key[0], [key[1]], self.issuer, at)["sub"]}

    def discovery(self, at):
        """What others see at /openid/v1/jwks, and how long they may keep it."""
        shown = {}
        for kid, (public, name, excluded) in self.keys.items():
            if not excluded:
                kind = jwt.algorithms.RSAAlgorithm if name == "RS256" else jwt.algorithms.ECAlgorithm
                shown[kid] = {**kind.to_jwk(public, as_dict=True), "kid": kid, "alg": name, "use": "sig"}
        if not shown:
            raise Refused("no keys provided for validating keyset")
        return {"keys": list(shown.values()), "max_age": max(0, self.refresh_at - at)}

    def raw(self, claims, seconds=30):
        """A call of Sign without any check."""
        asked = self.messages.SignJWTRequest(claims=claims)
        answer = self.signer.Sign(asked, timeout=seconds, wait_for_ready=True)
        return {"header": answer.header}

    def absent(self):
        """A method that there is not."""
        self.signer.Absent(self.messages.MetadataRequest(), timeout=10, wait_for_ready=True)


def algorithm(public):
    """What kube-apiserver signs with a key of this type; others keep it from publishing any."""
    if isinstance(public, rsa.RSAPublicKey):
        return "RS256"
    curves = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in curves:
        return curves[public.curve.name]
    raise Refused(f"unknown public key type {type(public)}")


def verify(token, key, algorithms, issuer, at):
    """PyJWT's verdict at a time that is not its own."""
    options = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False}
    claims = jwt.decode(token, key, algorithms=algorithms, issuer=issuer, options=options)
    if at > claims["exp"] + LEEWAY or at < claims["nbf"] - LEEWAY:
        raise Refused("expired, or not valid yet")
    return claims


def encode(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def decode(text):
    if "=" in text:
        raise Refused("padding in a segment")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Cloud:
    """Somebody else who trusts the cluster's issuer, by what kube-apiserver serves to all."""

    def __init__(self, cluster):
        self.cluster, self.keys, self.until = cluster, [], 0

    def trusts(self, at, token):
        if at >= self.until:
            served = self.cluster.discovery(at)
            self.keys, self.until = served["keys"], at + served["max_age"]
        kid = jwt.get_unverified_header(token)["kid"]
        for key in self.keys:
            if key["kid"] == kid:
                public = jwt.PyJWK(key)
                return verify(token, public.key, [key["alg"]], self.cluster.issuer, at)["sub"]
        raise Refused("unknown key")


def main():
    apiserver = Apiserver(*sys.argv[1:])
    cloud = Cloud(apiserver)
    commands = {
        "start": apiserver.start,
        "fetch": apiserver.fetch,
        "tick": apiserver.tick,
        "token": apiserver.token,
        "legacy": apiserver.legacy,
        "review": apiserver.review,
        "raw": apiserver.raw,
        "absent": apiserver.absent,
        "cloud": lambda at, token: {"sub": cloud.trusts(at, token)},
    }
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = commands[command.pop("do")](**command)
        except Refused as why:
            answer = {"refused": str(why)}
        except jwt.PyJWTError as why:
            answer = {"refused": type(why).__name__}
        except grpc.RpcError as why:
            answer = {"code": why.code().name, "why": why.details()}
        print(json.dumps(answer), flush=True)


main()
