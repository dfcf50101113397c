"""The list of an account's orders."""

import pytest

from client import problem


@pytest.fixture(scope="module")
def owner(registrar):
    """An account for this file alone, so that its orders are known."""
    return registrar.register()


def pages(owner):
    """All pages of the list, following Link rel=next."""
    found, url = [], owner.document["orders"]
    while url:
        response = owner.get(url)
        assert response.status == 200, f"orders list: status {response.status}"
        assert isinstance(response.json().get("orders"), list)
        found.append(response.json()["orders"])
        url = next(iter(response.links("next")), None)
        assert len(found) < 1000, "the pages never end"
    return found


def test_empty_list(registrar):
    """RFC 8555 §7.1.2.1: the list of a new account is an object with an empty array orders."""
    assert pages(registrar.register()) == [[]]


def test_pending_orders_are_listed(lab, owner):
    """RFC 8555 §7.1.2.1: pending orders are listed by URL, over as many pages as it takes, each once."""
    made = {lab.order(owner).url for _ in range(12)}
    listed = [url for page in pages(owner) for url in page]
    assert made <= set(listed)
    assert len(listed) == len(set(listed))


def test_pages_are_linked(lab, owner):
    """RFC 8555 §7.1.2.1: a list in pages links each page to the next; no page but the last is empty."""
    for _ in range(5):
        lab.order(owner)
    assert all(page for page in pages(owner))


def test_list_is_closed_to_others(owner, stranger):
    """RFC 8555 §7.1.2.1: the list is for its account only."""
    problem(stranger.get(owner.document["orders"]), status=(401, 403, 404))


def test_list_is_not_open_to_get(client, owner):
    """RFC 8555 §6.3: the list cannot be read by an unauthenticated GET."""
    problem(client.request("GET", owner.document["orders"]), "malformed", status=405)


@pytest.mark.should
def test_invalid_orders_are_not_listed(lab, registrar):
    """RFC 8555 §7.1.2.1: invalid orders should not be in the list."""
    own = registrar.register()
    order = lab.order(own)
    lab.respond(own, lab.challenge(order.authorizations()[0][1], "http-01"))
    order.reaches("invalid")
    assert order.url not in [url for page in pages(own) for url in page]
