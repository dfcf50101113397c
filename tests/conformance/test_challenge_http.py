"""The http-01 challenge, and what every challenge has in common."""

import re
from datetime import datetime

import pytest

from client import ERROR, problem
from responder import WELL_KNOWN


@pytest.fixture
def try_http(lab, account):
    """Opens an order, lets `arrange(name, token, answer)` set up the web server, responds, and gives
    (order, settled authorization, settled challenge)."""

    def attempt(arrange, name=None):
        name = name or lab.name()
        order, url, authorization, challenge = lab.pending(account, "http-01", [name])
        arrange(name, challenge["token"], account.key.authorization(challenge["token"]))
        assert lab.respond(account, challenge).status == 200
        settled = lab.settled(account, url)
        return order, settled, account.fetch(challenge["url"])

    return attempt


def failed(outcome, *errors):
    """Asserts that authorization, challenge and order failed, the challenge with one of these errors."""
    order, authorization, challenge = outcome
    assert authorization["status"] == "invalid", authorization
    assert challenge["status"] == "invalid"
    kind = challenge["error"]["type"]
    assert kind in [ERROR + e for e in errors], f"challenge error {kind}, expected one of {errors}"
    assert order.reaches("invalid")["status"] == "invalid"


def passed(outcome):
    """Asserts that authorization, challenge and order made it."""
    order, authorization, challenge = outcome
    assert authorization["status"] == "valid", challenge
    assert challenge["status"] == "valid"
    assert order.reaches("ready")["status"] == "ready"


def test_success(lab, try_http):
    """RFC 8555 §8.3: the key authorization served under the well-known path proves the name."""
    passed(try_http(lab.http.challenge))


def test_validated_time(lab, try_http):
    """RFC 8555 §8: a valid challenge says when it was validated, in RFC 3339 form."""
    _, _, challenge = try_http(lab.http.challenge)
    assert datetime.fromisoformat(challenge["validated"].replace("Z", "+00:00"))


def test_what_is_fetched(lab, try_http):
    """RFC 8555 §8.3: the server GETs exactly the well-known path, with the name as Host."""
    name = lab.name()
    _, _, challenge = try_http(lab.http.challenge, name)
    seen = lab.http.requests_for(name)
    assert {path for path, _ in seen} == {WELL_KNOWN + challenge["token"]}
    assert all(re.fullmatch(re.escape(name) + r"(:\d+)?", headers["Host"], re.I) for _, headers in seen)


@pytest.mark.should
def test_trailing_white_space(lab, try_http):
    """RFC 8555 §8.3: white space after the key authorization should be ignored."""
    passed(try_http(lambda name, token, answer: lab.http.challenge(name, token, answer + " \t\r\n")))


@pytest.mark.parametrize("body", ["", "{answer}x", "{token}", "{answer}.{answer}", "x{answer}", "<html>{answer}</html>"])
def test_wrong_body(lab, try_http, body):
    """RFC 8555 §8.3: a body that is not the key authorization fails the challenge."""
    arrange = lambda name, token, answer: lab.http.challenge(name, token, body.format(token=token, answer=answer))
    failed(try_http(arrange), "unauthorized", "incorrectResponse", "malformed")


def test_answer_for_another_account(lab, try_http, stranger):
    """RFC 8555 §8.1: the key authorization of another account's key fails the challenge."""
    arrange = lambda name, token, _: lab.http.challenge(name, token, stranger.key.authorization(token))
    failed(try_http(arrange), "unauthorized", "incorrectResponse")


def test_huge_body(lab, try_http):
    """RFC 8555 §8.3: a body of megabytes fails the challenge and does no harm."""
    arrange = lambda name, token, answer: lab.http.challenge(name, token, answer + "." * 3_000_000)
    failed(try_http(arrange), "unauthorized", "incorrectResponse", "connection", "malformed")


@pytest.mark.parametrize("status", [404, 500, 204])
def test_wrong_status(lab, try_http, status):
    """RFC 8555 §8.3: only a successful answer with the key authorization counts."""
    body = lambda answer: b"" if status == 204 else answer
    arrange = lambda name, token, answer: lab.http.serve(name, WELL_KNOWN + token, body(answer), status)
    failed(try_http(arrange), "unauthorized", "incorrectResponse", "connection")


def test_nothing_listens(lab, try_http):
    """RFC 8555 §6.7: a refused connection is reported as error connection."""
    failed(try_http(lambda name, *_: lab.dns.address(name, "127.0.0.9")), "connection")


def test_name_without_address(lab, try_http):
    """RFC 8555 §6.7: a name without address is reported as error dns (or connection)."""
    failed(try_http(lambda name, *_: lab.dns.address(name)), "dns", "connection")


def test_name_that_does_not_resolve(lab, try_http):
    """RFC 8555 §6.7: a DNS server failure is reported as error dns (or connection)."""
    failed(try_http(lambda name, *_: lab.dns.fail(name)), "dns", "connection")


