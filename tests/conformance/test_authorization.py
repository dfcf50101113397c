"""Authorizations: their form, their challenges, deactivation, pre-authorization."""

import re
from datetime import datetime, timezone

import pytest

from client import problem, until

BY_DNS = {"dns-01", "dns-account-01", "dns-persist-01"}


@pytest.fixture
def pending(lab, account):
    """A new order and its authorization: (order, URL, authorization)."""
    order = lab.order(account)
    return order, *order.authorizations()[0]


def test_fields(pending):
    """RFC 8555 §7.1.4: an authorization has identifier, status and challenges; a new one is pending."""
    order, _, authorization = pending
    assert authorization["identifier"] == order.document["identifiers"][0]
    assert authorization["status"] == "pending"
    assert authorization["challenges"]
    assert not authorization.get("wildcard", False)


def test_expires(pending):
    """RFC 8555 §7.1.4: expires, where given, is a time to come."""
    _, _, authorization = pending
    if "expires" in authorization:
        assert datetime.fromisoformat(authorization["expires"].replace("Z", "+00:00")) > datetime.now(timezone.utc)


def test_valid_authorization_expires(lab, account):
    """RFC 8555 §7.1.4: a valid authorization must say when it expires, and shows the challenge that was met."""
    order = lab.order(account)
    done = lab.prove(account, order.document["authorizations"][0])
    assert datetime.fromisoformat(done["expires"].replace("Z", "+00:00")) > datetime.now(timezone.utc)
    assert [c["type"] for c in done["challenges"] if c["status"] == "valid"] == ["http-01"]


def test_challenge_fields(pending):
    """RFC 8555 §8: a challenge has type, url and status; before the client acts it is pending."""
    for challenge in pending[2]["challenges"]:
        assert isinstance(challenge["type"], str) and challenge["url"].startswith("https://")
        assert challenge["status"] == "pending"
        assert "validated" not in challenge


def test_token_form(pending):
    """RFC 8555 §8.3, §8.4: a token is unpadded base64url with at least 128 bits, so 22 characters or more."""
    for challenge in pending[2]["challenges"]:
        if challenge["type"] != "dns-persist-01":
            assert re.fullmatch(r"[A-Za-z0-9_-]{22,}", challenge["token"]), challenge


def test_tokens_differ(lab, account):
    """RFC 8555 §11.3: tokens are random, so no two authorizations share one."""
    order = lab.order(account, [lab.name() for _ in range(20)])
    tokens = [{c["token"] for c in a["challenges"] if "token" in c} for _, a in order.authorizations()]
    assert len(set.union(*tokens)) == sum(len(t) for t in tokens)


def test_challenge_types_differ(pending):
    """RFC 8555 §7.1.4: the challenges are alternatives, so each type comes once."""
    types = [c["type"] for c in pending[2]["challenges"]]
    assert len(types) == len(set(types))


def test_wildcard_challenges(lab, account):
    """RFC 8555 §7.1.4, RFC 8737 §3: a host answering for one name cannot prove a wildcard; only DNS challenges are offered."""
    _, authorization = lab.order(account, ["*." + lab.name()]).authorizations()[0]
    assert {c["type"] for c in authorization["challenges"]} <= BY_DNS


def test_ip_challenges(lab, account):
    """RFC 8738 §7: dns-01 must not be used for an IP address."""
    _, authorization = lab.ip_order(account, "127.0.0.1").authorizations()[0]
    types = {c["type"] for c in authorization["challenges"]}
    assert types and not types & BY_DNS


def test_challenge_can_be_read(account, pending):
    """RFC 8555 §7.5.1, §6.3: POST-as-GET of a challenge gives it and does not start validation."""
    challenge = pending[2]["challenges"][0]
    shown = account.fetch(challenge["url"])
    assert shown == challenge
    assert account.fetch(challenge["url"])["status"] == "pending"


def test_challenge_links_up(account, pending):
    """RFC 8555 §7.1, §7.5.1: a challenge links to its authorization as up."""
    _, url, authorization = pending
    assert account.get(authorization["challenges"][0]["url"]).links("up") == [url]


def test_closed_to_others(stranger, account, pending):
    """RFC 8555 §7.5: authorization and challenges can be neither read nor changed by another account."""
    _, url, authorization = pending
    challenge = authorization["challenges"][0]
    problem(stranger.get(url), status=(401, 403, 404))
    problem(stranger.get(challenge["url"]), status=(401, 403, 404))
    problem(stranger.post(challenge["url"], {}), status=(401, 403, 404))
    problem(stranger.post(url, {"status": "deactivated"}), status=(401, 403, 404))
    assert account.fetch(url)["status"] == "pending"


