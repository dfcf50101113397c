"""Accounts: creation, lookup, update, deactivation."""

import pytest

from client import problem
from keys import Key

MAIL = "mailto:admin@example.org"


@pytest.fixture
def own(registrar):
    """An account of this test alone."""
    return registrar.register()


def new_account(client, payload, key):
    """A newAccount request."""
    return client.post(client.url("newAccount"), payload, key)


def test_creation(client, registrar):
    """RFC 8555 §7.3: a new account is answered with 201, its URL in Location, and the account object."""
    key = Key()
    response = new_account(client, registrar.payload(key), key)
    assert response.status == 201
    assert response.location.startswith("https://")
    assert response.content_type == "application/json"
    assert response.json()["status"] == "valid"


def test_account_has_an_orders_url(own):
    """RFC 8555 §7.1.2: the account object has the required field orders, a URL."""
    assert own.document["orders"].startswith("https://")


def test_same_key_gives_the_same_account(client, registrar, own):
    """RFC 8555 §7.3.1: newAccount with a known key gives 200 and the Location of that account."""
    response = new_account(client, registrar.payload(own.key), own.key)
    assert response.status == 200
    assert response.location == own.url


def test_creation_of_existing_changes_nothing(client, registrar):
    """RFC 8555 §7.3.1: newAccount with a known key changes nothing in the account."""
    own = registrar.register(contact=[MAIL])
    new_account(client, registrar.payload(own.key, contact=["mailto:other@example.org"]), own.key)
    assert own.fetch(own.url).get("contact", []) in ([MAIL], [])


def test_lookup_of_existing(client, own):
    """RFC 8555 §7.3.1: onlyReturnExisting with a known key gives 200 and the Location."""
    response = new_account(client, {"onlyReturnExisting": True}, own.key)
    assert response.status == 200
    assert response.location == own.url


def test_lookup_of_unknown(client):
    """RFC 8555 §7.3.1: onlyReturnExisting with an unknown key is accountDoesNotExist with 400, and creates nothing."""
    key = Key()
    for _ in range(2):
        problem(new_account(client, {"onlyReturnExisting": True}, key), "accountDoesNotExist", status=400)


def test_client_cannot_choose_orders_or_status(client, registrar):
    """RFC 8555 §7.3: orders, and fields the server does not know, are ignored in newAccount."""
    key = Key()
    response = new_account(client, registrar.payload(key, orders="https://example.invalid/", frobnicate=7), key)
    assert response.status == 201
    assert response.json()["orders"] != "https://example.invalid/"
    assert "frobnicate" not in response.json()


def test_account_can_be_read(own):
    """RFC 8555 §6.3: POST-as-GET of the account URL gives the account object."""
    assert own.fetch(own.url)["status"] == "valid"


def test_contact_is_kept(registrar):
    """RFC 8555 §7.3: contacts given at creation are shown in the account object."""
    own = registrar.register(contact=[MAIL])
    assert own.document.get("contact") == [MAIL]


def test_contact_update(registrar):
    """RFC 8555 §7.3.2: an update replaces the contacts, and the answer is 200 with the account."""
    own = registrar.register(contact=[MAIL])
    response = own.post(own.url, {"contact": ["mailto:new@example.org"]})
    assert response.status == 200
    assert response.json()["contact"] == ["mailto:new@example.org"]
    assert own.fetch(own.url)["contact"] == ["mailto:new@example.org"]


def test_contact_can_be_removed(registrar):
    """RFC 8555 §7.3.2: an update with an empty list removes the contacts."""
    own = registrar.register(contact=[MAIL])
    assert own.post(own.url, {"contact": []}).status == 200
    assert not own.fetch(own.url).get("contact")


def test_empty_update_changes_nothing(registrar):
    """RFC 8555 §7.3.2: an update without fields is accepted and changes nothing."""
    own = registrar.register(contact=[MAIL])
    response = own.post(own.url, {})
    assert response.status == 200
    assert response.json().get("contact") == [MAIL]


def test_update_ignores_other_fields(own):
    """RFC 8555 §7.3.2: updates of orders, of termsOfServiceAgreed and of unknown fields are ignored."""
    response = own.post(own.url, {"orders": "https://example.invalid/", "termsOfServiceAgreed": False, "x": 1})
    assert response.status == 200
    assert response.json()["orders"] == own.document["orders"]


