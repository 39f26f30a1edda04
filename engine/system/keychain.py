"""The system's keychain: secrets of ours, by name. Its own errors are never told: their words may hold the secret."""

from engine.errors import FlashbulbError

SERVICE = "flashbulb"
MISSING = {"NoKeyringError", "ModuleNotFoundError", "ImportError", "InitError"}  # kinds of error where there is none


class KeychainError(FlashbulbError):
    """The system's keychain cannot be used."""


def kept_secret(name: str) -> str:
    """The secret of a name; empty where there is none, or no keychain that can be asked."""
    try:
        import keyring

        return keyring.get_password(SERVICE, name) or ""
    except Exception:  # there is no keychain, it stays locked, or its backend cannot be imported
        return ""


def keep_in_keychain(name: str, secret: str, instead: str) -> None:
    """Keep a secret in the place of the one before. instead: the variable of the environment that can have it where
    there is no keychain. Raises KeychainError."""
    try:
        import keyring

        keyring.set_password(SERVICE, name, secret)
        kept = keyring.get_password(SERVICE, name) == secret  # a backend that keeps nothing says nothing
    except Exception as error:  # a backend may raise anything, as one that cannot be imported does
        raise _trouble(type(error).__name__, instead) from None
    if not kept:
        raise _missing(instead)


def forget_in_keychain(name: str, instead: str) -> None:
    """Take a secret out; harmless where there is none. Raises KeychainError."""
    if not kept_secret(name):
        return
    try:
        import keyring

        keyring.delete_password(SERVICE, name)
    except Exception as error:
        raise _trouble(type(error).__name__, instead) from None


def _trouble(kind: str, instead: str) -> KeychainError:
    if kind in MISSING:
        return _missing(instead)
    return KeychainError(
        "The system's keychain does not answer: it may be locked. Unlock it and try again, or use the environment "
        "variable {variable} instead.",
        variable=instead,
    )


def _missing(instead: str) -> KeychainError:
    return KeychainError(
        "This computer has no keychain that could keep it. Set the environment variable {variable} instead, and start "
        "Flashbulb again.",
        variable=instead,
    )