def test_deactivation(account, pending):
    """RFC 8555 §7.5.2: status deactivated is accepted with 200 and shown."""
    _, url, _ = pending
    response = account.post(url, {"status": "deactivated"})
    assert response.status == 200
    assert response.json()["status"] == "deactivated"
    assert account.fetch(url)["status"] == "deactivated"


def test_deactivation_of_valid(lab, account):
    """RFC 8555 §7.5.2: a valid authorization can be given up, and is not used for later orders."""
    name = lab.name()
    order = lab.ready(account, [name])
    url = order.document["authorizations"][0]
    assert account.post(url, {"status": "deactivated"}).json()["status"] == "deactivated"
    later = lab.order(account, [name])
    assert url not in later.document["authorizations"]
    assert later.document["status"] == "pending"


def test_deactivation_ends_the_order(account, pending):
    """RFC 8555 §7.1.6: an order whose authorization is deactivated becomes invalid."""
    order, url, _ = pending
    account.post(url, {"status": "deactivated"})
    order.reaches("invalid", seconds=2)


def test_deactivated_authorization_cannot_be_met(account, pending):
    """RFC 8555 §7.1.6: deactivated is final, so a challenge of it cannot be answered any more."""
    _, url, authorization = pending
    account.post(url, {"status": "deactivated"})
    response = account.post(authorization["challenges"][0]["url"], {})
    assert response.status >= 400 or response.json()["status"] != "processing"
    assert account.fetch(url)["status"] == "deactivated"


@pytest.mark.parametrize("payload", [{"status": "valid"}, {"status": "revoked"}, {"status": 7}])
def test_other_status_updates_have_no_effect(account, pending, payload):
    """RFC 8555 §7.5.2: deactivation is the only change a client can make."""
    _, url, _ = pending
    assert account.post(url, payload).status in (200, 400, 403)
    assert account.fetch(url)["status"] == "pending"


def test_valid_authorization_is_used_once_or_shared(lab, account):
    """RFC 8555 §7.1.3: a later order may reuse a valid authorization; its status then agrees with that."""
    name = lab.name()
    lab.ready(account, [name])
    again = lab.order(account, [name])
    statuses = {a["status"] for _, a in again.authorizations()}
    assert again.refresh()["status"] == ("ready" if statuses == {"valid"} else "pending")


@pytest.fixture
def new_authorization(client, lab):
    """The newAuthz URL, where pre-authorization is offered."""
    return client.directory.get("newAuthz") or lab.not_offered("newAuthz in the directory")


def ask(account, url, value, kind="dns"):
    """A newAuthz request."""
    return account.post(url, {"identifier": {"type": kind, "value": value}})


def test_pre_authorization(lab, account, new_authorization):
    """RFC 8555 §7.4.1: newAuthz gives 201, a Location and a pending authorization that can be met."""
    name = lab.name()
    response = ask(account, new_authorization, name)
    assert response.status == 201 and response.location
    assert response.json()["status"] == "pending"
    assert response.json()["identifier"] == {"type": "dns", "value": name}
    assert lab.prove(account, response.location)["status"] == "valid"


def test_pre_authorization_serves_an_order(lab, account, new_authorization):
    """RFC 8555 §7.4.1: an order for a name authorized before needs no new proof, or shows a new authorization."""
    name = lab.name()
    url = ask(account, new_authorization, name).location
    lab.prove(account, url)
    order = lab.order(account, [name])
    if order.document["authorizations"] == [url]:
        until(lambda: order.refresh()["status"] == "ready", 2)
    else:
        assert order.document["status"] == "pending"


def test_pre_authorization_of_wildcard(lab, account, new_authorization):
    """RFC 8555 §7.4.1: newAuthz for a wildcard is refused as malformed."""
    problem(ask(account, new_authorization, "*." + lab.name()), "malformed", "rejectedIdentifier")


def test_pre_authorization_of_nothing(account, new_authorization):
    """RFC 8555 §7.4.1: newAuthz needs an identifier."""
    problem(account.post(new_authorization, {}), "malformed")
    problem(ask(account, new_authorization, "x", "frobnicate"), "unsupportedIdentifier")
    problem(ask(account, new_authorization, "-a-.example"), "malformed", "rejectedIdentifier")
