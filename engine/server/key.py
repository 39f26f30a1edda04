"""The key that programs may have to give: of the environment, or kept in the system's keychain."""

import os
import secrets

from engine.system.keychain import keep_in_keychain, kept_secret
from engine.text import keep_secret

VARIABLE = "FLASHBULB_SERVER_KEY"
KEYCHAIN_NAME = "server"
KEY_BYTES = 24  # of chance


def environment_key() -> str | None:
    """The key that the environment names; None for none."""
    return _known(os.environ.get(VARIABLE, "").strip())


def kept_key() -> str | None:
    """The key in the keychain; None where there is none, or no keychain."""
    return _known(kept_secret(KEYCHAIN_NAME))


def make_key() -> str:
    """A new key, kept in the keychain in the place of the one before. Raises KeychainError."""
    key = secrets.token_urlsafe(KEY_BYTES)
    keep_in_keychain(KEYCHAIN_NAME, key, VARIABLE)
    keep_secret(key)
    return key


def _known(key: str) -> str | None:
    keep_secret(key)
    return key or None
