"""Account key rollover."""

import pytest

from client import problem
from keys import Key, compact, signed


class Rollover:
    """A keyChange request for an account of its own, of which a test may bend each part."""

    def __init__(self, client, account):
        self.client, self.account, self.new = client, account, Key()
        self.url = client.url("keyChange")
        self.head = {"alg": self.new.alg, "jwk": self.new.jwk(), "url": self.url}
        self.body = {"account": account.url, "oldKey": account.key.jwk()}

    def send(self, signer=None, payload=None, **bend):
        """Sends it, the inner JWS signed by `signer`."""
        inner = signed(self.head, self.body if payload is None else payload, (signer or self.new).sign)
        return self.account.post(self.url, inner, **bend)

    def unchanged(self):
        """Asserts that the account still has its old key, and the new key no account."""
        assert self.account.get(self.account.url).status == 200
        lookup = self.client.post(self.client.url("newAccount"), {"onlyReturnExisting": True}, self.new)
        problem(lookup, "accountDoesNotExist")


@pytest.fixture
def rollover(client, registrar):
    """A rollover of a new account."""
    return Rollover(client, registrar.register())


@pytest.mark.parametrize("alg", ["ES256", "RS256"])
def test_success(client, rollover, alg):
    """RFC 8555 §7.3.5: a good request is answered with 200; the new key speaks for the same account."""
    new = Key(alg)
    rollover.new, rollover.head = new, {"alg": alg, "jwk": new.jwk(), "url": rollover.url}
    assert rollover.send().status == 200
    assert client.post(rollover.account.url, None, new, rollover.account.url).status == 200
    lookup = client.post(client.url("newAccount"), {"onlyReturnExisting": True}, new)
    assert (lookup.status, lookup.location) == (200, rollover.account.url)


def test_old_key_is_dead(client, rollover):
    """RFC 8555 §7.3.5: after the change the old key no longer speaks for the account."""
    assert rollover.send().status == 200
    problem(rollover.account.get(rollover.account.url), "unauthorized", "malformed")
    lookup = client.post(client.url("newAccount"), {"onlyReturnExisting": True}, rollover.account.key)
    problem(lookup, "accountDoesNotExist")


def test_there_and_back(client, rollover):
    """RFC 8555 §7.3.5: a key that is no longer in use can be taken again."""
    assert rollover.send().status == 200
    old, rollover.account.key = rollover.account.key, rollover.new
    back = Rollover(client, rollover.account)
    back.new, back.head = old, {"alg": old.alg, "jwk": old.jwk(), "url": back.url}
    assert back.send().status == 200


def test_orders_survive(client, lab, rollover):
    """RFC 8555 §7.3.5: the account keeps its orders over a key change."""
    order = lab.order(rollover.account)
    assert rollover.send().status == 200
    assert client.post(order.url, None, rollover.new, rollover.account.url).status == 200


def test_inner_signed_by_another_key(rollover):
    """RFC 8555 §7.3.5: the inner JWS must verify under the key in its jwk."""
    problem(rollover.send(signer=Key()), "malformed", "unauthorized")
    rollover.unchanged()


def test_inner_signed_by_the_old_key(rollover):
    """RFC 8555 §7.3.5: the old key's signature does not prove possession of the new one."""
    problem(rollover.send(signer=rollover.account.key), "malformed", "unauthorized")
    rollover.unchanged()


def test_inner_url_differs(rollover):
    """RFC 8555 §7.3.5: inner and outer url must be equal."""
    rollover.head["url"] = rollover.account.url
    problem(rollover.send(), "malformed", "unauthorized")
    rollover.unchanged()


def test_inner_url_missing(rollover):
    """RFC 8555 §7.3.5: the inner JWS must have url."""
    del rollover.head["url"]
    problem(rollover.send(), "malformed", "unauthorized")
    rollover.unchanged()


def test_inner_without_jwk(rollover):
    """RFC 8555 §7.3.5: the inner JWS must have jwk."""
    del rollover.head["jwk"]
    problem(rollover.send(), "malformed")
    rollover.unchanged()


