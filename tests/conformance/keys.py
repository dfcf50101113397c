"""Key pairs and JSON Web Signatures (RFC 7515, RFC 7518, RFC 8037), made with `cryptography`.

Nothing here knows of ACME beyond the four protected fields; a test may bend any of them."""

import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def b64(data):
    """Base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    """The bytes behind unpadded base64url."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def compact(value):
    """JSON without white space."""
    return json.dumps(value, separators=(",", ":"))


class Key:
    """A private key with the JWS algorithm it signs with."""

    def __init__(self, alg="ES256", bits=2048):
        self.alg = alg
        if alg in CURVES:
            self.private = ec.generate_private_key(CURVES[alg][0]())
        elif alg == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
        else:
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=bits)

    def jwk(self):
        """The public half as a JWK."""
        public = self.private.public_key()
        if self.alg in CURVES:
            _, name, size, _ = CURVES[self.alg]
            point = public.public_numbers()
            return {
                "crv": name,
                "kty": "EC",
                "x": b64(point.x.to_bytes(size, "big")),
                "y": b64(point.y.to_bytes(size, "big")),
            }
        if self.alg == "EdDSA":
            raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
            return {"crv": "Ed25519", "kty": "OKP", "x": b64(raw)}
        numbers = public.public_numbers()
        return {"e": b64(_octets(numbers.e)), "kty": "RSA", "n": b64(_octets(numbers.n))}

    def thumbprint(self):
        """The JWK thumbprint (RFC 7638), base64url."""
        return b64(hashlib.sha256(json.dumps(self.jwk(), sort_keys=True, separators=(",", ":")).encode()).digest())

    def authorization(self, token):
        """The key authorization of a challenge token (RFC 8555 §8.1)."""
        return f"{token}.{self.thumbprint()}"

    def sign(self, data):
        """The JWS signature over `data`."""
        if self.alg in CURVES:
            _, _, size, digest = CURVES[self.alg]
            r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(digest())))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        if self.alg == "EdDSA":
            return self.private.sign(data)
        return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())


def signed(protected, payload, sign):
    """A flattened JWS as a dict. `protected` is a dict or ready JSON text; `payload` a JSON value,
    or bytes as they are; `sign` turns the signing input into a signature."""
    head = protected if isinstance(protected, str) else compact(protected)
    body = payload if isinstance(payload, bytes) else compact(payload).encode()
    head, body = b64(head.encode()), b64(body)
    return {"protected": head, "payload": body, "signature": b64(sign(f"{head}.{body}".encode()))}


def mac(secret, digest=hashlib.sha256):
    """A signer for `signed` that makes an HMAC."""
    return lambda data: hmac.new(secret, data, digest).digest()


def external_account_binding(kid, secret, key, url, alg="HS256", **changes):
    """The binding of account key `key` to the external account `kid` (RFC 8555 §7.3.4)."""
    digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(alg, hashlib.sha256)
    head = {"alg": alg, "kid": kid, "url": url, **changes}
    return signed({k: v for k, v in head.items() if v is not None}, key.jwk(), mac(secret, digest))


def _octets(number):
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


CURVES = {
    "ES256": (ec.SECP256R1, "P-256", 32, hashes.SHA256),
    "ES384": (ec.SECP384R1, "P-384", 48, hashes.SHA384),
    "ES512": (ec.SECP521R1, "P-521", 66, hashes.SHA512),
}
