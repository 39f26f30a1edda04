"""The user's token: where it comes from, and that it shows nowhere."""

import json
import logging
import subprocess
import sys
import types
from pathlib import Path

import huggingface_hub.constants
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.desktop.diagnostics import RecentLog, write
from engine.errors import HubError
from engine.library.token import find_token, forget_token, store_token, token
from engine.system.keychain import KeychainError
from engine.text import Text, without_secrets
from tests.helpers.hub_server import Hub, Storage

ROOT = Path(__file__).parents[3]
SECRET = "hf_SECRETabcdefgh"


@pytest.fixture(autouse=True)
def nobody(home, monkeypatch):
    """Somebody without a token."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_STORED_TOKENS_PATH", str(home / "stored_tokens"))
    monkeypatch.setitem(sys.modules, "keyring", None)


@pytest.fixture
def keychain(monkeypatch):
    secrets = {}
    module = types.SimpleNamespace(
        get_password=lambda *key: secrets.get(key),
        set_password=lambda service, user, secret: secrets.__setitem__((service, user), secret),
        delete_password=lambda *key: secrets.pop(key),
    )
    monkeypatch.setitem(sys.modules, "keyring", module)
    return secrets


def test_where_a_token_comes_from(home, monkeypatch, keychain):
    assert token() is None
    keychain["flashbulb", "huggingface"] = "hf_of_the_keychain"
    assert (find_token().secret, find_token().source) == ("hf_of_the_keychain", "the system's keychain")
    (home / "token").write_text("hf_of_the_login\n")
    assert find_token().secret == "hf_of_the_login"
    monkeypatch.setenv("HF_TOKEN", " hf_of_the_environment ")
    assert (find_token().secret, find_token().source) == ("hf_of_the_environment", "HF_TOKEN")
    assert "hf_" not in repr(find_token())


def test_a_token_is_kept_in_the_keychain_and_taken_out(keychain):
    store_token(f"  {SECRET}\n")
    assert keychain == {("flashbulb", "huggingface"): SECRET}
    assert token() == SECRET
    forget_token()
    forget_token()
    assert token() is None


@pytest.mark.parametrize("secret", ["", "  ", "hf_SECRET…", "hf_SECRET abc", "‘hf_SECRET’"])
def test_what_is_no_token_is_not_kept(keychain, secret):
    with pytest.raises(HubError) as raised:
        store_token(secret)
    assert "SECRET" not in str(raised.value)
    assert keychain == {}


def broken(*_):
    raise RuntimeError(f"cannot store {SECRET}")


def test_a_keychain_that_does_not_work_is_no_token_and_one_line(monkeypatch):
    module = types.SimpleNamespace(get_password=broken, set_password=broken, delete_password=broken)
    monkeypatch.setitem(sys.modules, "keyring", module)
    assert token() is None
    with pytest.raises(KeychainError, match="variable HF_TOKEN") as raised:
        store_token(SECRET)
    assert "SECRET" not in str(raised.value)


def test_a_backend_that_cannot_be_imported_is_no_token(monkeypatch):
    monkeypatch.delitem(sys.modules, "keyring")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "no.such.Backend")
    code = "from engine.library.token import token; print(token())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "None\n", done.stderr


# ----------------------------------------------------------------------------------------- it never shows
def of_environment(home, monkeypatch, secret):
    monkeypatch.setenv("HF_TOKEN", secret)


def of_login(home, monkeypatch, secret):
    (home / "token").write_text(secret)


def of_keychain(home, monkeypatch, secret):
    monkeypatch.setitem(sys.modules, "keyring", types.SimpleNamespace(get_password=lambda *_: secret))


@pytest.mark.parametrize("place", [of_environment, of_login, of_keychain])
@pytest.mark.parametrize("wrong", ["…", "’", "\ufeff", " x", "\u200b", "é", "\t!"])
def test_a_character_that_no_token_has_is_named_and_the_token_is_not(home, monkeypatch, place, wrong):
    place(home, monkeypatch, f"SECRET-of-a-company{wrong}x")
    with pytest.raises(HubError, match="has a character that no token has") as raised:
        token()
    assert "SECRET" not in str(raised.value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        f"Bearer {SECRET}",
        "Bearer SECRET-of-a-company",
        "'Authorization': 'Basic U0VDUkVU.SECRET'",
        "https://user:SECRET@hub.example/x",
        "https://SECRET@hub.example/x",
        "https://hub/x?X-Amz-Signature=SECRET&X-Amz-Date=1",
        "https://hub/x?a=1&Policy=SECRET&Key-Pair-Id=SECRET",
        "http://h/?access_token=SECRET",
        "socks5://me:SECRET@[::1]:9/",
        f"the file {SECRET}.json",
        f"{{'HF_TOKEN': '{SECRET}'}}",
    ],
)
def test_what_looks_like_a_secret_is_left_out_of_every_message(text):
    assert "SECRET" not in without_secrets(text)
    assert "SECRET" not in Text("It said {words}.", words=text)
    assert "SECRET" not in str(HubError("It said {words}.", words=HubError("{w}", w=ValueError(text))))


@pytest.mark.parametrize(
    "text", ["/Users/me/models/opt: 3 of 4 keys", "https://huggingface.co/facebook/opt-125m?a=b", "a basic tokenizer"]
)
def test_what_is_no_secret_stays(text):
    assert without_secrets(text) == text


@given(st.text(st.characters(codec="utf-8"), min_size=8).filter(lambda s: len(s.strip()) >= 4))
def test_a_token_of_any_form_that_is_in_use_is_left_out(secret):
    from engine.text import keep_secret, known_secrets

    keep_secret(secret)
    try:
        assert secret.strip() not in Text("Before {words} after", words=f"x{secret}y")
    finally:
        known_secrets.clear()


def test_a_log_and_diagnostics_hold_no_token(tmp_path, home, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    log = RecentLog()
    log.emit(logging.LogRecord("engine.x", logging.ERROR, "f", 1, "asked with %s", (f"Bearer {SECRET}",), None))
    log.emit(logging.LogRecord("app.y", logging.ERROR, "f", 1, "at https://me:hidden-word@hub/", (), None))
    written = write(tmp_path / "diagnostics.json", {"log": list(log.lines), "path": f"/x/{SECRET}"}).read_text()
    assert "SECRET" not in written
    assert "hidden-word" not in written
    assert json.loads(written)["log"]


def flashbulb(*arguments, **environment):
    command = [sys.executable, "-m", "app", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "settings",
    [
        {"HF_TOKEN": "hf_SECRETabc…"},
        {"HF_TOKEN": "SECRET-abc\x01def"},
        {"HTTP_PROXY": "http://me:SECRET@127.0.0.1:9"},
        {"HTTP_PROXY": "socks4://me:SECRET@127.0.0.1:9"},
        {"HTTP_PROXY": "http://me:SECRET@127.0.0.1:999999"},
        {"HF_ENDPOINT": "http://me:SECRET@127.0.0.1:9"},
        {"HF_ENDPOINT": "http://127.0.0.1:9/?token=SECRET"},
    ],
)
def test_the_command_line_never_prints_a_secret(home, settings):
    import os

    with Storage() as storage, Hub(storage) as hub:
        kept = {n: v for n, v in os.environ.items() if n != "HF_HUB_OFFLINE"}
        environment = (
            kept | {"HF_ENDPOINT": hub.url, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"} | settings
        )
        said = flashbulb("models", "show", "tiny/opt", **environment)
    assert "SECRET" not in said
    assert said.startswith("flashbulb: ")
    assert said.count("\n") == 1
