"""The way from a name to a certificate, in steps that a test can stop at or bend: order, answer
the challenges in the suite's own servers, finalize, download (RFC 8555 §7.4, §7.5, §8)."""

import hashlib
import ipaddress
import itertools
import secrets
from base64 import b32encode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from client import until
from keys import Key, b64
from responder import certificate, general_name


class Order:
    """An order as its owner sees it."""

    def __init__(self, account, response):
        self.account, self.url, self.document = account, response.location, response.json()

    def refresh(self):
        """Fetches the order again; gives its document."""
        self.document = self.account.fetch(self.url)
        return self.document

    def reaches(self, *statuses, seconds=15):
        """Waits until the order has one of these statuses; gives its document."""
        document = until(lambda: (d := self.refresh())["status"] in statuses + FINAL and d, seconds)
        assert document["status"] in statuses, f"order became {document['status']}, not {statuses}: {document}"
        return document

    def authorizations(self):
        """(URL, document) of each authorization."""
        return [(url, self.account.fetch(url)) for url in self.document["authorizations"]]


class Issued:
    """A finished order with what came of it."""

    def __init__(self, order, key, response):
        self.order, self.account, self.key, self.response = order, order.account, key, response
        self.url = order.document["certificate"]
        self.chain = x509.load_pem_x509_certificates(response.body)
        self.leaf = self.chain[0]

    @property
    def der(self):
        """The leaf certificate, base64url of its DER."""
        return b64(self.leaf.public_bytes(Encoding.DER))


