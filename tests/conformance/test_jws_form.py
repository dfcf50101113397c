"""Request authentication: messages that are not well formed."""

import json

import pytest

from client import problem
from keys import Key, b64, compact, signed


@pytest.fixture
def good(client, account):
    """Makes a good JWS for a POST-as-GET of the account."""
    return lambda: client.jws(account.url, None, account.key, account.url)


def refused(response):
    """Asserts that the request was refused as malformed."""
    return problem(response, "malformed", status=400)


@pytest.mark.parametrize("part", ["protected", "payload", "signature"])
def test_missing_member(client, account, good, part):
    """RFC 8555 §6.2: a flattened JWS has protected, payload and signature."""
    jws = good()
    del jws[part]
    refused(client.send(account.url, jws))


@pytest.mark.parametrize("part", ["protected", "payload", "signature"])
def test_padding(client, account, part):
    """RFC 8555 §6.1: base64url with trailing padding must be refused."""
    jws = client.jws(account.url, None if part != "payload" else {"contact": []}, account.key, account.url)
    for length in range(4):
        if len(jws[part] + "=" * length) % 4 == 0 and length:
            jws[part] += "=" * length
            break
    else:
        jws[part] += "=="
    refused(client.send(account.url, jws))


@pytest.mark.parametrize("part", ["protected", "payload", "signature"])
def test_not_base64url(client, account, good, part):
    """RFC 8555 §6.1: characters outside the base64url alphabet must be refused."""
    jws = good()
    jws[part] = jws[part][:4] + "+/!" + jws[part][7:]
    refused(client.send(account.url, jws))


@pytest.mark.parametrize("part", ["protected", "payload", "signature"])
def test_line_break_in_base64url(client, account, part):
    """RFC 8555 §6.1: base64url has no line breaks or white space."""
    jws = client.jws(account.url, {}, account.key, account.url)
    jws[part] = jws[part][:2] + "\n" + jws[part][2:]
    refused(client.send(account.url, jws))


@pytest.mark.parametrize("part", ["protected", "payload", "signature"])
def test_member_of_the_wrong_type(client, account, good, part):
    """RFC 8555 §6.2: the members of a JWS are strings."""
    refused(client.send(account.url, {**good(), part: 7}))


@pytest.mark.parametrize("body", ["", "{", "null", "[]", "7", '"text"', "{}", "\x00\x01", "a.b.c"])
def test_body_is_not_a_jws(client, account, body):
    """RFC 8555 §6.2: a body that is not a flattened JWS in JSON is refused."""
    refused(client.send(account.url, body))


def test_body_is_not_utf8(client, account):
    """RFC 8555 §6.1: a body that is not UTF-8 is refused."""
    refused(client.send(account.url, b'{"protected":"\xff\xfe","payload":"","signature":""}'))


def test_protected_header_is_not_json(client, account):
    """RFC 8555 §6.2: a protected header that is not JSON is refused."""
    refused(client.send(account.url, signed("{not json", b"", account.key.sign)))


@pytest.mark.parametrize("head", ["null", "[]", "7", '""', "{}"])
def test_protected_header_is_not_a_header(client, account, head):
    """RFC 8555 §6.2: a protected header that is no object with the four fields is refused."""
    problem(client.send(account.url, signed(head, b"", account.key.sign)), "malformed", "badSignatureAlgorithm", status=400)


def test_unprotected_header(client, account, good):
    """RFC 8555 §6.2: the JWS unprotected header must not be used."""
    refused(client.send(account.url, {**good(), "header": {"kid": account.url}}))


def test_fields_in_the_unprotected_header(client, account):
    """RFC 8555 §6.2: header fields count only when they are protected."""
    jws = signed({"alg": "ES256", "nonce": client.nonce(), "url": account.url}, b"", account.key.sign)
    refused(client.send(account.url, {**jws, "header": {"kid": account.url}}))


def test_general_serialization(client, account, good):
    """RFC 8555 §6.2: the flattened serialization must be used, so a list of signatures is refused."""
    jws = good()
    one = {"protected": jws["protected"], "signature": jws["signature"]}
    refused(client.send(account.url, {"payload": jws["payload"], "signatures": [one]}))
    refused(client.send(account.url, {**good(), "signatures": [one]}))


def test_compact_serialization(client, account, good):
    """RFC 8555 §6.2: the compact serialization is refused."""
    jws = good()
    refused(client.send(account.url, f"{jws['protected']}.{jws['payload']}.{jws['signature']}"))


def test_detached_payload(client, account, good):
    """RFC 8555 §6.2: the payload must not be detached."""
    jws = good()
    jws["payload"] = None
    refused(client.send(account.url, jws))


def test_unencoded_payload_option(client, account):
    """RFC 8555 §6.2: the unencoded payload option (RFC 7797) must not be used."""
    refused(account.post(account.url, None, b64=False, crit=["b64"]))


