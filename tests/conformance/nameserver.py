"""A small authoritative DNS server (RFC 1035) for one zone, over UDP and TCP.

Every name under the zone has the address 127.0.0.1 and no IPv6 address; tests add TXT, CAA and
other records, or make a name fail. Names outside the zone do not exist."""

import socket
import socketserver
import struct
import threading

A, NS, CNAME, SOA, TXT, AAAA, OPT, CAA = 1, 2, 5, 6, 16, 28, 41, 257
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3


class Nameserver:
    """The server and its records, keyed by (lower-case name, type)."""

    def __init__(self, address, zone):
        host, port = address.rsplit(":", 1)
        self.zone, self.lock = zone.strip(".").lower(), threading.Lock()
        self.records, self.codes, self.queries = {}, {}, []
        place = (host.strip("[]"), int(port))
        family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        udp = type("Udp", (socketserver.ThreadingUDPServer,), {"address_family": family, "daemon_threads": True})
        tcp = type("Tcp", (socketserver.ThreadingTCPServer,), {
            "address_family": family, "daemon_threads": True, "allow_reuse_address": True})
        self.servers = [udp(place, self._udp()), tcp(place, self._tcp())]
        for server in self.servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def txt(self, name, *values):
        """Sets the TXT records of a name, one per value."""
        self._set(name, TXT, [b"".join(_text(v[i:i + 255]) for i in range(0, len(v), 255)) for v in values])

    def caa(self, name, *properties):
        """Sets the CAA records of a name: (flags, tag, value) each (RFC 8659)."""
        self._set(name, CAA, [bytes([flags]) + _text(tag) + value.encode() for flags, tag, value in properties])

    def cname(self, name, target):
        """Makes a name an alias."""
        self._set(name, CNAME, [_name(target)])

    def address(self, name, *addresses):
        """Sets the IPv4 addresses of a name; none at all is allowed."""
        self._set(name, A, [socket.inet_aton(a) for a in addresses])

    def fail(self, name, kind=None):
        """Answers every question about a name, or those of one type, with SERVFAIL."""
        with self.lock:
            self.codes[name.lower(), kind] = SERVFAIL

    def asked(self, name, kind):
        """How often this question has come."""
        with self.lock:
            return self.queries.count((name.lower(), kind))

    def close(self):
        """Stops serving."""
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def _set(self, name, kind, data):
        with self.lock:
            self.records[name.strip(".").lower(), kind] = data

    def answer(self, query):
        """The answer message to a query message."""
        ident, flags, questions = struct.unpack("!HHH", query[:6])
        name, end = _read_name(query, 12)
        kind, _ = struct.unpack("!HH", query[end:end + 4])
        question = query[12:end + 4]
        name = name.lower()
        with self.lock:
            self.queries.append((name, kind))
            code, answers = self._find(name, kind)
        body = b"".join(_name(n) + struct.pack("!HHIH", k, 1, 0, len(d)) + d for n, k, d in answers)
        authority = b"" if answers or code == SERVFAIL else self._soa()
        extra = b"\0" + struct.pack("!HHIH", OPT, 1232, 0, 0) if struct.unpack("!H", query[10:12])[0] else b""
        head = struct.pack("!HHHHHH", ident, 0x8480 | (flags & 0x0110) | code, questions and 1,
                           len(answers), 1 if authority else 0, 1 if extra else 0)
        return head + question + body + authority + extra

    def _find(self, name, kind):
        for key in ((name, kind), (name, None)):
            if key in self.codes:
                return self.codes[key], []
        if name != self.zone and not name.endswith("." + self.zone):
            return NXDOMAIN, []
        answers = []
        for _ in range(8):
            alias = self.records.get((name, CNAME))
            if not alias or kind == CNAME:
                break
            answers.append((name, CNAME, alias[0]))
            name = _read_name(alias[0], 0)[0].lower()
        default = [socket.inet_aton("127.0.0.1")] if kind == A else []
        return NOERROR, answers + [(name, kind, d) for d in self.records.get((name, kind), default)]

    def _soa(self):
        data = _name("ns." + self.zone) + _name("hostmaster." + self.zone) + struct.pack("!IIIII", 1, 60, 60, 60, 0)
        return _name(self.zone) + struct.pack("!HHIH", SOA, 1, 0, len(data)) + data

    def _udp(self):
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            """One datagram."""

            def handle(self):
                data, sock = self.request
                answer = owner.answer(data)
                limit = 1232 if struct.unpack("!H", data[10:12])[0] else 512
                if len(answer) > limit:
                    end = 12 + len(answer[12:].split(b"\0", 1)[0]) + 5
                    answer = answer[:2] + bytes([answer[2] | 2]) + answer[3:6] + b"\0" * 6 + answer[12:end]
                sock.sendto(answer, self.client_address)

        return Handler

    def _tcp(self):
        owner = self

        class Handler(socketserver.StreamRequestHandler):
            """One connection."""

            def handle(self):
                while len(size := self.rfile.read(2)) == 2:
                    answer = owner.answer(self.rfile.read(struct.unpack("!H", size)[0]))
                    self.wfile.write(struct.pack("!H", len(answer)) + answer)

        return Handler


def _text(value):
    data = value.encode()
    return bytes([len(data)]) + data


def _name(name):
    return b"".join(_text(label) for label in name.strip(".").split(".") if label) + b"\0"


def _read_name(message, at):
    labels = []
    while message[at]:
        size = message[at]
        labels.append(message[at + 1:at + 1 + size].decode("ascii", "replace"))
        at += 1 + size
    return ".".join(labels), at + 1
