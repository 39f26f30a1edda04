"""The system's keychain, where there is one, where it is locked, and where there is none."""

import sys
from types import SimpleNamespace

import keyring.backends.fail
import keyring.backends.null
import pytest

from engine.system.keychain import KeychainError, forget_in_keychain, keep_in_keychain, kept_secret

SECRET = "hush hush"
NO_KEYCHAIN = "has no keychain that could keep it. Set the environment variable THE_KEY instead"
LOCKED = "may be locked. Unlock it and try again, or use the environment variable THE_KEY"


@pytest.fixture
def backend(monkeypatch):
    """`backend(keyring)`: the keychain is this one."""
    return lambda found: monkeypatch.setitem(sys.modules, "keyring", found)


def locked(*_):
    raise RuntimeError(f"locked, so {SECRET} stays out")


def imported(*_):
    raise ModuleNotFoundError("No module named 'kwallet'")


def of_all(function):
    return SimpleNamespace(get_password=function, set_password=function, delete_password=function)


def test_what_is_kept_is_found_until_it_is_forgotten(backend):
    kept = {}
    backend(SimpleNamespace(
        get_password=lambda *name: kept.get(name),
        set_password=lambda *named: kept.update({named[:2]: named[2]}),
        delete_password=lambda *name: kept.pop(name),
    ))  # fmt: skip
    assert kept_secret("server") == ""
    keep_in_keychain("server", SECRET, "THE_KEY")
    assert kept == {("flashbulb", "server"): SECRET}
    assert kept_secret("server") == SECRET
    for _ in range(2):
        forget_in_keychain("server", "THE_KEY")
    assert kept == {}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (keyring.backends.fail.Keyring(), NO_KEYCHAIN),
        (keyring.backends.null.Keyring(), NO_KEYCHAIN),
        (of_all(imported), NO_KEYCHAIN),
        (None, NO_KEYCHAIN),
        (of_all(locked), LOCKED),
    ],
    ids=["no backend", "keeps nothing", "no module of the backend", "no module", "locked"],
)
def test_where_nothing_can_be_kept_a_sentence_says_what_to_do(backend, found, words):
    backend(found)
    assert kept_secret("server") == ""
    forget_in_keychain("server", "THE_KEY")
    with pytest.raises(KeychainError) as raised:
        keep_in_keychain("server", SECRET, "THE_KEY")
    said = str(raised.value)
    assert words in said
    assert SECRET not in said
    assert "Error" not in said


def test_a_keychain_that_lets_nothing_go_is_said(backend):
    backend(SimpleNamespace(get_password=lambda *_: SECRET, delete_password=locked))
    with pytest.raises(KeychainError, match="may be locked"):
        forget_in_keychain("server", "THE_KEY")
