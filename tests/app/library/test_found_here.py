"""Models that other tools have put on this computer: one step to a chat, and nothing of theirs is touched."""

import json

import pytest
from PySide6.QtCore import Qt

import engine
from app.host.engine_host import State
from app.library.known import list_model
from app.library.survey import survey
from app.settings.registry import Preferences
from tests.helpers.checkpoints import write_tokenizer
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.mlx_models import write_moe
from tests.helpers.moe_configs import VOCABULARY

LEFT = Qt.MouseButton.LeftButton
LONG_MS = 120_000
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cached(home, tmp_path, monkeypatch):
    """A small model of experts in the Hub's cache: its files are links."""
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    blobs = write_moe(tmp_path / "blobs")
    write_tokenizer(blobs, VOCABULARY)
    snapshot = home / "hub" / "models--owner--tiny-moe" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for path in blobs.iterdir():
        (snapshot / path.name).symlink_to(path)
    return snapshot


def state_of(folder):
    return {path: (path.lstat().st_mtime_ns, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def test_picking_one_of_the_hub_s_cache_ends_in_a_chat(qtbot, open_window, cached):
    before = state_of(cached.parents[2])
    window = open_window(engine, wait=False, model="starter")
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
    window.models.trigger()
    library = window.library
    qtbot.waitUntil(lambda: library.row("owner/tiny-moe") is not None, timeout=LONG_MS)
    row = library.row("owner/tiny-moe")
    assert "Found on this computer: Hugging Face" in row.about.text()
    library.field.setText("tiny-moe")  # so that it is in sight
    row = library.row("owner/tiny-moe")
    qtbot.waitUntil(row.button.isVisible)
    assert row.button.text() == "Chat"
    qtbot.mouseClick(row.button, LEFT)
    qtbot.waitUntil(lambda: window.host.state is State.READY and window.host.model.name == COMMIT, timeout=LONG_MS)
    window.chat.send("hello there")
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
    answer = window.chat.conversation.path()[-1]
    assert answer.error == ""
    assert answer.receipt["tokens"] > 0
    assert state_of(cached.parents[2]) == before
    assert window.settings["models.folders"] == []  # it is found where it is
    library.refresh()
    qtbot.waitUntil(lambda: "Hugging Face" in library.row("owner/tiny-moe").about.text(), timeout=LONG_MS)


def test_a_folder_of_models_that_was_dropped_is_looked_into_from_then_on(qtbot, open_window, tmp_path):
    root = tmp_path / "my models"
    for name in ("one", "two"):
        write_moe(root / "deeper" / name)
    window = open_window(FakeEngine())
    window.open_file(str(root))
    qtbot.waitUntil(lambda: window.library is not None and window.library.row("two") is not None, timeout=LONG_MS)
    assert window.settings["models.folders"] == [str(root)]
    write_moe(root / "three")
    window.library.refresh()
    qtbot.waitUntil(lambda: window.library.row("three") is not None, timeout=LONG_MS)
    menu = window.library.row("three").more.menu()
    (remove,) = [action for action in menu.actions() if action.text() == "Remove my models from List"]
    remove.trigger()
    qtbot.waitUntil(lambda: window.library.row("three") is None, timeout=LONG_MS)
    assert (root / "three" / "config.json").is_file()


def test_what_is_found_anyway_is_not_listed_twice(cached, tmp_path):
    settings = Preferences()
    list_model(settings, cached)
    assert settings["models.folders"] == []
    list_model(settings, tmp_path / "elsewhere" / "model")
    assert settings["models.folders"] == [str(tmp_path / "elsewhere" / "model")]


def test_a_folder_that_was_named_and_is_gone_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    (row,) = [row for row in survey(folders=(str(tmp_path / "gone"),)).rows if row.added]
    assert "not there" in row.trouble
    (tmp_path / "gone").mkdir()
    assert [row for row in survey(folders=(str(tmp_path / "gone"),)).rows if row.added] == []
    (tmp_path / "gone" / "config.json").write_text(json.dumps({}))
