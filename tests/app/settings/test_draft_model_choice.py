"""The list of small models that can help a large one, as a person uses it."""

from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.host.engine_host import State
from tests.helpers.fake_engine import MB, FakeEngine

LEFT = Qt.MouseButton.LeftButton


@dataclass(frozen=True)
class Found:
    name: str
    bytes: int
    folder: Path = Path("/models")


SMALL = Found("mlx-community/Qwen3-0.6B-4bit", 351 * MB)
OTHER = Found("tiny", 97 * MB)


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def window(open_window, engine, tmp_path):
    """The window, once a model is loaded beside which `look` finds those that can help."""

    def make(look):
        engine.draft_models = look
        return open_window(engine, data_dir=tmp_path)

    return make


def opened(main):
    main.show_settings.trigger()
    main.settings_window.open_pane("memory")
    return main.settings_window.memory


def listed(pane):
    box = pane.draft_model.list
    return [box.itemText(i).replace("\u00a0", " ") for i in range(box.count())]


def pick(pane, row):
    """Open the list, go down to a row and take it, by the keyboard."""
    box = pane.draft_model.list
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Home)
    for _ in range(row):
        QTest.keyClick(box, Qt.Key.Key_Down)


def test_the_models_that_can_help_are_listed_and_one_is_taken(qtbot, window):
    main = window(lambda: [SMALL, OTHER])
    pane = opened(main)
    qtbot.waitUntil(lambda: len(listed(pane)) == 4)
    assert listed(pane) == ["Automatic", "Off", "Qwen3-0.6B-4bit (351 MB)", "tiny (97.0 MB)"]
    assert "models on this computer that can help" in pane.draft_model.words.text()
    assert not pane.needs_reload()
    pick(pane, 2)
    assert main.settings["memory.draft_model"] == SMALL.name
    assert pane.needs_reload()
    qtbot.mouseClick(pane.reload, LEFT)
    qtbot.waitUntil(lambda: main.host.state is State.READY and main.host.model is not None)
    assert main.host.model.settings.draft_model == SMALL.name
    pick(pane, 1)
    assert main.settings["memory.draft_model"] == "none"
    pick(pane, 0)
    assert main.settings["memory.draft_model"] == "auto"


def test_without_any_the_words_say_what_is_needed(qtbot, window):
    main = window(list)
    pane = opened(main)
    qtbot.waitUntil(lambda: main.host.model is not None)
    qtbot.waitUntil(lambda: "same family" in pane.draft_model.words.text())
    assert listed(pane) == ["Automatic", "Off"]


def test_one_that_is_named_elsewhere_stays_a_choice(qtbot, window):
    main = window(lambda: [SMALL, OTHER])
    pane = opened(main)
    main.settings["memory.draft_model"] = "/models/Qwen3-1.7B"
    assert pane.draft_model.list.currentText() == "Qwen3-1.7B"
    qtbot.waitUntil(lambda: len(listed(pane)) == 5)
    assert pane.draft_model.list.currentText() == "Qwen3-1.7B"
    pick(pane, 1)
    assert main.settings["memory.draft_model"] == "none"
    assert len(listed(pane)) == 4
    pane.drafts.setCurrentIndex(pane.drafts.findText("Off"))
    assert not pane.draft_model.isEnabled()


def test_a_disk_that_fails_has_none_and_a_slow_one_holds_nobody_up(qtbot, window, engine):
    def fail():
        raise OSError("no disk")

    pane = opened(window(fail))
    qtbot.waitUntil(lambda: "same family" in pane.draft_model.words.text())
    looked, go_on = Event(), Event()

    def slow():
        looked.set()
        go_on.wait(10)
        return [OTHER]

    engine.draft_models = slow
    pick(pane, 1)
    qtbot.mouseClick(pane.reload, LEFT)
    qtbot.waitUntil(looked.is_set)
    assert listed(pane) == ["Automatic", "Off"]
    go_on.set()
    qtbot.waitUntil(lambda: len(listed(pane)) == 3)


def test_what_was_deleted_or_added_meanwhile_is_seen_when_the_pane_is_opened_again(qtbot, window):
    found = [SMALL]
    main = window(lambda: list(found))
    pane = opened(main)
    qtbot.waitUntil(lambda: len(listed(pane)) == 3)
    main.settings_window.close()
    found[:] = [OTHER]
    opened(main)
    qtbot.waitUntil(lambda: listed(pane)[2:] == ["tiny (97.0 MB)"])