def test_inner_with_kid(rollover):
    """RFC 8555 §7.3.5: the inner JWS must name its key by jwk, not kid."""
    del rollover.head["jwk"]
    rollover.head["kid"] = rollover.account.url
    problem(rollover.send(), "malformed")
    rollover.unchanged()


@pytest.mark.should
def test_inner_with_nonce(client, rollover):
    """RFC 8555 §7.3.5: the inner JWS must not have a nonce, so the server should refuse one."""
    rollover.head["nonce"] = client.nonce()
    problem(rollover.send(), "malformed", "badNonce")
    rollover.unchanged()


def test_old_key_differs(rollover):
    """RFC 8555 §7.3.5: oldKey must be the account's present key."""
    rollover.body["oldKey"] = Key().jwk()
    problem(rollover.send(), "malformed", "unauthorized")
    rollover.unchanged()


def test_old_key_missing(rollover):
    """RFC 8555 §7.3.5: the payload must have oldKey."""
    del rollover.body["oldKey"]
    problem(rollover.send(), "malformed", "unauthorized")
    rollover.unchanged()


def test_account_differs(rollover, stranger):
    """RFC 8555 §7.3.5: account must be the account that signs the outer JWS."""
    rollover.body["account"] = stranger.url
    problem(rollover.send(), "malformed", "unauthorized")
    rollover.unchanged()


def test_account_missing(rollover):
    """RFC 8555 §7.3.5: the payload must have account."""
    del rollover.body["account"]
    problem(rollover.send(), "malformed", "unauthorized")
    rollover.unchanged()


@pytest.mark.should
def test_key_of_another_account(rollover, stranger):
    """RFC 8555 §7.3.5: a key in use by another account should be refused with 409 and that account's Location."""
    rollover.new, rollover.head["jwk"] = stranger.key, stranger.key.jwk()
    response = rollover.send()
    problem(response, status=409)
    assert response.location == stranger.url
    assert rollover.account.get(rollover.account.url).status == 200


@pytest.mark.should
def test_change_to_the_same_key(rollover):
    """RFC 8555 §7.3.5: the account's own key is in use too, so it should be refused with 409 and Location."""
    rollover.new, rollover.head["jwk"] = rollover.account.key, rollover.account.key.jwk()
    response = rollover.send()
    problem(response, status=409)
    assert response.location == rollover.account.url


def test_weak_new_key(rollover):
    """RFC 8555 §7.3.5, §6.7: a new key that would not do for an account is refused as badPublicKey."""
    rollover.new = Key("RS256", bits=1024)
    rollover.head = {"alg": "RS256", "jwk": rollover.new.jwk(), "url": rollover.url}
    problem(rollover.send(), "badPublicKey")
    assert rollover.account.get(rollover.account.url).status == 200


def test_inner_algorithm_none(rollover):
    """RFC 8555 §7.3.5, §6.2: the inner JWS meets the same rules, so alg none is refused."""
    rollover.head["alg"] = "none"
    problem(rollover.send(), "badSignatureAlgorithm", "malformed")
    rollover.unchanged()


@pytest.mark.parametrize("inner", [{}, b"", b"[]", {"protected": "", "payload": "", "signature": ""}],
                         ids=["empty-object", "empty", "array", "empty-parts"])
def test_inner_is_not_a_jws(rollover, inner):
    """RFC 8555 §7.3.5: the payload of the outer JWS must be a JWS."""
    problem(rollover.account.post(rollover.url, inner), "malformed", "badSignatureAlgorithm")
    rollover.unchanged()


def test_inner_payload_is_not_json(rollover):
    """RFC 8555 §7.3.5: the inner payload must be a keyChange object."""
    problem(rollover.send(payload=b"{"), "malformed")
    rollover.unchanged()


def test_outer_signed_with_jwk(client, rollover):
    """RFC 8555 §7.3.5: the outer JWS names the account by kid."""
    inner = signed(rollover.head, compact(rollover.body).encode(), rollover.new.sign)
    problem(client.post(rollover.url, inner, rollover.account.key), "malformed")
    rollover.unchanged()
