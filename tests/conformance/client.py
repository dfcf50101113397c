"""A deliberately plain ACME client: one HTTPS connection, raw JWS, every exchange remembered.

It checks nothing by itself and retries nothing except a bad nonce, so that each test sees exactly
what the server said."""

import collections
import http.client
import json
import re
import socket
import ssl
import time
from urllib.parse import urljoin, urlsplit

from keys import Key, external_account_binding, signed, unb64

JOSE = "application/jose+json"
ERROR = "urn:ietf:params:acme:error:"
DISCONNECTED = http.client.RemoteDisconnected, http.client.BadStatusLine, ConnectionError, ssl.SSLEOFError


class Response:
    """An HTTP answer."""

    def __init__(self, url, raw, body):
        self.url, self.status, self.headers, self.body = url, raw.status, raw.headers, body

    def header(self, name):
        """The value of a header, or None."""
        return self.headers.get(name)

    @property
    def content_type(self):
        """The media type without parameters."""
        return (self.header("Content-Type") or "").split(";")[0].strip().lower()

    @property
    def location(self):
        """The Location header as an absolute URL."""
        value = self.header("Location")
        return value and urljoin(self.url, value)

    def json(self):
        """The body as JSON; fails the test when it is not."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise AssertionError(f"body is not JSON ({error}): {self.body[:200]!r}") from None

    def links(self, relation):
        """The targets of Link headers with this relation (RFC 8288), absolute."""
        found = []
        for value in self.headers.get_all("Link") or []:
            for target, parameters in re.findall(r"<([^>]*)>((?:\s*;\s*[^,<]+)*)", value):
                if re.search(rf';\s*rel\s*=\s*"?[^";]*\b{relation}\b', parameters):
                    found.append(urljoin(self.url, target))
        return found

    def retry_after(self):
        """Seconds or date of Retry-After, as text."""
        return self.header("Retry-After")


class Client:
    """A server under test, reached by its directory URL."""

    def __init__(self, directory_url, ca_file=None, timeout=10):
        self.directory_url, self.timeout = directory_url, timeout
        self.tls = ssl.create_default_context(cafile=ca_file)
        self.exchanges = collections.deque(maxlen=8)
        self.nonces = []
        self.connections = {}
        self.directory = self.request("GET", directory_url).json()
        self.meta = self.directory.get("meta", {})

    def request(self, method, url, body=None, headers=None):
        """One request; `body` is bytes or None."""
        headers = {"User-Agent": "acme-conformance/1", **(headers or {})}
        if isinstance(body, str):
            body = body.encode()
        for last in (False, True):
            try:
                response = self._exchange(method, url, body, headers)
                break
            except DISCONNECTED:  # it may close a connection it was sent too much on (RFC 9112 §9.5)
                self._hang_up(url)
                if last:
                    raise
            except Exception:
                self._hang_up(url)
                raise
        self.exchanges.append((method, url, headers, body, response))
        nonce = response.header("Replay-Nonce")
        if nonce:
            self.nonces.append(nonce)
        return response

    def _hang_up(self, url):
        connection = self.connections.pop(urlsplit(url).netloc, None)
        if connection:
            connection.close()

    def _exchange(self, method, url, body, headers):
        parts = urlsplit(url)
        connection = self.connections.get(parts.netloc)
        if connection is None:
            if parts.scheme == "https":
                connection = http.client.HTTPSConnection(parts.netloc, timeout=self.timeout, context=self.tls)
            else:
                connection = http.client.HTTPConnection(parts.netloc, timeout=self.timeout)
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections[parts.netloc] = connection
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body=body, headers=headers)
        raw = connection.getresponse()
        content = raw.read()
        if raw.will_close:
            self.connections.pop(parts.netloc, None)
            connection.close()
        return Response(url, raw, content)

    def url(self, name):
        """The URL of a directory resource."""
        assert name in self.directory, f"{name} is missing from the directory (RFC 8555 §7.1.1)"
        return self.directory[name]

    def nonce(self):
        """A nonce not used yet."""
        if not self.nonces:
            self.request("HEAD", self.url("newNonce"))
            assert self.nonces, "newNonce gave no Replay-Nonce (RFC 8555 §7.2)"
        return self.nonces.pop()

    def jws(self, target, payload, key, kid=None, /, **bend):
        """The JWS a good client would send, as a dict. `payload` None means POST-as-GET. Each
        further argument replaces a protected field, or leaves it out when None."""
        head = {"alg": key.alg, "nonce": bend["nonce"] if "nonce" in bend else self.nonce(), "url": target}
        if kid:
            head["kid"] = kid
        else:
            head["jwk"] = key.jwk()
        head = {name: value for name, value in {**head, **bend}.items() if value is not None}
        return signed(head, b"" if payload is None else payload, key.sign)

    def post(self, target, payload, key, kid=None, /, **bend):
        """Signs and sends; again when the server did not like an untouched nonce."""
        for _ in range(3):
            response = self.send(target, self.jws(target, payload, key, kid, **bend))
            if "nonce" in bend or not is_problem(response, "badNonce"):
                break
        return response

    def send(self, url, jws, content_type=JOSE):
        """Sends a ready JWS: a dict, or text or bytes as they are."""
        body = json.dumps(jws) if isinstance(jws, dict) else jws
        return self.request("POST", url, body, {"Content-Type": content_type})

    def transcript(self):
        """The last exchanges as text. Signatures and MACs are left out."""
        return "\n\n".join(_dump(*exchange) for exchange in self.exchanges)


class Account:
    """An account: its key, its URL, and how to speak for it."""

    def __init__(self, client, key, url, document):
        self.client, self.key, self.url, self.document = client, key, url, document

    def post(self, target, payload, /, **bend):
        """A signed POST; `bend` changes the protected header as in `Client.jws`."""
        return self.client.post(target, payload, self.key, self.url, **bend)

    def get(self, url):
        """A POST-as-GET (RFC 8555 §6.3)."""
        return self.post(url, None)

    def fetch(self, url):
        """The JSON document behind a POST-as-GET that must succeed."""
        response = self.get(url)
        assert response.status == 200, f"POST-as-GET of {url}: status {response.status}, {response.body[:300]!r}"
        return response.json()


class Registrar:
    """Makes accounts, binding them to an external account when the directory wants that."""

    def __init__(self, client, bindings):
        self.client, self.bindings = client, list(bindings)

    @property
    def binding_required(self):
        """Whether the directory says that newAccount needs a binding."""
        return bool(self.client.meta.get("externalAccountRequired"))

    def binding(self):
        """The next (kid, secret); the last one is used again and again."""
        if not self.bindings:
            return None
        return self.bindings.pop(0) if len(self.bindings) > 1 else self.bindings[0]

    def payload(self, key, **fields):
        """A newAccount payload that should succeed."""
        payload = {"termsOfServiceAgreed": True, **fields}
        if self.binding_required and "externalAccountBinding" not in payload:
            kid, secret = self.binding()
            payload["externalAccountBinding"] = external_account_binding(kid, secret, key, self.client.url("newAccount"))
        return payload

    def register(self, key=None, **fields):
        """A new account that must come to be."""
        key = key or Key()
        response = self.client.post(self.client.url("newAccount"), self.payload(key, **fields), key)
        assert response.status == 201, f"newAccount: status {response.status}, {response.body[:300]!r}"
        assert response.location, "newAccount gave no Location (RFC 8555 §7.3)"
        return Account(self.client, key, response.location, response.json())


def is_problem(response, *names):
    """Whether the answer is a problem document with one of these ACME error names."""
    if response.status < 400 or response.content_type != "application/problem+json":
        return False
    return response.json().get("type") in [ERROR + name for name in names]


def problem(response, *names, status=None):
    """Asserts a problem document (RFC 8555 §6.7) of one of these types; gives the document.
    `status` is an HTTP status or a tuple of them; without it any 4xx will do."""
    wanted = status if isinstance(status, tuple) else (status,) if status else range(400, 500)
    expected = " or ".join(names) or "any problem"
    assert response.status in wanted, (
        f"expected {expected} with status {status or '4xx'}, got {response.status}: {response.body[:300]!r}")
    assert response.content_type == "application/problem+json", (
        f"error has content type {response.header('Content-Type')!r}, not application/problem+json (RFC 8555 §6.7)")
    document = response.json()
    assert isinstance(document.get("type"), str), f"problem without type: {document}"
    if "status" in document:
        assert document["status"] == response.status, "the problem's status differs from the HTTP status"
    if names:
        got = document["type"].removeprefix(ERROR)
        assert got in names, f"expected {expected}, got {document['type']}: {document.get('detail')}"
    return document


def until(probe, seconds=10, every=0.05):
    """Calls `probe` until it gives something true, and gives that; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < deadline, f"nothing came of it within {seconds} s"
        time.sleep(every)


def _dump(method, url, headers, body, response):
    lines = [f"> {method} {url}"]
    if body and headers.get("Content-Type"):
        lines.append(f"> Content-Type: {headers['Content-Type']}")
    lines += [f"> {line}" for line in _legible(body)]
    lines.append(f"< {response.status}")
    lines += [f"< {name}: {value}" for name, value in response.headers.items()]
    text = response.body[:1500].decode("utf-8", "backslashreplace")
    return "\n".join(lines + ["< " + line for line in text.splitlines()[:30]])


def _legible(body):
    if not body:
        return []
    try:
        jws = json.loads(body)
        lines = ["protected " + unb64(jws["protected"]).decode()]
        payload = unb64(jws["payload"]).decode()
        lines.append("payload " + re.sub(r'("signature":\s*")[^"]*', r"\1(left out)", payload)[:1500])
        extra = [name for name in jws if name not in ("protected", "payload", "signature")]
        return lines + ([f"also {extra}"] if extra else [])
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"{len(body)} bytes: {body[:200]!r}"]
