"""External account binding. The tests need --eab-kid and --eab-hmac."""

import pytest

from client import problem
from keys import Key, b64, compact, external_account_binding, signed, unb64


@pytest.fixture
def external(lab, registrar):
    """An external account: (kid, secret)."""
    return registrar.binding() or lab.not_offered("external account (no --eab-kid, --eab-hmac)")


@pytest.fixture
def bind(client, external):
    """Sends newAccount with a binding that may be bent; gives (key, response)."""

    def sender(kid=external[0], secret=external[1], key=None, bound=None, url=client.url("newAccount"), change=None, **head):
        key = key or Key()
        binding = external_account_binding(kid, secret, bound or key, url, **head)
        payload = {"termsOfServiceAgreed": True, "externalAccountBinding": change(binding) if change else binding}
        return key, client.post(client.url("newAccount"), payload, key)

    return sender


def refused(client, outcome, *names):
    """Asserts a problem, and that no account came of it. The RFC names no type for a bad binding."""
    key, response = outcome
    problem(response, *names)
    problem(client.post(client.url("newAccount"), {"onlyReturnExisting": True}, key), "accountDoesNotExist")


def test_binding_is_required(client, lab):
    """RFC 8555 §7.3.4: where a binding is required, newAccount without one is externalAccountRequired."""
    if not client.meta.get("externalAccountRequired"):
        lab.not_offered("externalAccountRequired in the directory")
    key = Key()
    response = client.post(client.url("newAccount"), {"termsOfServiceAgreed": True}, key)
    refused(client, (key, response), "externalAccountRequired")


def test_good_binding(bind):
    """RFC 8555 §7.3.4: a good binding makes an account whose object shows the same binding."""
    key, response = bind()
    assert response.status == 201
    shown = response.json().get("externalAccountBinding")
    assert shown, "the account object lacks externalAccountBinding"
    assert unb64(shown["payload"]).decode() == compact(key.jwk())


def test_wrong_mac_key(client, bind):
    """RFC 8555 §7.3.4: a binding made with another MAC key is refused."""
    refused(client, bind(secret=b"not the secret of this account!!"), "unauthorized")


def test_unknown_kid(client, bind):
    """RFC 8555 §7.3.4: a binding that names an unknown external account is refused."""
    refused(client, bind(kid="nobody-knows-this"), "unauthorized")


def test_missing_kid(client, bind):
    """RFC 8555 §7.3.4: the binding must have kid."""
    refused(client, bind(kid=None))


def test_bound_to_another_key(client, bind):
    """RFC 8555 §7.3.4: the payload of the binding must be the account key, so none can be borrowed."""
    refused(client, bind(bound=Key()))


def test_url_differs(client, bind):
    """RFC 8555 §7.3.4: the binding's url must be that of the outer JWS."""
    refused(client, bind(url=client.url("newOrder")))


def test_url_missing(client, bind):
    """RFC 8555 §7.3.4: the binding must have url."""
    refused(client, bind(url=None))


def test_nonce_in_binding(client, bind):
    """RFC 8555 §7.3.4: the binding must not have a nonce."""
    refused(client, bind(nonce=client.nonce()))


@pytest.mark.parametrize("alg", ["none", "ES256", "HS1", None])
def test_algorithm_is_not_a_mac(client, bind, alg):
    """RFC 8555 §7.3.4: the binding's alg must be a MAC."""
    refused(client, bind(alg=alg))


def test_signed_instead_of_macked(client, external):
    """RFC 8555 §7.3.4: a signature by the account key is no MAC."""
    key = Key()
    head = {"alg": "ES256", "kid": external[0], "url": client.url("newAccount")}
    payload = {"termsOfServiceAgreed": True, "externalAccountBinding": signed(head, key.jwk(), key.sign)}
    response = client.post(client.url("newAccount"), payload, key)
    refused(client, (key, response))


def test_empty_mac(client, bind):
    """RFC 8555 §7.3.4: an empty MAC does not verify."""
    refused(client, bind(change=lambda b: {**b, "signature": ""}))


def test_truncated_mac(client, bind):
    """RFC 8555 §7.3.4: the beginning of the right MAC does not verify."""
    cut = lambda b: {**b, "signature": b64(unb64(b["signature"])[:16])}
    refused(client, bind(change=cut))


@pytest.mark.parametrize("binding", ["text", 7, [], {}], ids=["string", "number", "array", "empty"])
def test_binding_is_not_a_jws(client, external, binding):
    """RFC 8555 §7.3.4: a binding that is not a flattened JWS is refused."""
    key = Key()
    payload = {"termsOfServiceAgreed": True, "externalAccountBinding": binding}
    response = client.post(client.url("newAccount"), payload, key)
    refused(client, (key, response))


def test_second_account(client, bind):
    """RFC 8555 §7.3.4: a second account for the same external account is made, or refused with a problem."""
    bind()
    key, response = bind()
    if response.status != 201:
        refused(client, (key, response))


def test_existing_account_needs_no_binding(client, bind):
    """RFC 8555 §7.3.1: an existing account is found again without a binding."""
    key, response = bind()
    lookup = client.post(client.url("newAccount"), {"onlyReturnExisting": True}, key)
    assert (lookup.status, lookup.location) == (200, response.location)
