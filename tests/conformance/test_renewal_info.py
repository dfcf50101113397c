"""ACME Renewal Information, where the directory offers renewalInfo."""

from datetime import datetime, timezone

import pytest
from cryptography import x509

from client import problem
from keys import b64


@pytest.fixture(autouse=True)
def offered(client, lab):
    """Ends the test where the server does not do RFC 9773."""
    if "renewalInfo" not in client.directory:
        lab.not_offered("renewalInfo in the directory")


def identifier(leaf):
    """The certificate identifier (RFC 9773 §4.1)."""
    authority = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    serial = leaf.serial_number
    return b64(authority) + "." + b64(serial.to_bytes(serial.bit_length() // 8 + 1, "big"))


def ask(client, name):
    """An unauthenticated GET of the renewal information."""
    return client.request("GET", client.url("renewalInfo").rstrip("/") + "/" + name)


def window(response):
    """Start and end of the suggested window."""
    document = response.json()["suggestedWindow"]
    return tuple(datetime.fromisoformat(document[end].replace("Z", "+00:00")) for end in ("start", "end"))


def test_open_to_get(client, issued):
    """RFC 9773 §4.1: renewal information is read by an unauthenticated GET, as JSON."""
    response = ask(client, identifier(issued.leaf))
    assert response.status == 200
    assert response.content_type == "application/json"


def test_window(client, issued):
    """RFC 9773 §4.2: the window has a start before its end, and lies within the certificate's life."""
    start, end = window(ask(client, identifier(issued.leaf)))
    assert issued.leaf.not_valid_before_utc <= start < end <= issued.leaf.not_valid_after_utc


def test_explanation(client, issued):
    """RFC 9773 §4.2: explanationURL, where given, is a URL."""
    assert ask(client, identifier(issued.leaf)).json().get("explanationURL", "https://").startswith("http")


def test_retry_after(client, issued):
    """RFC 9773 §4.3: the answer says by Retry-After when to ask again, in seconds or as a date."""
    value = ask(client, identifier(issued.leaf)).retry_after()
    assert value and (value.isdigit() and int(value) > 0 or value.endswith("GMT"))


def test_window_stays(client, issued):
    """RFC 9773 §4.3: asking again soon gives the same window, so that clients' choices hold."""
    first = window(ask(client, identifier(issued.leaf)))
    assert window(ask(client, identifier(issued.leaf))) == first


@pytest.mark.parametrize("name", ["AAAA.AAAA", "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"])
def test_unknown_certificate(client, name):
    """RFC 9773 §4.1: a certificate the server does not know is not found."""
    problem(ask(client, name), status=404)


@pytest.mark.parametrize("name", ["x", "a.b.c", ".", "AAAA.", ".AAAA", "A===.AAAA", "%00.%00", "A" * 5000 + ".AAAA"])
def test_malformed_identifier(client, name):
    """RFC 9773 §4.1: an identifier that is not two base64url parts with a dot between is refused."""
    assert ask(client, name).status in (400, 404, 414)


def test_revoked_certificate_is_due(client, lab, account):
    """RFC 9773 §4.2: a revoked certificate should be replaced at once, so its window is past."""
    issued = lab.issue(account)
    account.post(client.url("revokeCert"), {"certificate": issued.der})
    start, end = window(ask(client, identifier(issued.leaf)))
    assert start < end <= datetime.now(timezone.utc)


def test_replaces_is_echoed(lab, account, issued):
    """RFC 9773 §5: an accepted replaces is shown in the order, at creation and later."""
    name = issued.order.document["identifiers"][0]["value"]
    order = lab.order(account, [name], replaces=identifier(issued.leaf))
    assert order.document["replaces"] == identifier(issued.leaf)
    assert order.refresh()["replaces"] == identifier(issued.leaf)


def test_replaces_only_once(lab, account):
    """RFC 9773 §5, §7.4: a second order that replaces the same certificate is alreadyReplaced with 409."""
    name = lab.name()
    issued = lab.issue(account, [name])
    lab.issue(account, [name], replaces=identifier(issued.leaf))
    problem(lab.try_order(account, [name], replaces=identifier(issued.leaf)), "alreadyReplaced", status=409)


def test_replaces_again_after_failure(lab, account):
    """RFC 9773 §5: an order that became invalid does not count as the replacement."""
    name = lab.name()
    issued = lab.issue(account, [name])
    for url, _ in issued.order.authorizations():  # or it would be used again, and nothing could fail
        assert account.post(url, {"status": "deactivated"}).status == 200
    first = lab.order(account, [name], replaces=identifier(issued.leaf))
    challenge = lab.challenge(first.authorizations()[0][1], "dns-01")
    lab.respond(account, challenge)
    first.reaches("invalid")
    assert lab.try_order(account, [name], replaces=identifier(issued.leaf)).status == 201


def test_replaces_again_after_deactivation(lab, account):
    """RFC 9773 §5: nor does one that became invalid because its authorization was given up."""
    name = lab.name()
    issued = lab.issue(account, [name])
    first = lab.order(account, [name, lab.name()], replaces=identifier(issued.leaf))
    for url, document in first.authorizations():
        if document["status"] == "pending":
            assert account.post(url, {"status": "deactivated"}).status == 200
    first.reaches("invalid")
    assert lab.try_order(account, [name], replaces=identifier(issued.leaf)).status == 201


@pytest.mark.should
def test_replaces_of_another_account(lab, account, stranger):
    """RFC 9773 §5: an order that replaces another account's certificate should be refused."""
    name = lab.name()
    issued = lab.issue(account, [name])
    problem(lab.try_order(stranger, [name], replaces=identifier(issued.leaf)))
    assert lab.try_order(account, [name], replaces=identifier(issued.leaf)).status == 201


@pytest.mark.should
def test_replaces_for_other_names(lab, account):
    """RFC 9773 §5: an order that shares no name with the certificate it replaces should be refused."""
    issued = lab.issue(account)
    problem(lab.try_order(account, [lab.name()], replaces=identifier(issued.leaf)))


@pytest.mark.parametrize("value", ["", "x", "a.b.c", "AAAA.AAAA", 7])
def test_bad_replaces(lab, account, value):
    """RFC 9773 §5: a replaces that is malformed or names no certificate is refused."""
    problem(lab.try_order(account, [lab.name()], replaces=value))
