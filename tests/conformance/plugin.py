"""Command line, fixtures, and how failures are shown."""

import os
import re
from pathlib import Path

import pytest

from client import Client, Registrar
from keys import unb64
from laboratory import Laboratory
from nameserver import Nameserver
from responder import HttpResponder, TlsResponder

CLAUSE = re.compile(r"^(RFC \d{4} §[\w.]+|draft-[\w-]+ §[\w.]+)(, (RFC \d{4} |draft-[\w-]+ )?§[\w.]+)*: ")


def _file(path):
    return Path(os.environ.get("CONFORMANCE_FROM", "."), path)


def pytest_addoption(parser):
    group = parser.getgroup("acme", "the ACME server under test")
    group.addoption("--directory", metavar="URL", help="its directory URL")
    group.addoption("--ca-file", type=_file, metavar="PEM", help="the root its HTTPS certificate chains to")
    group.addoption("--http-port", type=int, default=5002, help="where it connects for http-01 (5002)")
    group.addoption("--tls-port", type=int, default=5001, help="where it connects for tls-alpn-01 (5001)")
    group.addoption("--dns", metavar="ADDR:PORT", default="127.0.0.1:5053", help="its resolver, served by the suite")
    group.addoption("--zone", default="conformance.test", help="the zone all names are made under")
    group.addoption("--eab-kid", action="append", default=[], metavar="KID", help="external account; may be repeated")
    group.addoption("--eab-hmac", action="append", default=[], metavar="B64URL", help="its MAC key, base64url")
    group.addoption("--expect-all", action="store_true", help="count a capability that is not offered as a failure")
    group.addoption("--without", action="append", default=[], metavar="TEXT",
                    help="with --expect-all: what need not be offered (part of the skip's reason); may be repeated")
    group.addoption("--known", type=_file, metavar="FILE", help="Markdown file whose table lists tests that are known to fail")


def pytest_configure(config):
    config.addinivalue_line("markers", "should: checks a SHOULD, not a MUST")
    if not config.option.directory and not config.option.collectonly and not config.option.help:
        raise pytest.UsageError("--directory URL is needed: the ACME directory to test")
    if len(config.option.eab_kid) != len(config.option.eab_hmac):
        raise pytest.UsageError("--eab-kid and --eab-hmac come in pairs")


def pytest_collection_modifyitems(config, items):
    known = _known(config.option.known)
    for item in items:
        if not CLAUSE.match(item.function.__doc__ or ""):
            raise pytest.UsageError(f"{item.nodeid}: the docstring must begin with the clause it tests")
        short = f"{item.path.name}::{item.name}"
        reason = known.get(short) or known.get(short.split("[")[0])
        if reason:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True, run="not run" not in reason))


def _known(path):
    rows = re.findall(r"^\| `(test_\w+\.py::[^`]+)` \| (.+) \|$", path.read_text(), re.M) if path else []
    return dict(rows)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed and "client" in getattr(item, "funcargs", {}):
        report.sections.append(("Clause", item.function.__doc__))
        report.sections.append(("Last exchanges with the server", item.funcargs["client"].transcript()))


@pytest.fixture(autouse=True)
def _fresh_transcript(client):
    client.exchanges.clear()


@pytest.fixture(scope="session")
def client(pytestconfig):
    """The connection to the server under test."""
    return Client(pytestconfig.option.directory, pytestconfig.option.ca_file)


@pytest.fixture(scope="session")
def registrar(client, pytestconfig):
    """Makes accounts."""
    option = pytestconfig.option
    registrar = Registrar(client, zip(option.eab_kid, [unb64(s) for s in option.eab_hmac]))
    if registrar.binding_required and not registrar.bindings:
        pytest.exit("this directory requires an external account: give --eab-kid and --eab-hmac", 2)
    return registrar


@pytest.fixture(scope="session")
def lab(client, registrar, pytestconfig):
    """The server with the suite's own DNS, web and TLS servers beside it."""
    option = pytestconfig.option
    parts = HttpResponder(option.http_port), TlsResponder(option.tls_port), Nameserver(option.dns, option.zone)
    expected = option.expect_all and (lambda what: not any(text in what for text in option.without))
    yield Laboratory(client, registrar, *parts, option.zone, expected or (lambda what: False))
    for part in parts:
        part.close()


@pytest.fixture(scope="module")
def account(registrar):
    """An account that this file's tests share."""
    return registrar.register()


@pytest.fixture(scope="module")
def stranger(registrar):
    """Another account."""
    return registrar.register()


@pytest.fixture(scope="module")
def issued(lab, account):
    """A certificate that this file's tests share; do not revoke it."""
    return lab.issue(account)
