"""Replay protection."""

import re

import pytest

from client import is_problem, problem
from keys import Key, b64


def test_head_gives_a_nonce(client):
    """RFC 8555 §7.2: HEAD of newNonce is answered with 200 and a Replay-Nonce."""
    response = client.request("HEAD", client.url("newNonce"))
    assert response.status == 200
    assert response.header("Replay-Nonce")


def test_get_gives_a_nonce(client):
    """RFC 8555 §7.2: GET of newNonce is answered with 204, an empty body and a Replay-Nonce."""
    response = client.request("GET", client.url("newNonce"))
    assert response.status == 204
    assert response.body == b""
    assert response.header("Replay-Nonce")


def test_post_as_get_gives_a_nonce(client, account):
    """RFC 8555 §6.3: newNonce answers POST-as-GET too, for uniformity."""
    response = account.get(client.url("newNonce"))
    assert response.status in (200, 204)
    assert response.header("Replay-Nonce")


def test_nonces_are_not_cached(client):
    """RFC 8555 §7.2: newNonce answers carry Cache-Control: no-store."""
    for method in ("HEAD", "GET"):
        directives = client.request(method, client.url("newNonce")).header("Cache-Control") or ""
        assert "no-store" in directives.replace(" ", "").split(","), method


def test_nonce_alphabet(client):
    """RFC 8555 §6.5.1: a nonce consists of base64url characters only."""
    assert re.fullmatch(r"[A-Za-z0-9_-]+", client.nonce())


def test_nonces_are_unique(client):
    """RFC 8555 §6.5: the server gives a fresh nonce in each answer."""
    seen = [client.request("HEAD", client.url("newNonce")).header("Replay-Nonce") for _ in range(50)]
    assert len(set(seen)) == 50


def test_success_carries_a_nonce(client, lab, account, issued):
    """RFC 8555 §6.5: every successful answer to a POST carries a Replay-Nonce."""
    order = lab.order(account)
    for url in (account.url, order.url, order.document["authorizations"][0], issued.url):
        response = account.get(url)
        assert response.status == 200 and response.header("Replay-Nonce"), url
    assert lab.try_order(account, [lab.name()]).header("Replay-Nonce")


@pytest.mark.should
def test_errors_carry_a_nonce(client, account):
    """RFC 8555 §6.5: errors should carry a Replay-Nonce too, so that the client can go on."""
    bad = account.post(client.url("newOrder"), {"identifiers": []})
    assert problem(bad) and bad.header("Replay-Nonce")
    unsigned = account.post(client.url("newOrder"), {}, url="https://example.invalid/")
    assert problem(unsigned) and unsigned.header("Replay-Nonce")


def test_used_nonce_is_refused(client, account):
    """RFC 8555 §6.5: a nonce is accepted once; the second use is badNonce with a fresh nonce."""
    nonce = client.nonce()
    assert account.post(account.url, None, nonce=nonce).status == 200
    again = account.post(account.url, None, nonce=nonce)
    problem(again, "badNonce", status=400)
    assert again.header("Replay-Nonce") not in (None, nonce)


def test_exact_replay_is_refused(client, account):
    """RFC 8555 §6.5: the same signed message sent twice is refused the second time."""
    jws = client.jws(account.url, None, account.key, account.url)
    assert client.send(account.url, jws).status == 200
    problem(client.send(account.url, jws), "badNonce")


def test_made_up_nonce_is_refused(client, account):
    """RFC 8555 §6.5: a nonce the server never gave is badNonce with a fresh nonce."""
    response = account.post(account.url, None, nonce=b64(b"never issued by any server"))
    problem(response, "badNonce", status=400)
    assert response.header("Replay-Nonce")


def test_nonce_from_error_can_be_used(client, account):
    """RFC 8555 §6.5: the nonce that comes with badNonce is good for the retry."""
    response = account.post(account.url, None, nonce=b64(b"made up"))
    assert is_problem(response, "badNonce")
    assert account.post(account.url, None, nonce=response.header("Replay-Nonce")).status == 200


def test_missing_nonce_is_refused(client, account):
    """RFC 8555 §6.5.2: a JWS without a nonce is refused."""
    problem(account.post(account.url, None, nonce=None), "badNonce", "malformed", status=400)


def test_malformed_nonce_is_refused(client, account):
    """RFC 8555 §6.5.2: a nonce that is not base64url is refused."""
    problem(account.post(account.url, None, nonce="not+base64/url=="), "badNonce", "malformed", status=400)


def test_nonce_must_be_a_string(client, account):
    """RFC 8555 §6.5.2: a nonce that is not a string is refused."""
    problem(account.post(account.url, None, nonce=7), "badNonce", "malformed", status=400)


def test_bad_nonce_creates_nothing(client, registrar):
    """RFC 8555 §6.5: a request with a bad nonce has no effect."""
    key = Key()
    problem(client.post(client.url("newAccount"), registrar.payload(key), key, nonce=b64(b"made up")), "badNonce")
    lookup = client.post(client.url("newAccount"), {"onlyReturnExisting": True}, key)
    problem(lookup, "accountDoesNotExist", status=400)
