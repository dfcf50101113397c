"""What the CA connects to: a web server for http-01 (RFC 8555 §8.3) and a TLS server for
tls-alpn-01 (RFC 8737). Both answer only what a test has put into their tables."""

import http.server
import ipaddress
import os
import socket
import ssl
import tempfile
import threading
import time
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

ACME_IDENTIFIER = ObjectIdentifier("1.3.6.1.5.5.7.1.31")
WELL_KNOWN = "/.well-known/acme-challenge/"


class HttpResponder:
    """A web server on one port of 127.0.0.1 and, where there is IPv6, of ::1."""

    def __init__(self, port):
        self.port, self.routes, self.delays, self.hits, self.servers = port, {}, {}, [], []
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            kind = type("Server", (http.server.ThreadingHTTPServer,), {"address_family": family, "daemon_threads": True})
            try:
                server = kind((host, port), self._handler())
            except OSError:
                if family == socket.AF_INET:
                    raise
                continue
            self.servers.append(server)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def serve(self, host, path, body, status=200, headers=None):
        """Answers GET of `path` at `host` (a name or address, no port)."""
        body = body.encode() if isinstance(body, str) else body
        self.routes[host.lower(), path] = (status, headers or {}, body)

    def challenge(self, host, token, body):
        """Answers the challenge with this token."""
        self.serve(host, WELL_KNOWN + token, body, headers={"Content-Type": "application/octet-stream"})

    def slow(self, host, seconds):
        """Lets requests for a host wait."""
        self.delays[host.lower()] = seconds

    def requests_for(self, host):
        """The (path, headers) asked of a host so far."""
        return [(path, headers) for name, path, headers in self.hits if name == host.lower()]

    def close(self):
        """Stops serving."""
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def _handler(self):
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """One request."""

            def do_GET(self):
                host = self.headers.get("Host", "").lower()
                host = host[1:].split("]")[0] if host.startswith("[") else host.split(":")[0]
                time.sleep(owner.delays.get(host, 0))
                owner.hits.append((host, self.path, self.headers))
                status, headers, body = owner.routes.get((host, self.path), (404, {}, b"not here\n"))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler


class TlsResponder:
    """A TLS server on one port that shows, per server name, the certificate a test made for it."""

    def __init__(self, port):
        self.contexts, self.seen, self.sockets = {}, [], []
        self.folder = tempfile.TemporaryDirectory(prefix="acme-conformance-")
        self.default = self._context(certificate(["unknown.invalid"], None), ["acme-tls/1"])
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            listener = socket.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((host, port))
            except OSError:
                if family == socket.AF_INET:
                    raise
                continue
            listener.listen(64)
            self.sockets.append(listener)
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def show(self, server_name, made, protocols=("acme-tls/1",)):
        """Shows `made` (from `certificate`) to who asks for `server_name`, under these protocols."""
        self.contexts[server_name.lower()] = self._context(made, list(protocols))

    def close(self):
        """Stops serving."""
        for listener in self.sockets:
            listener.close()
        self.folder.cleanup()

    def _context(self, made, protocols):
        handle, path = tempfile.mkstemp(dir=self.folder.name, suffix=".pem")
        with os.fdopen(handle, "wb") as file:
            file.write(made)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if protocols:
            context.set_alpn_protocols(protocols)
        return context

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(next(iter(os.scandir(self.folder.name))).path)
        context.set_alpn_protocols(["acme-tls/1"])

        def choose(sock, name, _):
            self.seen.append((name or "").lower())
            sock.context = self.contexts.get((name or "").lower(), self.default)

        context.sni_callback = choose
        connection.settimeout(5)
        try:
            with context.wrap_socket(connection, server_side=True) as tls:
                tls.recv(1)
        except OSError:
            connection.close()


def certificate(names, digest, critical=True):
    """A self-signed certificate and its key as PEM, with these subject alternative names and the
    acmeIdentifier extension (RFC 8737 §3) holding `digest`, unless that is None."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tls-alpn-01 challenge")])
    now = datetime.now(timezone.utc)
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
               .add_extension(x509.SubjectAlternativeName([general_name(n) for n in names]), critical=False))
    if digest is not None:
        value = b"\x04" + bytes([len(digest)]) + digest
        builder = builder.add_extension(x509.UnrecognizedExtension(ACME_IDENTIFIER, value), critical=critical)
    made = builder.sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def general_name(name):
    """A DNS name or IP address as a GeneralName."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
