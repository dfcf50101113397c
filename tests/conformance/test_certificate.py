"""The certificate: download, form, contents."""

import ipaddress
import json
import re
from datetime import datetime, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from client import problem
from keys import Key

PEM = re.compile(rb"(-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=]+\r?\n)+-----END CERTIFICATE-----\r?\n?)+")


def public(key):
    """The SPKI of a public key."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def names(leaf):
    """The subject alternative names, as text, sorted."""
    value = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return sorted(str(n.value) for n in value)


def test_content_type(issued):
    """RFC 8555 §7.4.2: a certificate comes as application/pem-certificate-chain."""
    assert issued.response.content_type == "application/pem-certificate-chain"


def test_only_certificates(issued):
    """RFC 8555 §9.1: the body is PEM certificates and nothing else."""
    assert PEM.fullmatch(issued.response.body), issued.response.body[:100]


def test_leaf_first_and_chained(issued):
    """RFC 8555 §9.1: the leaf comes first; each further certificate directly certifies the one before."""
    assert len(issued.chain) >= 2, "the chain holds the leaf only"
    for lower, upper in zip(issued.chain, issued.chain[1:]):
        lower.verify_directly_issued_by(upper)


@pytest.mark.should
def test_root_is_left_out(issued):
    """RFC 8555 §9.1: a trust anchor should not be in the chain."""
    assert all(c.issuer != c.subject for c in issued.chain[1:])


def test_key(issued):
    """RFC 8555 §7.4.2: the certificate is for the requested key."""
    assert public(issued.leaf.public_key()) == public(issued.key.private.public_key())


def test_names(issued):
    """RFC 8555 §7.4: the certificate has exactly the names of the order."""
    assert names(issued.leaf) == sorted(i["value"] for i in issued.order.document["identifiers"])


def test_several_names_and_a_wildcard(lab, account):
    """RFC 8555 §7.4: names, and a wildcard proved over DNS, all stand in the certificate."""
    name = lab.name()
    wanted = [name, "*." + name, lab.name()]
    assert names(lab.issue(account, wanted, "dns-01").leaf) == sorted(wanted)


def test_ip_address(lab, account):
    """RFC 8738 §3: a certificate for an IP address has it as iPAddress."""
    lab.ip_order(account, "127.0.0.1")
    leaf = lab.issue(account, ["127.0.0.1"]).leaf
    value = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(value) == [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


@pytest.mark.parametrize("alg", ["ES384", "RS256"])
def test_other_keys(lab, account, alg):
    """RFC 8555 §7.4: P-384 and RSA keys get certificates too."""
    key = Key(alg)
    assert public(lab.issue(account, key=key).leaf.public_key()) == public(key.private.public_key())


def test_validity(issued):
    """RFC 8555 §7.4: the certificate is valid at the time it is issued."""
    now = datetime.now(timezone.utc)
    assert issued.leaf.not_valid_before_utc <= now < issued.leaf.not_valid_after_utc


def test_serials_differ(lab, account, issued):
    """RFC 8555 §7.4: two certificates have different serial numbers (RFC 5280 §4.1.2.2), each with 64 bits or more."""
    other = lab.issue(account)
    assert other.leaf.serial_number != issued.leaf.serial_number
    assert max(other.leaf.serial_number, issued.leaf.serial_number).bit_length() > 56


def test_is_for_servers(issued):
    """RFC 8555 §7.4: the certificate is an end-entity certificate for TLS servers (RFC 5280 §4.2.1.9, §4.2.1.12)."""
    extensions = issued.leaf.extensions
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert x509.ExtendedKeyUsageOID.SERVER_AUTH in usage
    try:
        assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        pass


def test_can_be_downloaded_again(issued):
    """RFC 8555 §7.4.2: the certificate can be downloaded as often as its owner likes."""
    assert issued.account.get(issued.url).body == issued.response.body


def test_other_media_types(client, issued):
    """RFC 8555 §7.4.2: a client that accepts another type gets that type, 406, or the default."""
    jws = client.jws(issued.url, None, issued.account.key, issued.account.url)
    response = client.request("POST", issued.url, json.dumps(jws), {
        "Content-Type": "application/jose+json", "Accept": "application/pkix-cert"})
    assert response.status in (200, 406)
    if response.status == 200 and response.content_type != "application/pkix-cert":
        assert response.content_type == "application/pem-certificate-chain"


def test_closed_to_others(stranger, issued):
    """RFC 8555 §7.4.2: another account cannot download the certificate."""
    problem(stranger.get(issued.url), status=(401, 403, 404))


def test_alternate_chains(lab, account, issued):
    """RFC 8555 §7.4.2: each alternate chain named by Link holds the same leaf over another chain."""
    alternates = issued.response.links("alternate")
    if not alternates:
        lab.not_offered("alternate chains (no Link rel=alternate)")
    for url in alternates:
        response = account.get(url)
        assert response.status == 200
        assert response.content_type == "application/pem-certificate-chain"
        chain = x509.load_pem_x509_certificates(response.body)
        assert chain[0] == issued.leaf
        assert chain != issued.chain
        for lower, upper in zip(chain, chain[1:]):
            lower.verify_directly_issued_by(upper)


def test_order_after_issuance(issued):
    """RFC 8555 §7.1.3: a valid order names its certificate and keeps its identifiers."""
    document = issued.order.refresh()
    assert document["status"] == "valid"
    assert document["certificate"] == issued.url


def test_not_downloadable_before_finalize(lab, account):
    """RFC 8555 §7.1.3: an order that is not valid names no certificate."""
    assert "certificate" not in lab.ready(account).document
