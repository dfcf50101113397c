"""Certification Authority Authorization, where the directory names caaIdentities."""

import pytest

from client import ERROR, problem
from laboratory import request
from nameserver import CAA


@pytest.fixture
def identity(client, lab):
    """A domain name by which this CA knows itself in CAA records."""
    names = client.meta.get("caaIdentities") or lab.not_offered("caaIdentities in the directory")
    return names[0]


def permitted(lab, account, name, kind="http-01", errors=("caa",)):
    """Whether a certificate comes of it; if not, the error must be caa, wherever the server notices."""
    urns = [ERROR + e for e in errors]
    order = lab.order(account, [name])
    url, authorization = order.authorizations()[0]
    challenge = lab.challenge(authorization, kind)
    lab.publish(account, authorization, challenge)
    lab.respond(account, challenge)
    if lab.settled(account, url)["status"] == "invalid":
        assert account.fetch(challenge["url"])["error"]["type"] in urns
        return False
    order.reaches("ready")
    response = lab.finalize(order, request([name]))
    if response.status != 200:
        problem(response, *errors)
        return False
    document = order.reaches("valid", "invalid")
    if document["status"] == "invalid":
        assert document["error"]["type"] in urns
        return False
    return True


def test_own_identity(lab, account, identity):
    """RFC 8659 §4.2: a record that names this CA permits."""
    name = lab.name()
    lab.dns.caa(name, (0, "issue", identity))
    assert permitted(lab, account, name)


@pytest.mark.parametrize("value", [";", "other-ca.example", "%%%%"])
def test_other_identity(lab, account, identity, value):
    """RFC 8659 §4.2, RFC 8555 §6.7: a record that names nobody or another CA forbids, with error caa."""
    name = lab.name()
    lab.dns.caa(name, (0, "issue", value))
    assert not permitted(lab, account, name)


def test_inherited(lab, account, identity):
    """RFC 8659 §3: the nearest ancestor with records decides."""
    parent = lab.name()
    lab.dns.caa(parent, (0, "issue", ";"))
    assert not permitted(lab, account, "child." + parent)


def test_unknown_critical_property(lab, account, identity):
    """RFC 8659 §4.1: an unknown property marked critical forbids."""
    name = lab.name()
    lab.dns.caa(name, (0, "issue", identity), (128, "frobnicate", "x"))
    assert not permitted(lab, account, name)


def test_unknown_property(lab, account, identity):
    """RFC 8659 §4.1: an unknown property that is not critical is ignored."""
    name = lab.name()
    lab.dns.caa(name, (0, "issue", identity), (0, "frobnicate", "x"))
    assert permitted(lab, account, name)


def test_issuewild(lab, account, identity):
    """RFC 8659 §4.3: for a wildcard issuewild decides, for a plain name issue."""
    name = lab.name()
    lab.dns.caa(name, (0, "issue", identity), (0, "issuewild", ";"))
    assert permitted(lab, account, name)
    assert not permitted(lab, account, "*." + name, "dns-01")


def test_account_uri(lab, account, stranger, identity):
    """RFC 8657 §3: accounturi limits issuance to that account."""
    name = lab.name()
    lab.dns.caa(name, (0, "issue", f"{identity}; accounturi={account.url}"))
    assert permitted(lab, account, name)
    assert not permitted(lab, stranger, name)


def test_validation_methods(lab, account, identity):
    """RFC 8657 §4: validationmethods limits issuance to those challenges."""
    name = lab.name()
    other = lab.name()
    for each in (name, other):
        lab.dns.caa(each, (0, "issue", f"{identity}; validationmethods=dns-01"))
    assert not permitted(lab, account, name)
    assert permitted(lab, account, other, "dns-01")


def test_failing_lookup(lab, account, identity):
    """RFC 8659 §3: a lookup that fails does not permit."""
    name = lab.name()
    lab.dns.fail(name, CAA)
    assert not permitted(lab, account, name, errors=("caa", "dns"))
