"""The user's token for the Hub: of the environment, of huggingface-hub's login, or kept in the system's keychain."""

import os
import re
import unicodedata
from dataclasses import dataclass

from engine.errors import HubError
from engine.system.keychain import forget_in_keychain, keep_in_keychain, kept_secret
from engine.text import Text, keep_secret

TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
KEYCHAIN_NAME = "huggingface"
NO_TOKEN_CHARACTER = re.compile(r"[^\x21-\x7e]")
LOGIN = Text("huggingface-hub's login")
KEYCHAIN = Text("the system's keychain")


@dataclass(frozen=True)
class Token:
    """A token, and where it was found. It never reads as the token itself."""

    secret: str
    source: str

    def __repr__(self) -> str:
        return f"Token(source={self.source!r})"


def find_token() -> Token | None:
    """The token that is in use: the environment comes before the login, and that before the keychain.

    Raises HubError for one with a character that no token has, as what was copied out of a document may have.
    """
    found = _environment_token() or _login_token() or _keychain_token()
    if found:
        keep_secret(found.secret)
        _check(found)
    return found


def token() -> str | None:
    """The token itself. Raises HubError."""
    found = find_token()
    return found.secret if found else None


def store_token(secret: str) -> None:
    """Keep a token in the system's keychain. Raises HubError for what is no token, and KeychainError."""
    found = Token(secret.strip(), Text("The token"))
    keep_secret(found.secret)
    if not found.secret:
        raise HubError("There is no token to keep. Copy it from the page of your account, under Access Tokens.")
    _check(found)
    keep_in_keychain(KEYCHAIN_NAME, found.secret, TOKEN_VARIABLES[0])


def forget_token() -> None:
    """Take the token out of the keychain; harmless if there is none. Raises KeychainError."""
    forget_in_keychain(KEYCHAIN_NAME, TOKEN_VARIABLES[0])


def _environment_token() -> Token | None:
    name = next((name for name in TOKEN_VARIABLES if os.environ.get(name, "").strip()), None)
    return Token(os.environ[name].strip(), name) if name else None


def _login_token() -> Token | None:
    from huggingface_hub import get_token

    try:
        secret = get_token()
    except Exception:  # a login that expired and cannot be renewed is none
        return None
    return Token(secret, LOGIN) if secret else None


def _keychain_token() -> Token | None:
    secret = kept_secret(KEYCHAIN_NAME)
    return Token(secret, KEYCHAIN) if secret else None


def _check(found: Token) -> None:
    if wrong := NO_TOKEN_CHARACTER.search(found.secret):
        raise HubError(
            "{source} has a character that no token has: {character}, in place {place} of {length}. Copy it again.",
            source=found.source,
            character=_name_of(wrong[0]),
            place=wrong.start() + 1,
            length=len(found.secret),
        )


def _name_of(character: str) -> str:
    return unicodedata.name(character, f"U+{ord(character):04X}").lower()
