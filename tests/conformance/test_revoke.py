"""Revocation."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from client import problem
from keys import Key, b64
from responder import certificate as self_made


@pytest.fixture
def certificate(lab, account):
    """A certificate of this test alone."""
    return lab.issue(account)


def revoke(account, certificate, **fields):
    """revokeCert signed by an account; gives the response."""
    return account.post(account.client.url("revokeCert"), {"certificate": certificate.der, **fields})


def test_by_the_account(certificate, account):
    """RFC 8555 §7.6: the account that got the certificate can revoke it; the answer is 200."""
    assert revoke(account, certificate).status == 200


@pytest.mark.parametrize("reason", [0, 1, 3, 4, 5])
def test_reasons(certificate, account, reason):
    """RFC 8555 §7.6: the ordinary reason codes of RFC 5280 §5.3.1 are accepted, or refused as badRevocationReason."""
    response = revoke(account, certificate, reason=reason)
    if response.status != 200:
        problem(response, "badRevocationReason", status=400)


@pytest.mark.parametrize("reason", [7, 8, 11, -1, 300, 10**12])
def test_bad_reason(certificate, account, reason):
    """RFC 8555 §7.6: a reason that does not exist or not fit is badRevocationReason, and revokes nothing."""
    problem(revoke(account, certificate, reason=reason), "badRevocationReason", "malformed", status=400)
    assert revoke(account, certificate).status == 200


@pytest.mark.parametrize("reason", ["1", 1.5, [1]])
def test_reason_of_the_wrong_type(certificate, account, reason):
    """RFC 8555 §7.6: the reason is an integer."""
    problem(revoke(account, certificate, reason=reason), "malformed", "badRevocationReason", status=400)


def test_by_the_certificate_key(client, certificate):
    """RFC 8555 §7.6: the certificate's own key, given as jwk, can revoke it."""
    url = client.url("revokeCert")
    assert client.post(url, {"certificate": certificate.der, "reason": 1}, certificate.key).status == 200


def test_by_an_rsa_certificate_key(client, lab, account):
    """RFC 8555 §7.6: an RSA certificate key can sign the revocation too."""
    certificate = lab.issue(account, key=Key("RS256"))
    assert client.post(client.url("revokeCert"), {"certificate": certificate.der}, certificate.key).status == 200


def test_by_an_authorized_account(lab, registrar, account):
    """RFC 8555 §7.6: another account with authorizations for all the names can revoke."""
    names = [lab.name(), lab.name()]
    certificate, other = lab.issue(account, names), registrar.register()
    lab.ready(other, names)
    assert revoke(other, certificate).status == 200


def test_by_a_partly_authorized_account(lab, registrar, account):
    """RFC 8555 §7.6: authorizations for some of the names are not enough."""
    names = [lab.name(), lab.name()]
    certificate, other = lab.issue(account, names), registrar.register()
    lab.ready(other, names[:1])
    problem(revoke(other, certificate), "unauthorized", status=403)


def test_by_a_stranger(certificate, stranger, account):
    """RFC 8555 §7.6: any other account is refused as unauthorized, and the certificate stays good."""
    problem(revoke(stranger, certificate), "unauthorized", status=403)
    assert revoke(account, certificate).status == 200


def test_by_a_strange_key(client, certificate):
    """RFC 8555 §7.6: a jwk that is not the certificate's key is refused as unauthorized."""
    problem(client.post(client.url("revokeCert"), {"certificate": certificate.der}, Key()), "unauthorized", status=403)


def test_by_the_account_key_as_jwk(client, certificate, account):
    """RFC 8555 §7.6: the account key does not count when it comes as jwk instead of kid."""
    response = client.post(client.url("revokeCert"), {"certificate": certificate.der}, account.key)
    problem(response, "unauthorized", "malformed", status=(400, 403))


def test_already_revoked(certificate, account):
    """RFC 8555 §7.6: revoking again is alreadyRevoked with 400."""
    assert revoke(account, certificate).status == 200
    problem(revoke(account, certificate), "alreadyRevoked", status=400)


def test_stranger_learns_nothing(certificate, stranger, account):
    """RFC 8555 §7.6: authorization is checked first, so a stranger is unauthorized for a revoked certificate too."""
    revoke(account, certificate)
    problem(revoke(stranger, certificate), "unauthorized", "alreadyRevoked")


def test_by_the_key_after_deactivation(lab, client, registrar):
    """RFC 8555 §7.3.6: a deactivated account can no longer revoke, the certificate key still can."""
    own = registrar.register()
    certificate = lab.issue(own)
    own.post(own.url, {"status": "deactivated"})
    problem(revoke(own, certificate), "unauthorized")
    assert client.post(client.url("revokeCert"), {"certificate": certificate.der}, certificate.key).status == 200


@pytest.mark.parametrize("payload", [
    {}, {"certificate": ""}, {"certificate": 7}, {"certificate": "+/+/"}, {"certificate": b64(b"not DER")},
    {"certificate": b64(b"\x30\x84\xff\xff\xff\xff")}], ids=["missing", "empty", "number", "base64", "text", "endless"])
def test_malformed(client, account, payload):
    """RFC 8555 §7.6: certificate is base64url of a DER certificate; anything else is refused."""
    problem(account.post(client.url("revokeCert"), payload), "malformed", status=400)


def test_unknown_certificate(client, account):
    """RFC 8555 §7.6: a certificate that this server did not issue is refused."""
    foreign = x509.load_pem_x509_certificate(self_made(["foreign.example"], None)).public_bytes(Encoding.DER)
    response = account.post(client.url("revokeCert"), {"certificate": b64(foreign)})
    problem(response, status=(400, 403, 404))


def test_certificate_in_pem(client, certificate, account):
    """RFC 8555 §7.6: the certificate is base64url of DER, not PEM."""
    response = account.post(client.url("revokeCert"), {"certificate": b64(certificate.response.body)})
    problem(response, "malformed", status=400)
