"""The dns-01 challenge and its relatives that are still drafts."""

import hashlib
import time
from base64 import b32encode

import pytest

from client import ERROR
from keys import b64


@pytest.fixture
def try_dns(lab, account):
    """Opens an order, lets `arrange(record, digest)` set up DNS (`record` is _acme-challenge.NAME),
    responds, and gives (authorization, challenge) once settled."""

    def attempt(arrange, name=None):
        _, url, authorization, challenge = lab.pending(account, "dns-01", [name or lab.name()])
        digest = hashlib.sha256(account.key.authorization(challenge["token"]).encode()).digest()
        arrange("_acme-challenge." + authorization["identifier"]["value"], b64(digest))
        assert lab.respond(account, challenge).status == 200
        return lab.settled(account, url), account.fetch(challenge["url"])

    return attempt


def failed(outcome, *errors):
    """Asserts failure with one of these errors."""
    authorization, challenge = outcome
    assert authorization["status"] == challenge["status"] == "invalid", challenge
    assert challenge["error"]["type"] in [ERROR + e for e in errors], challenge["error"]


def passed(outcome):
    """Asserts success."""
    assert outcome[0]["status"] == outcome[1]["status"] == "valid", outcome[1]


def test_success(lab, try_dns):
    """RFC 8555 §8.4: the digest of the key authorization in a TXT record proves the name."""
    passed(try_dns(lab.dns.txt))


def test_wildcard(lab, try_dns):
    """RFC 8555 §8.4: for a wildcard the record stands at the name without *."""
    passed(try_dns(lab.dns.txt, "*." + lab.name()))


def test_one_of_several_records(lab, try_dns):
    """RFC 8555 §8.4: it is enough that one of the TXT records has the digest."""
    passed(try_dns(lambda record, digest: lab.dns.txt(record, "something else", digest, b64(b"old" * 9))))


def test_answer_larger_than_a_datagram(lab, try_dns):
    """RFC 8555 §8.4: records that need TCP are found too."""
    passed(try_dns(lambda record, digest: lab.dns.txt(record, *("x" * 200 + str(n) for n in range(20)), digest)))


def test_alias(lab, try_dns):
    """RFC 8555 §8.4: a CNAME at the record's name is followed."""

    def arrange(record, digest):
        target = lab.name()
        lab.dns.cname(record, target)
        lab.dns.txt(target, digest)

    passed(try_dns(arrange))


def test_wrong_digest(lab, try_dns):
    """RFC 8555 §8.4: another digest fails the challenge."""
    failed(try_dns(lambda record, _: lab.dns.txt(record, b64(hashlib.sha256(b"x").digest()))),
           "unauthorized", "incorrectResponse")


def test_answer_for_another_account(lab, account, stranger):
    """RFC 8555 §8.1: the answer made with another account's key fails the challenge."""
    _, url, authorization, challenge = lab.pending(account, "dns-01")
    lab.publish(stranger, authorization, challenge)
    lab.respond(account, challenge)
    assert lab.settled(account, url)["status"] == "invalid"


def test_plain_key_authorization(lab, account):
    """RFC 8555 §8.4: the key authorization itself, not hashed, fails the challenge."""
    _, url, authorization, challenge = lab.pending(account, "dns-01")
    answer = account.key.authorization(challenge["token"])
    lab.dns.txt("_acme-challenge." + authorization["identifier"]["value"], answer)
    lab.respond(account, challenge)
    assert lab.settled(account, url)["status"] == "invalid"


def test_no_record(lab, try_dns):
    """RFC 8555 §8.4: without a record the challenge fails."""
    failed(try_dns(lambda *_: None), "unauthorized", "incorrectResponse", "dns")


def test_record_at_the_name_itself(lab, account):
    """RFC 8555 §8.4: a record anywhere but at _acme-challenge does not count."""
    _, url, authorization, challenge = lab.pending(account, "dns-01")
    digest = hashlib.sha256(account.key.authorization(challenge["token"]).encode()).digest()
    lab.dns.txt(authorization["identifier"]["value"], b64(digest))
    lab.respond(account, challenge)
    assert lab.settled(account, url)["status"] == "invalid"


def test_dns_failure(lab, try_dns):
    """RFC 8555 §6.7: a failing DNS server is reported as error dns."""
    failed(try_dns(lambda record, _: lab.dns.fail(record)), "dns")


def test_account_label(lab, account):
    """draft-ietf-acme-dns-account-label §3: the record stands under a label made from the account URL."""
    _, url, authorization, challenge = lab.pending(account, "dns-account-01")
    lab.publish(account, authorization, challenge)
    lab.respond(account, challenge)
    assert lab.settled(account, url)["status"] == "valid"


