"""Certificate profiles, where the directory lists them."""

import pytest

from client import problem


@pytest.fixture
def profiles(client, lab):
    """The profiles of the directory."""
    return client.meta.get("profiles") or lab.not_offered("profiles in the directory's meta")


def test_directory(profiles):
    """draft-aaron-acme-profiles §3: meta.profiles maps each name to a description or URL."""
    assert isinstance(profiles, dict)
    assert all(name and isinstance(text, str) for name, text in profiles.items())


def test_each_profile_is_echoed(lab, account, profiles):
    """draft-aaron-acme-profiles §4: an order for a profile shows it, at creation and later."""
    for name in profiles:
        order = lab.order(account, profile=name)
        assert order.document["profile"] == name
        assert order.refresh()["profile"] == name


def test_each_profile_issues(lab, account, profiles):
    """draft-aaron-acme-profiles §4: an order for a profile can be brought to a certificate."""
    for name in profiles:
        assert lab.issue(account, profile=name).leaf


def test_default_profile(lab, account, profiles):
    """draft-aaron-acme-profiles §4: without a profile asked for, the server may choose one of those listed."""
    assert lab.order(account).document.get("profile", next(iter(profiles))) in profiles


@pytest.mark.parametrize("name", ["no-such-profile", "", "x" * 5000], ids=["unknown", "empty", "long"])
def test_unknown_profile(lab, account, profiles, name):
    """draft-aaron-acme-profiles §4: a profile that is not listed is invalidProfile."""
    problem(lab.try_order(account, [lab.name()], profile=name), "invalidProfile", *["malformed"] * (not name))


def test_profile_of_the_wrong_type(lab, account, profiles):
    """draft-aaron-acme-profiles §4: the profile is a string."""
    problem(lab.try_order(account, [lab.name()], profile=7), "malformed", "invalidProfile")