class Laboratory:
    """A server under test with everything needed to get certificates from it."""

    def __init__(self, client, registrar, http, tls, dns, zone, expected):
        self.client, self.registrar, self.zone, self.expected = client, registrar, zone, expected
        self.http, self.tls, self.dns = http, tls, dns
        self._stem, self._count = secrets.token_hex(4), itertools.count(1)

    def not_offered(self, what):
        """Ends the test because the server does not offer an optional capability."""
        (pytest.fail if self.expected(what) else pytest.skip)(f"not offered: {what}")

    def name(self, label="n"):
        """A name under the zone that nobody has used."""
        return f"{label}{next(self._count)}-{self._stem}.{self.zone}"

    def identifiers(self, names):
        """ACME identifiers for DNS names, IP addresses, and identifiers that are dicts already."""
        return [n if isinstance(n, dict) else {"type": "ip" if is_ip(n) else "dns", "value": n} for n in names]

    def try_order(self, account, names, **fields):
        """newOrder; gives the response."""
        return account.post(self.client.url("newOrder"), {"identifiers": self.identifiers(names), **fields})

    def order(self, account, names=None, **fields):
        """An order that must be accepted."""
        response = self.try_order(account, names or [self.name()], **fields)
        assert response.status == 201, f"newOrder: status {response.status}, {response.body[:300]!r}"
        return Order(account, response)

    def ip_order(self, account, address):
        """An order for an IP address, if the server does RFC 8738."""
        response = self.try_order(account, [address])
        if response.status != 201 and b"unsupportedIdentifier" in response.body:
            self.not_offered("identifiers of type ip (RFC 8738)")
        assert response.status == 201, f"newOrder for {address}: status {response.status}, {response.body[:300]!r}"
        return Order(account, response)

    def pending(self, account, kind, names=None):
        """A new order for one name: (order, authorization URL, authorization, its challenge)."""
        order = self.order(account, names)
        url, authorization = order.authorizations()[0]
        return order, url, authorization, self.challenge(authorization, kind)

    def challenge(self, authorization, kind):
        """The challenge of this type; the test ends when there is none."""
        for challenge in authorization["challenges"]:
            if challenge["type"] == kind:
                return challenge
        offered = [c["type"] for c in authorization["challenges"]]
        return self.not_offered(f"challenge type {kind} for {authorization['identifier']} (only {offered})")

    def publish(self, account, authorization, challenge, key_authorization=None):
        """Puts the right answer to a challenge (or another) where the server will look."""
        name, kind = authorization["identifier"]["value"], challenge["type"]
        answer = key_authorization or account.key.authorization(challenge["token"])
        digest = hashlib.sha256(answer.encode()).digest()
        if kind == "http-01":
            self.http.challenge(name, challenge["token"], answer)
        elif kind == "dns-01":
            self.dns.txt(f"_acme-challenge.{name}", b64(digest))
        elif kind == "dns-account-01":
            label = b32encode(hashlib.sha256(account.url.encode()).digest()[:10]).decode().lower()
            self.dns.txt(f"_{label}._acme-challenge.{name}", b64(digest))
        elif kind == "tls-alpn-01":
            self.tls.show(server_name(name), certificate([name], digest))
        else:
            raise AssertionError(f"the suite cannot answer {kind}")

    def respond(self, account, challenge):
        """Tells the server to validate; gives the response."""
        return account.post(challenge["url"], {})

    def settled(self, account, url, seconds=20):
        """Waits until an authorization is no longer pending; gives it."""
        return until(lambda: (d := account.fetch(url))["status"] != "pending" and d, seconds)

    def challenge_settled(self, account, url, seconds=20):
        """Waits until a challenge is valid or invalid; gives it."""
        return until(lambda: (d := account.fetch(url))["status"] in ("valid", "invalid") and d, seconds)

    def prove(self, account, url, kind="http-01"):
        """Brings an authorization to valid."""
        authorization = account.fetch(url)
        if authorization["status"] == "valid":
            return authorization
        challenge = self.challenge(authorization, kind)
        self.publish(account, authorization, challenge)
        response = self.respond(account, challenge)
        assert response.status == 200, f"challenge response: status {response.status}, {response.body[:300]!r}"
        done = self.settled(account, url)
        assert done["status"] == "valid", f"authorization became {done['status']}: {done}"
        return done

    def ready(self, account, names=None, kind="http-01", **fields):
        """An order whose authorizations are all valid."""
        order = self.order(account, names, **fields)
        for url in order.document["authorizations"]:
            self.prove(account, url, kind)
        order.reaches("ready")
        return order

    def finalize(self, order, csr):
        """Finalize; gives the response."""
        return order.account.post(order.document["finalize"], {"csr": b64(csr)})

    def download(self, order, key):
        """Waits for the certificate of a finalized order and downloads it."""
        document = order.reaches("valid")
        assert "certificate" in document, "a valid order must name its certificate (RFC 8555 §7.1.3)"
        response = order.account.get(document["certificate"])
        assert response.status == 200, f"certificate: status {response.status}, {response.body[:300]!r}"
        return Issued(order, key, response)

    def issue(self, account, names=None, kind="http-01", key=None, **fields):
        """A certificate, the whole way."""
        names = names or [self.name()]
        order, key = self.ready(account, names, kind, **fields), key or Key()
        response = self.finalize(order, request(names, key))
        assert response.status == 200, f"finalize: status {response.status}, {response.body[:300]!r}"
        return self.download(order, key)


def request(names, key=None, common_name=None, sign_with=None, names_extension=True):
    """A PKCS #10 request in DER for these names, made with a `Key` or a bare private key."""
    private = getattr(key or Key(), "private", key)
    subject = [x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names_extension:
        alternatives = x509.SubjectAlternativeName([general_name(n) for n in names])
        builder = builder.add_extension(alternatives, critical=False)
    digest = None if getattr(key, "alg", "") == "EdDSA" else hashes.SHA256()
    return builder.sign(sign_with or private, digest).public_bytes(Encoding.DER)


def small_curve_key():
    """A key on a curve too small for any certificate."""
    return ec.generate_private_key(ec.SECP192R1())


def is_ip(name):
    """Whether this is an IP address."""
    try:
        ipaddress.ip_address(name)
        return True
    except ValueError:
        return False


def server_name(name):
    """The SNI a server uses for a name or address (RFC 8737 §3, RFC 8738 §6)."""
    return ipaddress.ip_address(name).reverse_pointer if is_ip(name) else name


FINAL = ("valid", "invalid")
