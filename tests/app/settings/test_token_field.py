"""The token's field: what is pasted goes to the keychain and nowhere else."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit

from app.settings import token_field
from app.settings.token_field import TokenField
from engine.errors import HubError

SECRET = "hf_" + "x" * 30
PATIENCE = 30_000


@pytest.fixture
def keychain(monkeypatch):
    """A stand-in for the engine's word on tokens: what is kept, by name."""
    kept = {}

    def keep(secret):
        if not secret.isascii():
            raise HubError("The token has a character that no token has.")
        kept["token"] = secret

    monkeypatch.setattr(token_field, "_keep", keep)
    monkeypatch.setattr(token_field, "_forget", kept.clear)
    monkeypatch.setattr(token_field, "_source", lambda: "the system's keychain" if kept else "")
    return kept


@pytest.fixture
def field(qtbot, keychain):
    widget = TokenField()
    qtbot.addWidget(widget)
    widget.show()
    yield widget
    widget.shutdown()


def test_a_token_is_kept_and_removed_and_never_shown(qtbot, field, keychain):
    assert not field.forget.isEnabled()
    assert not field.keep.isEnabled()
    assert field.field.echoMode() == QLineEdit.EchoMode.Password
    qtbot.keyClicks(field.field, f" {SECRET} ")
    qtbot.mouseClick(field.keep, Qt.MouseButton.LeftButton)
    assert field.field.text() == ""
    qtbot.waitUntil(lambda: "In use: a token from the system's keychain." in field.words.text(), timeout=PATIENCE)
    assert keychain == {"token": SECRET}
    assert SECRET not in field.words.text()
    qtbot.mouseClick(field.forget, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not field.forget.isEnabled(), timeout=PATIENCE)
    assert keychain == {}


def test_what_is_no_token_is_said(qtbot, field):
    field.field.setText("hf_“x”")  # as it is pasted out of a document
    qtbot.keyClick(field.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "character that no token has" in field.words.text(), timeout=PATIENCE)