@pytest.mark.should
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect(lab, try_http, status):
    """RFC 8555 §8.3: redirects should be followed."""

    def arrange(name, token, answer):
        lab.http.serve(name, "/elsewhere", answer)
        lab.http.serve(name, WELL_KNOWN + token, "", status, {"Location": "/elsewhere"})

    passed(try_http(arrange))


@pytest.mark.should
def test_redirect_to_another_host(lab, try_http):
    """RFC 8555 §8.3: a redirect to another name should be followed."""

    def arrange(name, token, answer):
        other = lab.name()
        lab.http.serve(other, "/answer", answer)
        lab.http.serve(name, WELL_KNOWN + token, "", 302, {"Location": f"http://{other}:{lab.http.port}/answer"})

    passed(try_http(arrange))


def test_redirect_loop(lab, try_http):
    """RFC 8555 §10.4: redirects are limited, so an endless loop fails the challenge."""
    arrange = lambda name, token, _: lab.http.serve(name, WELL_KNOWN + token, "", 302, {"Location": WELL_KNOWN + token})
    failed(try_http(arrange), "connection", "unauthorized", "incorrectResponse")


@pytest.mark.parametrize("target", ["ftp://{name}/x", "file:///etc/hostname", "http://{name}:22/x", "//", "http://"])
def test_redirect_elsewhere(lab, try_http, target):
    """RFC 8555 §10.4: a redirect to another scheme, an odd port or nowhere fails the challenge."""
    arrange = lambda name, token, _: lab.http.serve(
        name, WELL_KNOWN + token, "", 302, {"Location": target.format(name=name)})
    failed(try_http(arrange), "connection", "unauthorized", "incorrectResponse", "malformed", "dns")


def test_cname(lab, try_http):
    """RFC 8555 §8.3: the name is resolved as any web client would, aliases included."""

    def arrange(name, token, answer):
        lab.dns.cname(name, lab.name())
        lab.http.challenge(name, token, answer)

    passed(try_http(arrange))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_ip_address(lab, account, address):
    """RFC 8738 §4: for an IP address the server connects to it and sends it as Host."""
    order = lab.ip_order(account, address)
    if ":" in address and len(lab.http.servers) < 2:
        pytest.skip("this machine has no IPv6")
    assert lab.prove(account, order.document["authorizations"][0])["status"] == "valid"
    assert lab.http.requests_for(address)


def test_response_to_a_challenge(lab, account):
    """RFC 8555 §7.5.1: the answer to a challenge response is 200 with the challenge and a link up."""
    _, url, authorization, challenge = lab.pending(account, "http-01")
    lab.publish(account, authorization, challenge)
    response = lab.respond(account, challenge)
    assert response.status == 200
    assert response.json()["url"] == challenge["url"]
    assert response.json()["status"] in ("pending", "processing", "valid")
    assert response.links("up") == [url]


@pytest.mark.should
def test_retry_after_while_processing(lab, account):
    """RFC 8555 §7.5.1: while validation goes on, the authorization should carry Retry-After."""
    _, url, authorization, challenge = lab.pending(account, "http-01")
    lab.publish(account, authorization, challenge)
    lab.http.slow(authorization["identifier"]["value"], 3)
    lab.respond(account, challenge)
    response = account.get(url)
    assert response.json()["status"] == "pending"
    assert response.retry_after()


def test_responding_again_does_no_harm(lab, account):
    """RFC 8555 §8.2: a client may respond again; a valid challenge stays valid."""
    order = lab.ready(account)
    url, authorization = order.authorizations()[0]
    met = lab.challenge(authorization, "http-01")
    response = account.post(met["url"], {})
    assert response.status in (200, 400)
    assert account.fetch(url)["status"] == "valid"


def test_failed_challenge_stays_failed(lab, account, try_http):
    """RFC 8555 §7.1.6: invalid is final: a response to a failed challenge does not revive it."""
    _, _, challenge = try_http(lambda *_: None)
    assert challenge["status"] == "invalid"
    assert account.post(challenge["url"], {}).status in (200, 400)
    assert account.fetch(challenge["url"])["status"] == "invalid"


def test_new_order_after_failure(lab, account, try_http):
    """RFC 8555 §8.2: after a failure the client can order the name again and succeed."""
    name = lab.name()
    order, *_ = try_http(lambda *_: None, name)
    order.reaches("invalid")
    lab.ready(account, [name])


@pytest.mark.parametrize("payload", [b"null", b"[]", b"7", b"{"])
def test_malformed_response(lab, account, payload):
    """RFC 8555 §7.5.1: a challenge response is a JSON object."""
    _, _, _, challenge = lab.pending(account, "http-01")
    problem(account.post(challenge["url"], payload), "malformed")
    assert account.fetch(challenge["url"])["status"] == "pending"
