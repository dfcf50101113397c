"""The tls-alpn-01 challenge."""

import hashlib

import pytest

from client import ERROR
from responder import certificate

REFUSALS = ("unauthorized", "incorrectResponse", "tls", "connection", "malformed")


@pytest.fixture
def try_tls(lab, account):
    """Opens an order, lets `arrange(name, digest)` set up the TLS server, responds, and gives
    (authorization, challenge) once settled."""

    def attempt(arrange):
        _, url, authorization, challenge = lab.pending(account, "tls-alpn-01")
        digest = hashlib.sha256(account.key.authorization(challenge["token"]).encode()).digest()
        arrange(authorization["identifier"]["value"], digest)
        assert lab.respond(account, challenge).status == 200
        return lab.settled(account, url), account.fetch(challenge["url"])

    return attempt


def failed(outcome, *errors):
    """Asserts failure with one of these errors."""
    authorization, challenge = outcome
    assert authorization["status"] == challenge["status"] == "invalid", challenge
    assert challenge["error"]["type"] in [ERROR + e for e in errors or REFUSALS], challenge["error"]


def test_success(lab, try_tls):
    """RFC 8737 §3: a self-signed certificate with the name and the digest, shown under acme-tls/1, proves the name."""
    authorization, challenge = try_tls(lambda name, digest: lab.tls.show(name, certificate([name], digest)))
    assert authorization["status"] == challenge["status"] == "valid", challenge


def test_server_name_is_sent(lab, account):
    """RFC 8737 §3: the server connects with the name being validated as SNI."""
    _, url, authorization, challenge = lab.pending(account, "tls-alpn-01")
    lab.publish(account, authorization, challenge)
    lab.respond(account, challenge)
    lab.settled(account, url)
    assert authorization["identifier"]["value"] in lab.tls.seen


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_ip_address(lab, account, address):
    """RFC 8738 §6: for an IP address SNI is its reverse name, and the certificate has an iPAddress."""
    order = lab.ip_order(account, address)
    if ":" in address and len(lab.tls.sockets) < 2:
        pytest.skip("this machine has no IPv6")
    assert lab.prove(account, order.document["authorizations"][0], "tls-alpn-01")["status"] == "valid"


def test_wrong_digest(lab, try_tls):
    """RFC 8737 §3: another digest in the extension fails the challenge."""
    failed(try_tls(lambda name, _: lab.tls.show(name, certificate([name], hashlib.sha256(b"x").digest()))))


def test_short_digest(lab, try_tls):
    """RFC 8737 §3: a digest that is cut short fails the challenge."""
    failed(try_tls(lambda name, digest: lab.tls.show(name, certificate([name], digest[:16]))))


def test_extension_not_critical(lab, try_tls):
    """RFC 8737 §3: the acmeIdentifier extension must be critical."""
    failed(try_tls(lambda name, digest: lab.tls.show(name, certificate([name], digest, critical=False))))


def test_extension_missing(lab, try_tls):
    """RFC 8737 §3: the certificate must have the acmeIdentifier extension."""
    failed(try_tls(lambda name, _: lab.tls.show(name, certificate([name], None))))


def test_other_name(lab, try_tls):
    """RFC 8737 §3: the certificate must be for the name."""
    failed(try_tls(lambda name, digest: lab.tls.show(name, certificate([lab.name()], digest))))


def test_further_name(lab, try_tls):
    """RFC 8737 §3: the certificate must be for the name alone."""
    failed(try_tls(lambda name, digest: lab.tls.show(name, certificate([name, lab.name()], digest))))


def test_wildcard_certificate(lab, try_tls):
    """RFC 8737 §3: a wildcard that covers the name is not the name."""
    cover = lambda name: "*." + name.split(".", 1)[1]
    failed(try_tls(lambda name, digest: lab.tls.show(name, certificate([cover(name)], digest))))


@pytest.mark.parametrize("protocols", [[], ["h2", "http/1.1"]], ids=["none", "others"])
def test_protocol_not_negotiated(lab, try_tls, protocols):
    """RFC 8737 §3: the connection must have negotiated acme-tls/1."""
    failed(try_tls(lambda name, digest: lab.tls.show(name, certificate([name], digest), protocols)))


def test_ordinary_site(lab, try_tls):
    """RFC 8737 §3: a server that knows nothing of the challenge fails it."""
    failed(try_tls(lambda *_: None))


def test_nothing_listens(lab, try_tls):
    """RFC 8555 §6.7: a refused connection is reported as error connection."""
    failed(try_tls(lambda name, _: lab.dns.address(name, "127.0.0.9")), "connection")


def test_answer_for_another_account(lab, account, stranger):
    """RFC 8555 §8.1: the answer made with another account's key fails the challenge."""
    _, url, authorization, challenge = lab.pending(account, "tls-alpn-01")
    lab.publish(stranger, authorization, challenge)
    lab.respond(account, challenge)
    assert lab.settled(account, url)["status"] == "invalid"