@pytest.mark.parametrize("status", ["revoked", "valid", "expired"])
def test_other_status_updates_have_no_effect(own, status):
    """RFC 8555 §7.3.2: a status other than deactivated is ignored or refused."""
    response = own.post(own.url, {"status": status})
    assert response.status in (200, 400, 403)
    assert own.fetch(own.url)["status"] == "valid"


def test_unsupported_contact(client, registrar):
    """RFC 8555 §7.3: a contact of an unsupported scheme is unsupportedContact."""
    key = Key()
    problem(new_account(client, registrar.payload(key, contact=["gopher://example.org/"]), key), "unsupportedContact")
    problem(new_account(client, {"onlyReturnExisting": True}, key), "accountDoesNotExist")


@pytest.mark.should
@pytest.mark.parametrize("contact", [
    "mailto:a@example.org?subject=hello", "mailto:a@example.org,b@example.org", "mailto:", "mailto:nobody"],
    ids=["hfields", "two-addresses", "empty", "no-domain"])
def test_invalid_contact(client, registrar, contact):
    """RFC 8555 §7.3: a mailto with header fields, several addresses or none should be invalidContact."""
    key = Key()
    problem(new_account(client, registrar.payload(key, contact=[contact]), key), "invalidContact")


def test_invalid_contact_update(registrar):
    """RFC 8555 §7.3: an update with an unsupported contact is refused and changes nothing."""
    own = registrar.register(contact=[MAIL])
    problem(own.post(own.url, {"contact": ["gopher://example.org/"]}), "unsupportedContact", "invalidContact")
    assert own.fetch(own.url).get("contact") == [MAIL]


@pytest.mark.parametrize("contact", ["mailto:a@example.org", [7], {}], ids=["string", "number", "object"])
def test_contact_of_the_wrong_type(client, registrar, contact):
    """RFC 8555 §7.1.2: contact is an array of strings."""
    key = Key()
    response = new_account(client, registrar.payload(key, contact=contact), key)
    problem(response, "malformed", "invalidContact", "unsupportedContact")


def test_terms_must_be_agreed_to(client, lab, registrar):
    """RFC 8555 §7.3.3: with terms in the directory, newAccount without agreement is refused."""
    if "termsOfService" not in client.meta:
        lab.not_offered("terms of service in the directory")
    key = Key()
    problem(new_account(client, registrar.payload(key, termsOfServiceAgreed=False), key))
    payload = registrar.payload(key)
    del payload["termsOfServiceAgreed"]
    problem(new_account(client, payload, key))
    problem(new_account(client, {"onlyReturnExisting": True}, key), "accountDoesNotExist")


def test_deactivation(own):
    """RFC 8555 §7.3.6: status deactivated is accepted with 200 and shown."""
    response = own.post(own.url, {"status": "deactivated"})
    assert response.status == 200
    assert response.json()["status"] == "deactivated"


def test_deactivated_account_is_unauthorized(client, lab, own):
    """RFC 8555 §7.3.6: each request of a deactivated account is refused with 401 unauthorized."""
    order = lab.order(own)
    own.post(own.url, {"status": "deactivated"})
    for url, payload in ((own.url, None), (own.url, {"status": "valid"}), (order.url, None),
                         (client.url("newOrder"), {"identifiers": lab.identifiers([lab.name()])})):
        problem(own.post(url, payload), "unauthorized", status=401)


def test_deactivated_key_makes_no_new_account(client, registrar, own):
    """RFC 8555 §7.3.6: newAccount with the key of a deactivated account is refused with 401 unauthorized."""
    own.post(own.url, {"status": "deactivated"})
    problem(new_account(client, registrar.payload(own.key), own.key), "unauthorized", status=401)


def test_other_accounts_are_closed(account, stranger):
    """RFC 8555 §7.3: an account can be neither read nor changed by another account."""
    problem(stranger.get(account.url), status=(401, 403, 404))
    problem(stranger.post(account.url, {"contact": []}), status=(401, 403, 404))
    problem(stranger.post(account.url, {"status": "deactivated"}), status=(401, 403, 404))
    assert account.fetch(account.url)["status"] == "valid"


def test_account_shows_no_secret(own):
    """RFC 8555 §7.1.2: the account object holds nothing but public data about the key."""
    key = own.fetch(own.url).get("key", {})
    assert not {"d", "p", "q", "k"} & set(key)
