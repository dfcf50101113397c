"""Request authentication: what a signed request must look like."""

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from client import problem
from keys import Key, b64, compact, mac, signed

REFUSED = ("malformed", "unauthorized")


@pytest.fixture
def send(client, account):
    """Sends a POST-as-GET of the account, its protected header bent and its parts replaced."""

    def sender(parts=None, payload=b"", sign=None, key=None, kid=True, **bend):
        head = {"alg": account.key.alg, "nonce": client.nonce(), "url": account.url}
        if kid:
            head["kid"] = account.url
        head = {name: value for name, value in {**head, **bend}.items() if value is not None}
        jws = signed(head, payload, sign or (key or account.key).sign)
        return client.send(account.url, parts(jws) if parts else jws)

    return sender


def test_es256_is_accepted(registrar):
    """RFC 8555 §6.2: ES256 must be accepted for account keys."""
    account = registrar.register(Key("ES256"))
    assert account.get(account.url).status == 200


@pytest.mark.should
def test_eddsa_is_accepted(registrar):
    """RFC 8555 §6.2: EdDSA with Ed25519 should be accepted for account keys."""
    account = registrar.register(Key("EdDSA"))
    assert account.get(account.url).status == 200


@pytest.mark.parametrize("alg", ["RS256", "ES384", "ES512"])
def test_other_algorithms_work_or_are_refused_by_name(client, registrar, alg):
    """RFC 8555 §6.2: a further algorithm is either accepted, or refused as badSignatureAlgorithm."""
    key = Key(alg)
    response = client.post(client.url("newAccount"), registrar.payload(key), key)
    if response.status != 201:
        problem(response, "badSignatureAlgorithm", "badPublicKey", status=400)


@pytest.mark.parametrize("alg", ["PS999", "ES256K", "none", "HS256", "HS512", "RS1"])
def test_unsupported_algorithm(client, account, send, alg):
    """RFC 8555 §6.2: none, MAC and unknown algorithms are badSignatureAlgorithm, with the good ones listed."""
    sign = (lambda _: b"") if alg == "none" else mac(b"secret") if alg[:2] == "HS" else account.key.sign
    document = problem(send(alg=alg, sign=sign), "badSignatureAlgorithm", status=400)
    algorithms = document.get("algorithms")
    assert isinstance(algorithms, list) and "ES256" in algorithms, "no algorithms array in the problem"
    assert not {"none", "HS256", "HS384", "HS512"} & set(algorithms)


def test_mac_with_public_key_as_secret(client, registrar):
    """RFC 8555 §6.2: a MAC keyed with the account's public key is no proof of the private one."""
    key = Key()
    head = {"alg": "HS256", "nonce": client.nonce(), "url": client.url("newAccount"), "jwk": key.jwk()}
    jws = signed(head, registrar.payload(key), mac(compact(key.jwk()).encode(), hashlib.sha256))
    problem(client.send(client.url("newAccount"), jws), "badSignatureAlgorithm", status=400)


def test_algorithm_must_fit_the_key(send):
    """RFC 8555 §6.2: an algorithm that does not go with the account's key is refused."""
    problem(send(alg="RS256"), "badSignatureAlgorithm", *REFUSED)


def test_missing_algorithm(send):
    """RFC 8555 §6.2: the protected header must have alg."""
    problem(send(alg=None), "malformed", "badSignatureAlgorithm", status=400)


def test_content_type_is_checked(client, account):
    """RFC 8555 §6.2: a POST whose content type is not application/jose+json gets status 415."""
    jws = client.jws(account.url, None, account.key, account.url)
    problem(client.send(account.url, jws, content_type="application/json"), "malformed", status=415)


def test_missing_content_type(client, account):
    """RFC 8555 §6.2: a POST without content type gets status 415."""
    body = compact(client.jws(account.url, None, account.key, account.url))
    problem(client.request("POST", account.url, body, {"Content-Length": str(len(body))}), "malformed", status=415)


def test_missing_url(send):
    """RFC 8555 §6.4: the protected header must have url."""
    problem(send(url=None), *REFUSED)


def test_wrong_url(send, client):
    """RFC 8555 §6.4: a url other than the one the request was sent to is refused as unauthorized."""
    problem(send(url=client.url("newOrder")), "unauthorized", status=(401, 403))


def test_url_must_be_a_string(send):
    """RFC 8555 §6.4.1: a url that is not a string is refused."""
    problem(send(url=["https://example.invalid/"]), *REFUSED)


