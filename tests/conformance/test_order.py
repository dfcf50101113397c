"""Orders: what newOrder accepts, what it refuses, and how an order looks."""

from datetime import datetime, timedelta, timezone

import pytest

from client import problem

NAME_ERRORS = ("malformed", "rejectedIdentifier", "unsupportedIdentifier")


def when(**delta):
    """An RFC 3339 time relative to now, in whole seconds."""
    return (datetime.now(timezone.utc) + timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text):
    """The time an RFC 3339 text stands for."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def values(document):
    """The identifiers of an order as a set of (type, value)."""
    return {(i["type"], i["value"]) for i in document["identifiers"]}


def test_creation(lab, account):
    """RFC 8555 §7.4: a new order is answered with 201, its URL in Location, and the order object."""
    response = lab.try_order(account, [lab.name()])
    assert response.status == 201
    assert response.location.startswith("https://")
    assert response.content_type == "application/json"


def test_fields(lab, account):
    """RFC 8555 §7.1.3: a new order is pending, with identifiers, authorizations and a finalize URL."""
    name = lab.name()
    document = lab.order(account, [name]).document
    assert document["status"] == "pending"
    assert values(document) == {("dns", name)}
    assert len(document["authorizations"]) == 1 and document["authorizations"][0].startswith("https://")
    assert document["finalize"].startswith("https://")
    assert "certificate" not in document


def test_expires(lab, account):
    """RFC 8555 §7.1.3: a pending order says when it expires, in RFC 3339 form, in the future."""
    assert parse(lab.order(account).document["expires"]) > datetime.now(timezone.utc)


def test_can_be_read(lab, account):
    """RFC 8555 §7.1.3: POST-as-GET of the order URL gives the same order."""
    order = lab.order(account)
    first = dict(order.document)
    assert order.refresh() == first


def test_several_names(lab, account):
    """RFC 8555 §7.1.3: an order for several names has an authorization for each."""
    names = [lab.name() for _ in range(3)]
    order = lab.order(account, names)
    assert values(order.document) == {("dns", n) for n in names}
    assert {a["identifier"]["value"] for _, a in order.authorizations()} == set(names)


def test_duplicate_identifiers(lab, account):
    """RFC 8555 §7.4: a name given twice is refused or counted once."""
    name = lab.name()
    response = lab.try_order(account, [name, name])
    if response.status == 201:
        assert len(response.json()["identifiers"]) == len(response.json()["authorizations"]) == 1
    else:
        problem(response, *NAME_ERRORS)


def test_wildcard_authorization(lab, account):
    """RFC 8555 §7.1.3, §7.1.4: a wildcard order keeps *. in its identifier; the authorization drops it and says wildcard."""
    name = lab.name()
    order = lab.order(account, ["*." + name])
    assert values(order.document) == {("dns", "*." + name)}
    _, authorization = order.authorizations()[0]
    assert authorization["identifier"] == {"type": "dns", "value": name}
    assert authorization.get("wildcard") is True


def test_wildcard_beside_its_base(lab, account):
    """RFC 8555 §7.1.4: a name and its wildcard are two authorizations, one of them marked wildcard."""
    name = lab.name()
    order = lab.order(account, [name, "*." + name])
    marks = sorted(a.get("wildcard", False) for _, a in order.authorizations())
    assert marks == [False, True]


@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.7", "::1", "2001:db8::7"])
def test_ip_identifier(lab, account, address):
    """RFC 8738 §3: an IP address in its canonical text form is an identifier of type ip."""
    order = lab.ip_order(account, address)
    assert values(order.document) == {("ip", address)}
    assert order.authorizations()[0][1]["identifier"] == {"type": "ip", "value": address}


@pytest.mark.parametrize("address", ["", "127.1", "256.0.0.1", "127.0.0.1/32", "0x7f.0.0.1", "1.2.3.4.5", ":::",
                                     "[::1]", "fe80::1%lo", "example.org", "::1 ", "1.2.3.4\n"])
def test_invalid_ip_identifier(lab, account, address):
    """RFC 8738 §3: a text that is no IP address is refused."""
    lab.ip_order(account, "127.0.0.1")
    problem(lab.try_order(account, [{"type": "ip", "value": address}]), *NAME_ERRORS)


@pytest.mark.parametrize("address", ["2001:0db8:0:0::0001", "2001:DB8::1"])
def test_uncanonical_ip_identifier(lab, account, address):
    """RFC 8738 §3: an IPv6 address not in RFC 5952 form is refused or brought into that form."""
    lab.ip_order(account, "127.0.0.1")
    response = lab.try_order(account, [{"type": "ip", "value": address}])
    if response.status == 201:
        assert values(response.json()) == {("ip", "2001:db8::1")}
    else:
        problem(response, *NAME_ERRORS)


@pytest.mark.parametrize("payload", [
    {}, {"identifiers": []}, {"identifiers": None}, {"identifiers": "x"}, {"identifiers": {}}, {"identifiers": [7]},
    {"identifiers": [{}]}, {"identifiers": [{"type": "dns"}]}, {"identifiers": [{"value": "a.example"}]},
    {"identifiers": [{"type": "dns", "value": 7}]}, {"identifiers": [None]}],
    ids=["missing", "empty", "null", "string", "object", "number", "no-fields", "no-value", "no-type", "number-value", "null-item"])
def test_malformed_identifiers(client, account, payload):
    """RFC 8555 §7.4: identifiers is a required, non-empty array of objects with type and value."""
    problem(account.post(client.url("newOrder"), payload), *NAME_ERRORS, status=400)


def test_unsupported_identifier_type(lab, account):
    """RFC 8555 §6.7, §9.7.7: an identifier type the server does not know is unsupportedIdentifier."""
    problem(lab.try_order(account, [{"type": "frobnicate", "value": "x"}]), "unsupportedIdentifier")


BAD_NAMES = {
    "empty": "", "dot": ".", "double-dot": "a..{zone}", "leading-dot": ".a.{zone}", "space": "a b.{zone}",
    "leading-hyphen": "-a.{zone}", "trailing-hyphen": "a-.{zone}", "underscore": "a_b.{zone}", "port": "a.{zone}:443",
    "url": "https://a.{zone}/", "path": "a.{zone}/x", "nul": "a\0b.{zone}", "newline": "a.{zone}\n", "unicode": "bücher.{zone}",
    "long-label": "a" * 64 + ".{zone}", "long-name": "a." * 120 + "{zone}", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
    "star": "*", "double-star": "*.*.{zone}", "inner-star": "a.*.{zone}", "partial-star": "w*.{zone}", "star-dot": "*.",
    "at": "a@{zone}", "percent": "%61.{zone}", "comma": "a.{zone},b.{zone}", "bad-punycode": "xn--99999999999.{zone}"}


@pytest.mark.parametrize("sort", BAD_NAMES)
def test_invalid_name(lab, account, sort):
    """RFC 8555 §7.1.4: a dns identifier is a DNS name in ASCII form (or one *. before it); else it is refused."""
    problem(lab.try_order(account, [{"type": "dns", "value": BAD_NAMES[sort].format(zone=lab.zone)}]), *NAME_ERRORS)


@pytest.mark.parametrize("form", ["{}.", "UPPER-{}"])
def test_unnormalized_name(lab, account, form):
    """RFC 8555 §7.1.4: a name with capitals or a trailing dot is refused or normalized."""
    name = form.format(lab.name())
    response = lab.try_order(account, [name])
    if response.status == 201:
        assert values(response.json()) == {("dns", name.lower().rstrip("."))}
    else:
        problem(response, *NAME_ERRORS)


def test_wildcard_of_ip(lab, account):
    """RFC 8738 §3: an address has no wildcard."""
    problem(lab.try_order(account, [{"type": "ip", "value": "*.127.0.0.1"}]), *NAME_ERRORS)


def test_too_many_identifiers(lab, account):
    """RFC 8555 §7.4: ten thousand names in one order are taken whole or refused, and the server lives on."""
    response = lab.try_order(account, [f"x{n}.{lab.zone}" for n in range(10_000)])
    if response.status == 201:
        assert len(response.json()["authorizations"]) == 10_000
    else:
        problem(response, status=(400, 403, 413))
    lab.order(account)


@pytest.mark.should
def test_subproblem_per_identifier(lab, account):
    """RFC 8555 §6.7.1: with several bad names, the problem should say of each what is wrong."""
    bad = [f"-a.{lab.zone}", f"b..{lab.zone}"]
    document = problem(lab.try_order(account, [lab.name(), *bad]), *NAME_ERRORS, "compound")
    named = {s["identifier"]["value"] for s in document.get("subproblems", [])}
    assert named == set(bad)


def test_not_after_is_honoured(lab, account):
    """RFC 8555 §7.4: a requested notAfter is refused, or echoed and then kept in the certificate."""
    name, wish = lab.name(), when(hours=2)
    response = lab.try_order(account, [name], notAfter=wish)
    if response.status != 201:
        problem(response)
        return
    assert parse(response.json()["notAfter"]) == parse(wish)
    issued = lab.issue(account, [name], notAfter=wish)
    assert issued.leaf.not_valid_after_utc == parse(wish)


def test_not_before_is_honoured(lab, account):
    """RFC 8555 §7.4: a requested notBefore is refused, or echoed and then kept in the certificate."""
    name, wish = lab.name(), when(minutes=-1)
    response = lab.try_order(account, [name], notBefore=wish)
    if response.status != 201:
        problem(response)
        return
    assert parse(response.json()["notBefore"]) == parse(wish)
    issued = lab.issue(account, [name], notBefore=wish)
    assert issued.leaf.not_valid_before_utc == parse(wish)


@pytest.mark.parametrize("fields", [
    {"notBefore": "yesterday"}, {"notAfter": 7}, {"notAfter": "2030-13-01T00:00:00Z"},
    {"notBefore": when(days=2), "notAfter": when(days=1)}], ids=["no-time", "number", "month-13", "backwards"])
def test_impossible_validity(lab, account, fields):
    """RFC 8555 §7.4: a validity the server cannot give is refused when it is asked for."""
    problem(lab.try_order(account, [lab.name()], **fields))


def test_orders_are_closed_to_others(lab, account, stranger):
    """RFC 8555 §7.4: an order can be neither read nor finalized by another account."""
    order = lab.order(account)
    problem(stranger.get(order.url), status=(401, 403, 404))
    problem(stranger.post(order.document["finalize"], {"csr": "AAAA"}), status=(400, 401, 403, 404))
    assert order.refresh()["status"] == "pending"


def test_unknown_order(lab, account):
    """RFC 8555 §7.4: the URL of an order that does not exist is an error."""
    url = lab.order(account).url
    gone = url[:-6] + ("999999" if url[-6:].isdigit() else "zzzzzz")
    assert account.get(gone).status in (400, 401, 403, 404)
