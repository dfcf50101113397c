"""Finalization: when an order may be finalized, and with which request."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from client import problem
from keys import Key, b64
from laboratory import request, small_curve_key

ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


@pytest.fixture
def ready(lab, account):
    """An order that is ready, for one name: (order, name)."""
    name = lab.name()
    return lab.ready(account, [name]), name


def refused(lab, order, csr, *names, status=None):
    """Asserts that finalize is refused and no certificate comes of it (RFC 8555 §7.1.6 lets the
    order stay ready or become invalid)."""
    document = problem(lab.finalize(order, csr), *names or ("badCSR",), status=status)
    assert order.refresh()["status"] in ("ready", "invalid")
    return document


def test_order_becomes_ready(ready):
    """RFC 8555 §7.1.6: when all authorizations are valid, the order is ready."""
    assert ready[0].refresh()["status"] == "ready"


def test_success(lab, ready):
    """RFC 8555 §7.4: finalize with a good request is answered with 200 and the order, processing or valid."""
    order, name = ready
    response = lab.finalize(order, request([name]))
    assert response.status == 200
    assert response.json()["status"] in ("processing", "valid")
    order.reaches("valid")


@pytest.mark.should
def test_processing_has_retry_after(lab, ready):
    """RFC 8555 §7.4: an order that is processing should come with Retry-After."""
    order, name = ready
    response = lab.finalize(order, request([name]))
    assert response.json()["status"] == "valid" or response.retry_after()


def test_location(lab, ready):
    """RFC 8555 §7.4: the answer to finalize names the order in Location."""
    order, name = ready
    assert lab.finalize(order, request([name])).location == order.url


def test_too_early(lab, account):
    """RFC 8555 §7.4: finalizing a pending order is orderNotReady with 403, and leaves it pending."""
    name = lab.name()
    order = lab.order(account, [name])
    problem(lab.finalize(order, request([name])), "orderNotReady", status=403)
    assert order.refresh()["status"] == "pending"


def test_invalid_order(lab, account):
    """RFC 8555 §7.4: an invalid order cannot be finalized."""
    name = lab.name()
    order, _, _, challenge = lab.pending(account, "http-01", [name])
    lab.respond(account, challenge)
    order.reaches("invalid")
    problem(lab.finalize(order, request([name])), "orderNotReady", "malformed", "unauthorized")
    assert order.refresh()["status"] == "invalid"


def test_partly_authorized(lab, account):
    """RFC 8555 §7.4: an order with one authorization still pending is not ready."""
    names = [lab.name(), lab.name()]
    order = lab.order(account, names)
    lab.prove(account, order.document["authorizations"][0])
    problem(lab.finalize(order, request(names)), "orderNotReady", status=403)


def test_finalize_twice(lab, ready):
    """RFC 8555 §7.4: an order that is valid cannot be finalized again, and keeps its certificate."""
    order, name = ready
    key = Key()
    lab.finalize(order, request([name], key))
    first = lab.download(order, key).url
    response = lab.finalize(order, request([name]))
    if response.status != 200:
        problem(response, "orderNotReady", "malformed", status=(400, 403))
    assert order.reaches("valid")["certificate"] == first


def test_extra_name(lab, ready):
    """RFC 8555 §7.4: a request with a name that is not in the order is refused as badCSR."""
    order, name = ready
    refused(lab, order, request([name, lab.name()]), "badCSR", "unauthorized")


def test_missing_name(lab, account):
    """RFC 8555 §7.4: a request that lacks a name of the order is refused as badCSR."""
    names = [lab.name(), lab.name()]
    refused(lab, lab.ready(account, names), request(names[:1]), "badCSR", "unauthorized")


def test_other_name(lab, ready):
    """RFC 8555 §7.4: a request for another name altogether is refused as badCSR."""
    refused(lab, ready[0], request([lab.name()]), "badCSR", "unauthorized")


def test_wildcard_instead_of_name(lab, ready):
    """RFC 8555 §7.4: a name in the order does not permit its wildcard."""
    order, name = ready
    refused(lab, order, request(["*." + name]), "badCSR", "unauthorized")


def test_no_names(lab, ready):
    """RFC 8555 §7.4: a request without any name is refused as badCSR."""
    refused(lab, ready[0], request([], names_extension=False), "badCSR", "unauthorized")


def test_common_name_counts(lab, ready):
    """RFC 8555 §7.4: the common name is one of the requested names, so a foreign one is refused."""
    order, name = ready
    refused(lab, order, request([name], common_name=lab.name()), "badCSR", "unauthorized")


def test_common_name_in_the_order(lab, ready):
    """RFC 8555 §7.4: a common name that is also in the order is accepted."""
    order, name = ready
    assert lab.finalize(order, request([name], common_name=name)).status == 200
    order.reaches("valid")


def test_email_in_request(lab, ready):
    """RFC 8555 §7.4: an alternative name of another type is not in the order, so it is refused or left out."""
    order, name = ready
    key = Key()
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.RFC822Name("root@example.org")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    csr = builder.sign(key.private, hashes.SHA256()).public_bytes(Encoding.DER)
    response = lab.finalize(order, csr)
    if response.status != 200:
        problem(response, "badCSR", "unauthorized")
    else:
        leaf = lab.download(order, key).leaf
        shown = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert list(shown) == [x509.DNSName(name)]


def test_ca_request(lab, ready):
    """RFC 8555 §7.4: a request to become a CA is refused, or the certificate is none."""
    order, name = ready
    key = Key()
    builder = (x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
               .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
               .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True))
    response = lab.finalize(order, builder.sign(key.private, hashes.SHA256()).public_bytes(Encoding.DER))
    if response.status != 200:
        problem(response, "badCSR")
    else:
        leaf = lab.download(order, key).leaf
        assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_bad_request_signature(lab, ready):
    """RFC 8555 §7.4: a request whose own signature does not verify (RFC 2986 §3) is refused as badCSR."""
    order, name = ready
    csr = bytearray(request([name]))
    csr[-1] ^= 1
    refused(lab, order, bytes(csr))


def test_request_signed_by_another_key(lab, ready):
    """RFC 8555 §7.4: a request must be signed by the key in it (RFC 2986 §3); otherwise badCSR."""
    order, name = ready
    inner = x509.load_der_x509_csr(request([name])).tbs_certrequest_bytes
    signature = b"\0" + Key().private.sign(inner, ec.ECDSA(hashes.SHA256()))
    body = inner + ECDSA_SHA256 + bytes([3, len(signature)]) + signature
    refused(lab, order, b"\x30\x82" + len(body).to_bytes(2, "big") + body)


@pytest.mark.parametrize("sort", ["rsa-1024", "p-192"])
def test_weak_key(lab, ready, sort):
    """RFC 8555 §6.7: a request with a key too short for a certificate is refused as badCSR (or badPublicKey)."""
    order, name = ready
    private = rsa.generate_private_key(65537, 1024) if sort == "rsa-1024" else small_curve_key()
    refused(lab, order, request([name], private), "badCSR", "badPublicKey")


def test_account_key_as_certificate_key(lab, account, ready):
    """RFC 8555 §11.1: the account key must not be the certificate's key; the request is refused as badCSR."""
    order, name = ready
    refused(lab, order, request([name], account.key), "badCSR", "badPublicKey")


