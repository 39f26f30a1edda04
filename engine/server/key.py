"""The key that programs may have to give: of the environment, or kept in the system's keychain."""

import os
import secrets

from engine.errors import FlashbulbError
from engine.text import keep_secret

VARIABLE = "FLASHBULB_SERVER_KEY"
KEYRING = ("flashbulb", "server")  # service and user name in the system's keychain
KEY_BYTES = 24  # of chance


class KeyringError(FlashbulbError):
    """The system's keychain cannot be used."""


def environment_key() -> str | None:
    """The key that the environment names; None for none."""
    return _known(os.environ.get(VARIABLE, "").strip())


def kept_key() -> str | None:
    """The key in the keychain; None where there is none, or no keychain."""
    try:
        import keyring

        found = keyring.get_password(*KEYRING)
    except Exception:  # there is no keychain, it stays locked, or its backend cannot be imported
        return None
    return _known(found or "")


def make_key() -> str:
    """A new key, kept in the keychain in the place of the one before. Raises KeyringError."""
    key = secrets.token_urlsafe(KEY_BYTES)
    try:
        import keyring

        keyring.set_password(*KEYRING, key)
    except Exception as error:  # a backend may raise anything, as one that cannot be imported does
        raise KeyringError(
            "The system's keychain cannot be used ({kind}). Give the key in {variable} instead.",
            kind=type(error).__name__,
            variable=VARIABLE,
        ) from None
    keep_secret(key)
    return key


def _known(key: str) -> str | None:
    keep_secret(key)
    return key or None