def test_account_label_of_another(lab, account, stranger):
    """draft-ietf-acme-dns-account-label §3: the record under another account's label does not count."""
    _, url, authorization, challenge = lab.pending(account, "dns-account-01")
    digest = hashlib.sha256(account.key.authorization(challenge["token"]).encode()).digest()
    label = b32encode(hashlib.sha256(stranger.url.encode()).digest()[:10]).decode().lower()
    lab.dns.txt(f"_{label}._acme-challenge.{authorization['identifier']['value']}", b64(digest))
    lab.dns.txt(f"_acme-challenge.{authorization['identifier']['value']}", b64(digest))
    lab.respond(account, challenge)
    assert lab.settled(account, url)["status"] == "invalid"


class Persistent:
    """An authorization with a dns-persist-01 challenge, after draft -02 (hashed account URI) where
    the directory has accountHashPrefix, else after -01 (the account URL itself)."""

    def __init__(self, lab, account, name=None):
        self.lab, self.account = lab, account
        _, self.url, authorization, self.challenge = lab.pending(account, "dns-persist-01", [name or lab.name()])
        self.name = authorization["identifier"]["value"]
        self.prefix = lab.client.meta.get("accountHashPrefix")
        self.issuers = self.challenge.get("issuerDomainNames" if self.prefix else "issuer-domain-names")

    def account_uri(self, account, name=None):
        """What the record must name as accounturi."""
        if not self.prefix:
            return account.url
        name = name or self.name
        text = name + account.key.thumbprint() + account.url
        return f"{self.prefix}sha-256/" + b64(hashlib.sha256(bytes([len(name)]) + text.encode()).digest())

    def status(self, *records):
        """The authorization's status after validation against these records."""
        self.lab.dns.txt("_validation-persist." + self.name, *records)
        self.lab.respond(self.account, self.challenge)
        return self.lab.settled(self.account, self.url)["status"]

    def record(self, account=None, issuer=None, more="", name=None):
        """A record that is good unless bent."""
        return f"{issuer or self.issuers[0]}; accounturi={self.account_uri(account or self.account, name)}{more}"


def test_persistent_challenge_object(lab, account):
    """draft-ietf-acme-dns-persist §3.1: the challenge lists one to ten issuer domain names, lower case, no final dot."""
    issuers = Persistent(lab, account).issuers
    assert isinstance(issuers, list) and 1 <= len(issuers) <= 10
    assert all(i == i.lower().rstrip(".") for i in issuers)


def test_persistent_directory(lab, account):
    """draft-ietf-acme-dns-persist §3.2: the directory's issuerDomainNames are in each challenge; those are in caaIdentities."""
    found = Persistent(lab, account)
    if not found.prefix:
        lab.not_offered("accountHashPrefix in the directory (dns-persist draft -02)")
    assert set(lab.client.meta["issuerDomainNames"]) <= set(found.issuers)
    assert set(found.issuers) <= set(lab.client.meta.get("caaIdentities", found.issuers))


@pytest.mark.parametrize("more", ["", "; persistUntil={later}", "; unknown=x", ";policy=WILDCARD"])
def test_persistent_success(lab, account, more):
    """draft-ietf-acme-dns-persist §4.1: a record naming issuer and account proves the name; unknown parameters are ignored."""
    found = Persistent(lab, account)
    assert found.status("other.example; accounturi=x", found.record(more=more.format(later=int(time.time()) + 999))) == "valid"


@pytest.mark.parametrize("more", ["; persistUntil={past}", "; persistUntil=soon"])
def test_persistent_until(lab, account, more):
    """draft-ietf-acme-dns-persist §4.1: a record whose persistUntil is past or no number does not count."""
    found = Persistent(lab, account)
    assert found.status(found.record(more=more.format(past=int(time.time()) - 60))) == "invalid"


def test_persistent_wildcard(lab, account):
    """draft-ietf-acme-dns-persist §5: a wildcard needs policy=wildcard."""
    found = Persistent(lab, account, "*." + lab.name())
    assert found.status(found.record()) == "invalid"
    found = Persistent(lab, account, "*." + lab.name())
    assert found.status(found.record(more="; policy=wildcard")) == "valid"


def test_persistent_for_any_name(lab, account):
    """draft-ietf-acme-dns-persist §4.1: a hashed URI made with * for the name is accepted too."""
    found = Persistent(lab, account)
    if not found.prefix:
        lab.not_offered("accountHashPrefix in the directory (dns-persist draft -02)")
    assert found.status(found.record(name="*")) == "valid"


def test_persistent_refusals(lab, account, stranger):
    """draft-ietf-acme-dns-persist §4.2: a record of another account, another issuer, or without account does not count."""
    for bend in ({"account": stranger}, {"issuer": "other.example"}):
        found = Persistent(lab, account)
        assert found.status(found.record(**bend)) == "invalid", bend
    found = Persistent(lab, account)
    assert found.status(found.issuers[0]) == "invalid"
