"""The Help menu's export, and what never gets into it."""

import json
import logging

import pytest
from PySide6.QtWidgets import QFileDialog, QMessageBox

from app.desktop.diagnostics import LOG_LINES, RecentLog
from engine.errors import ReadError
from engine.inference.kept import DamagedContextError
from tests.helpers.chatting import type_and_send, wait_until_ready
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.planted import TOKENS, found_in, plant

PATIENCE = 60_000  # the engine's parts are imported first
TOKEN, SECRET = "hf_abcdefGHIJKL123456", "the password is swordfish"


def export(qtbot, window, path):
    """Press the menu's entry, answer the dialog as the system's own would; returns the box that says how it went."""
    window.export_diagnostics.trigger()
    dialog = window.findChild(QFileDialog)
    dialog.fileSelected.emit(str(path))
    dialog.close()
    qtbot.waitUntil(lambda: window.findChild(QMessageBox) is not None, timeout=PATIENCE)
    return window.findChild(QMessageBox)


@pytest.fixture(autouse=True)
def models(home, monkeypatch):
    """A model with a token in its manifest, in a folder below the home folder."""
    folder = home / "Models"
    (folder / "owner--small").mkdir(parents=True)
    manifest = {
        "files": {"a": {"bytes": 5, "sha256": "0" * 64}},
        "source": {"repository": "owner/small", "revision": TOKEN},
    }
    (folder / "owner--small" / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setenv("FLASHBULB_MODELS", str(folder))
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def test_it_says_what_is_there_and_nothing_that_was_said(qtbot, open_window, tmp_path, home):
    bug = ValueError(f"cannot encode {SECRET}")
    engine = FakeEngine(scripts=[["I heard: ", SECRET], ["Half", bug], [ReadError(f"{home}/Models/x ended early.")]])
    window = open_window(engine, data_dir=tmp_path / "data")
    window.settings["chat.system_prompt"] = SECRET
    for text in (f"Remember: {SECRET} and {TOKEN}", SECRET, "Again"):
        type_and_send(qtbot, window, text)
        wait_until_ready(qtbot, window)
    logging.getLogger("app.conversations.keeper").error(
        "conversations: %r", UnicodeEncodeError("utf-8", SECRET, 0, 1, SECRET)
    )
    plant(window.storage.contexts, window.chat.conversation.id)
    logging.getLogger("engine.inference.keeping").warning(
        "a kept context is not used: %s", DamagedContextError(f"{window.storage.contexts.folder} holds {TOKENS}")
    )
    box = export(qtbot, window, tmp_path / "report.json")
    assert "nothing of your chats" in box.informativeText()
    box.close()
    assert found_in((tmp_path / "report.json").read_bytes()) == []
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    for planted in (SECRET, "swordfish", "I heard", TOKEN, str(home)):
        assert planted not in text
    report = json.loads(text)
    assert report["application"]["packages"]["mlx"]
    assert report["machine"]["memory_bytes"] > 0
    assert report["engine"]["model"]["name"] == "Starter"
    assert report["settings"]["chat.system_prompt"] == "set"
    assert report["drive"] == "not measured"
    assert report["models"]["installed"] == [{"repo": "owner/small", "revision": "hf_…", "bytes": 5}]
    assert report["models"]["folder"] == "~/Models"
    log = "\n".join(report["log"])
    assert "ValueError" in log
    assert "fake_engine.py" in log  # where it happened
    assert "~/Models/x ended early." in log
    assert "UnicodeEncodeError" in log


def test_without_a_model_too(qtbot, open_window, tmp_path):
    window = open_window(FakeEngine(loads=[ReadError("bundles.safetensors is gone.")]))
    export(qtbot, window, tmp_path / "report.json").close()
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["engine"]["state"] == "FAILED"
    assert "bundles.safetensors is gone." in report["log"][-1]


def test_what_is_broken_hides_nothing_else(qtbot, open_window, tmp_path, monkeypatch):
    def broken():
        raise RecursionError(SECRET)

    monkeypatch.setattr("engine.store.installed.installed", broken)
    export(qtbot, open_window(), tmp_path / "report.json").close()
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["models"]["installed"] == "RecursionError"
    assert report["models"]["folder"] == "~/Models"
    assert report["machine"]["memory_bytes"] > 0


def test_a_place_that_cannot_be_written_to_is_told(qtbot, open_window, tmp_path):
    window = open_window()
    box = export(qtbot, window, tmp_path / "nowhere" / "report.json")
    assert "could not be written: No such file" in box.informativeText()
    box.close()


def test_the_log_stays_short_and_ours():
    log = RecentLog()
    for number in range(LOG_LINES + 5):
        log.handle(logging.makeLogRecord({"name": "engine.x", "levelno": logging.WARNING, "msg": str(number)}))
    log.handle(logging.makeLogRecord({"name": "httpx", "levelno": logging.ERROR, "msg": "GET https://…"}))
    assert len(log.lines) == LOG_LINES
    assert log.lines[-1].endswith(f": {LOG_LINES + 4}")