def test_url_of_another_host(send):
    """RFC 8555 §6.4: the comparison includes the host, so a message for another server is refused."""
    problem(send(url="https://other.invalid/acme/acct/1"), "unauthorized", status=(401, 403))


def test_kid_and_jwk_together(send, account):
    """RFC 8555 §6.2: jwk and kid exclude each other."""
    problem(send(jwk=account.key.jwk()), "malformed", status=400)


def test_neither_kid_nor_jwk(send):
    """RFC 8555 §6.2: one of jwk and kid must be there."""
    problem(send(kid=False), "malformed", status=400)


def test_jwk_where_kid_is_needed(send, account):
    """RFC 8555 §6.2: a request about an existing account must name it by kid."""
    problem(send(kid=False, jwk=account.key.jwk()), "malformed", status=400)


def test_jwk_on_new_order(client, lab, account):
    """RFC 8555 §6.2: newOrder must be signed with kid, not jwk."""
    payload = {"identifiers": lab.identifiers([lab.name()])}
    problem(client.post(client.url("newOrder"), payload, account.key), "malformed", status=400)


def test_kid_on_new_account(client, registrar, account):
    """RFC 8555 §6.2: newAccount must be signed with jwk, not kid."""
    response = account.post(client.url("newAccount"), registrar.payload(account.key))
    problem(response, "malformed", status=400)


def test_unknown_kid(send, account):
    """RFC 8555 §6.2, §7.3: a kid that names no account is refused."""
    bogus = account.url.rpartition("/")[0] + "/999999999999"
    response = account.client.post(account.url, None, account.key, bogus)
    problem(response, "accountDoesNotExist", *REFUSED)


def test_kid_of_another_server(send, client, account):
    """RFC 8555 §6.2: a kid that is not a URL of this server is refused."""
    response = client.post(account.url, None, account.key, "https://other.invalid/acct/1")
    problem(response, "accountDoesNotExist", *REFUSED)


def test_kid_must_be_the_whole_url(client, account):
    """RFC 8555 §6.2: the kid is the account URL, not a part of it."""
    response = client.post(account.url, None, account.key, account.url.rsplit("/", 1)[1])
    problem(response, "accountDoesNotExist", *REFUSED)


def test_signature_by_another_key(send):
    """RFC 8555 §6.2: a signature that another key made is refused."""
    problem(send(key=Key()), *REFUSED)


def test_broken_signature(send, account):
    """RFC 8555 §6.2: a signature with one bit changed is refused."""
    def flip(data):
        signature = account.key.sign(data)
        return bytes([signature[0] ^ 1]) + signature[1:]

    problem(send(sign=flip), *REFUSED)


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"\xff" * 64, b"\1" * 63, b"\1" * 65])
def test_degenerate_signature(send, signature):
    """RFC 8555 §6.2: an empty, zero, out-of-range or wrongly sized signature is refused."""
    problem(send(sign=lambda _: signature), *REFUSED)


def test_der_signature(send, account):
    """RFC 8555 §6.2: an ECDSA signature in DER instead of JWS form is refused."""
    der = lambda data: account.key.private.sign(data, ec.ECDSA(hashes.SHA256()))
    problem(send(sign=der), *REFUSED)


def test_payload_changed_after_signing(client, lab, account):
    """RFC 8555 §6.2: the signature covers the payload."""
    jws = client.jws(client.url("newOrder"), {"identifiers": lab.identifiers([lab.name()])}, account.key, account.url)
    jws["payload"] = b64(compact({"identifiers": lab.identifiers([lab.name()])}).encode())
    problem(client.send(client.url("newOrder"), jws), *REFUSED)


def test_header_changed_after_signing(client, account):
    """RFC 8555 §6.2: the signature covers the protected header."""
    jws = client.jws(account.url, None, account.key, account.url)
    head = {"alg": "ES256", "nonce": client.nonce(), "url": account.url, "kid": account.url}
    problem(client.send(account.url, {**jws, "protected": b64(compact(head).encode())}), *REFUSED)


def test_signed_key_must_be_in_jwk(client, registrar):
    """RFC 8555 §6.2: newAccount's signature must verify under the very key in jwk."""
    key, signer = Key(), Key()
    response = client.post(client.url("newAccount"), registrar.payload(key), signer, jwk=key.jwk())
    problem(response, *REFUSED)