def test_unknown_critical_field(client, account):
    """RFC 8555 §6.2: a header field marked critical that the server does not know is refused (RFC 7515 §4.1.11)."""
    refused(account.post(account.url, None, crit=["example"], example=True))


@pytest.mark.parametrize("twice", ["alg", "url", "kid", "nonce"])
def test_duplicate_header_field(client, account, twice):
    """RFC 8555 §6.2: header field names are unique (RFC 7515 §4), so a duplicate is refused."""
    head = {"alg": "ES256", "nonce": client.nonce(), "url": account.url, "kid": account.url}
    text = compact(head)[:-1] + f",{json.dumps(twice)}:{json.dumps(head[twice])}}}"
    refused(client.send(account.url, signed(text, b"", account.key.sign)))


@pytest.mark.parametrize("twice", ["protected", "payload", "signature"])
def test_duplicate_jws_member(client, account, good, twice):
    """RFC 8555 §6.2: the members of the JWS are unique (RFC 7515 §7.2), so a duplicate is refused."""
    jws = good()
    text = compact(jws)[:-1] + f",{json.dumps(twice)}:{json.dumps(jws[twice])}}}"
    refused(client.send(account.url, text))


def test_trailing_data(client, account, good):
    """RFC 8555 §6.2: the body is one JSON object and nothing after it."""
    refused(client.send(account.url, compact(good()) + "{}"))


def test_deep_nesting(client, account):
    """RFC 8555 §6.7: JSON nested thousands deep is refused without harm."""
    refused(client.send(account.url, '{"protected":' + "[" * 20000 + "]" * 20000 + "}"))
    assert account.get(account.url).status == 200


def test_oversized_body(client, account):
    """RFC 8555 §6.7: a body of megabytes is refused, as malformed or with status 413."""
    try:
        response = client.send(account.url, {"protected": "A" * 8_000_000, "payload": "", "signature": ""})
    except OSError:
        pass  # the server hung up before it had read all of it
    else:
        assert response.status in (400, 413), response.status
    assert account.get(account.url).status == 200


@pytest.mark.parametrize("payload", [b"{", b"null", b"[]", b"7", b'"x"', b"\xff\xfe"])
def test_payload_is_not_an_object(client, account, payload):
    """RFC 8555 §7.4: the payload of newOrder is a JSON object."""
    refused(account.post(client.url("newOrder"), payload))


def test_new_order_with_empty_payload(client, account):
    """RFC 8555 §6.3: POST-as-GET of a resource that creates things is refused."""
    problem(account.post(client.url("newOrder"), None), "malformed", status=(400, 405))


def test_post_as_get_with_object_payload(lab, account):
    """RFC 8555 §6.3: a POST-as-GET has a zero-length payload; an order read with {} is refused."""
    refused(account.post(lab.order(account).url, {}))


@pytest.mark.parametrize("change", [
    {"x": b64(b"\1" * 32), "y": b64(b"\2" * 32)}, {"x": b64(b"\0" * 32), "y": b64(b"\0" * 32)}, {"x": ""},
    {"y": None}, {"crv": "P-999"}, {"kty": "oct", "k": b64(b"secret")}, {"kty": None}],
    ids=["off-curve", "origin", "short", "no-y", "unknown-curve", "symmetric", "no-kty"])
def test_bad_jwk(client, registrar, change):
    """RFC 8555 §6.2: a jwk that is no valid public key is badPublicKey or malformed."""
    key = Key()
    jwk = {name: value for name, value in {**key.jwk(), **change}.items() if value is not None}
    response = client.post(client.url("newAccount"), registrar.payload(key), key, jwk=jwk)
    problem(response, "badPublicKey", "malformed", "badSignatureAlgorithm", status=400)


def test_weak_rsa_account_key(client, registrar):
    """RFC 8555 §6.2, §6.7: RS256 needs 2048 bits (RFC 7518 §3.3), so RSA 1024 is refused as badPublicKey."""
    key = Key("RS256", bits=1024)
    problem(client.post(client.url("newAccount"), registrar.payload(key), key), "badPublicKey", status=400)


@pytest.mark.parametrize("exponent", [b"\1", b"\2"])
def test_rsa_account_key_with_bad_exponent(client, registrar, exponent):
    """RFC 8555 §6.7: an RSA account key with exponent 1 or 2 is refused."""
    key = Key("RS256")
    jwk = {**key.jwk(), "e": b64(exponent)}
    response = client.post(client.url("newAccount"), registrar.payload(key), key, jwk=jwk)
    problem(response, "badPublicKey", "malformed", "unauthorized")


def test_private_key_in_jwk(client, registrar):
    """RFC 8555 §7.3: the account key as shown by the server never contains private members."""
    key = Key()
    private = b64(key.private.private_numbers().private_value.to_bytes(32, "big"))
    response = client.post(client.url("newAccount"), registrar.payload(key), key, jwk={**key.jwk(), "d": private})
    assert private.encode() not in response.body