@pytest.mark.parametrize("csr", [b"", b"\x30\x00", b"not DER at all", b"\x30\x84\xff\xff\xff\xff", b"\0" * 5000],
                         ids=["empty", "empty-sequence", "text", "endless", "zeros"])
def test_not_a_request(lab, ready, csr):
    """RFC 8555 §7.4: something that is no PKCS #10 request in DER is refused."""
    refused(lab, ready[0], csr, "badCSR", "malformed")


def test_request_with_trailing_bytes(lab, ready):
    """RFC 8555 §7.4: DER with bytes after its end is no request."""
    order, name = ready
    refused(lab, order, request([name]) + b"\0", "badCSR", "malformed")


@pytest.mark.parametrize("payload", [{}, {"csr": None}, {"csr": 7}, {"csr": "+/+/"}, {"csr": "AA=="}],
                         ids=["missing", "null", "number", "base64", "padded"])
def test_malformed_payload(account, ready, payload):
    """RFC 8555 §7.4: the payload of finalize has csr, base64url of DER."""
    order, _ = ready
    problem(account.post(order.document["finalize"], payload), "malformed", "badCSR", status=400)
    assert order.refresh()["status"] in ("ready", "invalid")


def test_request_in_pem(account, ready):
    """RFC 8555 §7.4: the request is base64url of DER, not PEM."""
    order, name = ready
    pem = x509.load_der_x509_csr(request([name])).public_bytes(Encoding.PEM)
    problem(account.post(order.document["finalize"], {"csr": b64(pem)}), "malformed", "badCSR", status=400)


def test_closed_to_others(stranger, ready):
    """RFC 8555 §7.4: another account cannot finalize a ready order."""
    order, name = ready
    problem(stranger.post(order.document["finalize"], {"csr": b64(request([name]))}), status=(401, 403, 404))
    assert order.refresh()["status"] == "ready"


def test_finalize_is_not_readable(account, ready):
    """RFC 8555 §6.3: the finalize URL takes a request; POST-as-GET of it makes no certificate."""
    order, _ = ready
    problem(account.get(order.document["finalize"]), status=(400, 404, 405))
    assert order.refresh()["status"] == "ready"
