"""The key of the server: of the environment, or in the keychain."""

import pytest

from engine.server.key import environment_key, kept_key, make_key
from engine.system.keychain import KeychainError
from engine.text import known_secrets, without_secrets


@pytest.fixture
def keychain(monkeypatch):
    kept = {}
    monkeypatch.setattr("keyring.get_password", lambda *name: kept.get(name))
    monkeypatch.setattr("keyring.set_password", lambda *named: kept.update({named[:2]: named[2]}))
    yield kept
    known_secrets.clear()


def test_a_key_is_made_kept_and_never_said(keychain):
    assert kept_key() is None
    key = make_key()
    assert len(key) > 24
    assert kept_key() == key
    assert make_key() != key
    assert key not in without_secrets(f"the key is {key}")


def test_the_environment_may_name_one(monkeypatch, keychain):
    assert environment_key() is None
    monkeypatch.setenv("FLASHBULB_SERVER_KEY", " secret-of-mine ")
    assert environment_key() == "secret-of-mine"


def test_a_keychain_that_cannot_be_used_is_said_in_a_line(monkeypatch):
    def locked(*_):
        raise RuntimeError("locked: secret")

    monkeypatch.setattr("keyring.get_password", locked)
    monkeypatch.setattr("keyring.set_password", locked)
    assert kept_key() is None
    with pytest.raises(KeychainError, match="the environment variable FLASHBULB_SERVER_KEY"):
        make_key()
