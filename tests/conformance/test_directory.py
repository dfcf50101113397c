"""The directory, the links between resources, and which HTTP methods they take."""

from urllib.parse import urlsplit

import pytest

from client import problem


def test_directory_is_open_to_get(client):
    """RFC 8555 §7.1.1: a plain GET without authentication gives the directory as a JSON object."""
    response = client.request("GET", client.directory_url)
    assert response.status == 200
    assert response.content_type == "application/json"
    assert isinstance(response.json(), dict)


@pytest.mark.parametrize("name", ["newNonce", "newAccount", "newOrder", "revokeCert", "keyChange"])
def test_directory_names_the_resource(client, name):
    """RFC 8555 §7.1.1: the directory has an absolute HTTPS URL for each required resource."""
    parts = urlsplit(client.url(name))
    assert parts.scheme == "https" and parts.netloc


def test_meta_has_the_right_types(client):
    """RFC 8555 §7.1.1: the fields of meta, each optional, have the types the table gives them."""
    meta = client.directory.get("meta", {})
    assert isinstance(meta, dict)
    for name, kind in (("termsOfService", str), ("website", str), ("caaIdentities", list), ("externalAccountRequired", bool)):
        assert name not in meta or isinstance(meta[name], kind), name


def test_server_uses_https(client):
    """RFC 8555 §6.1: all interaction with the server is over HTTPS."""
    assert urlsplit(client.directory_url).scheme == "https"


@pytest.mark.parametrize("name", ["newAccount", "newOrder", "revokeCert", "keyChange"])
def test_post_only_resource_refuses_get(client, name):
    """RFC 8555 §6.3: a resource that needs an authenticated POST answers GET with 405 and malformed."""
    problem(client.request("GET", client.url(name)), "malformed", status=405)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "FROBNICATE"])
def test_other_methods(client, method):
    """RFC 9110 §9.1: a method a resource does not know gets 405 or 501."""
    for name in ("newNonce", "newOrder"):
        assert client.request(method, client.url(name)).status in (405, 501), name
    assert client.request(method, client.directory_url).status in (405, 501)


@pytest.mark.should
def test_other_methods_are_told_which_serve(client):
    """RFC 9110 §15.5.6: a 405 names the methods that are understood in Allow."""
    for name, method in (("newNonce", "HEAD"), ("newOrder", "POST")):
        response = client.request("DELETE", client.url(name))
        assert method in (response.header("Allow") or ""), name


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_harmless_methods(client, method):
    """RFC 9110 §9.3.2, §9.3.7: HEAD of the directory is answered like GET without a body; OPTIONS breaks nothing."""
    response = client.request(method, client.directory_url)
    assert response.status < 500 and (method == "OPTIONS" or response.status == 200)
    assert method == "OPTIONS" or not response.body


def test_order_refuses_plain_get(client, lab, account):
    """RFC 8555 §6.3: an order cannot be read by an unauthenticated GET."""
    problem(client.request("GET", lab.order(account).url), "malformed", status=405)


def test_authorization_refuses_plain_get(client, lab, account):
    """RFC 8555 §6.3: an authorization cannot be read by an unauthenticated GET."""
    problem(client.request("GET", lab.order(account).document["authorizations"][0]), "malformed", status=405)


def test_certificate_refuses_plain_get(client, issued):
    """RFC 8555 §6.3: a certificate cannot be read by an unauthenticated GET."""
    problem(client.request("GET", issued.url), "malformed", status=405)


def test_account_refuses_plain_get(client, account):
    """RFC 8555 §6.3: an account cannot be read by an unauthenticated GET."""
    problem(client.request("GET", account.url), "malformed", status=405)


def test_index_link_of_new_nonce(client):
    """RFC 8555 §7.1: every resource but the directory itself links to the directory."""
    assert client.request("GET", client.url("newNonce")).links("index") == [client.directory_url]


def test_index_link_of_account_resources(client, lab, account, issued):
    """RFC 8555 §7.1: account, order, authorization and certificate link to the directory as index."""
    order = lab.order(account)
    for url in (account.url, order.url, order.document["authorizations"][0], issued.url):
        response = account.get(url)
        assert response.status == 200, url
        assert response.links("index") == [client.directory_url], f"no index link on {url}"


def test_index_link_of_creations(client, lab, registrar, account):
    """RFC 8555 §7.1: the answers to newOrder and newAccount link to the directory as index."""
    response = lab.try_order(account, [lab.name()])
    assert response.links("index") == [client.directory_url]
    response = client.post(client.url("newAccount"), {"onlyReturnExisting": True}, account.key)
    assert response.links("index") == [client.directory_url]


def test_directory_can_be_read_by_post_as_get(client, account):
    """RFC 8555 §6.3: the server answers POST-as-GET of the directory too, for uniformity."""
    response = account.get(client.directory_url)
    assert response.status == 200
    assert response.json().keys() == client.directory.keys()


@pytest.mark.should
def test_unknown_resource_is_not_found(client, account):
    """RFC 8555 §6.7: a URL that names nothing is an error, which should come as a problem document."""
    gone = account.url.rstrip("/") + "/no-such-thing"
    problem(account.get(gone), status=(400, 401, 403, 404, 405))
