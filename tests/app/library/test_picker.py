"""The model of a chat, switched by keys alone: Cmd-K, a few letters, Return."""

import threading

import pytest
from PySide6.QtCore import Qt

from app.library import picker as module
from app.library.known import FOLDERS_KEY, RECENT_KEY
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.mlx_models import write_moe

CONTROL = Qt.KeyboardModifier.ControlModifier
popups = pytest.mark.qt_log_ignore(r"This plugin does not support (raise\(\)|grabbing|propagateSizeHints)")


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Two that are on disk, beside the starter."""
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    return [str(write_moe(tmp_path / name)) for name in ("quick-fox", "lazy-dog")]


@pytest.fixture
def window(open_window, models, tmp_path):
    window = open_window(FakeEngine(scripts=[["One."], ["Two."]]), data_dir=tmp_path / "data")
    window.settings[FOLDERS_KEY] = models
    window.settings[RECENT_KEY] = [models[1], *window.settings[RECENT_KEY]]
    return window


def ask(qtbot, window):
    qtbot.keyClicks(window.chat.composer.entry, "Hello")
    with qtbot.waitSignal(window.chat.answered):
        qtbot.keyClick(window.chat.composer.entry, Qt.Key.Key_Return)


def opened(qtbot, window):
    qtbot.keyClick(window, Qt.Key.Key_K, CONTROL)
    picker = window.model_commands.picker
    qtbot.waitUntil(picker.isVisible)
    return picker


def shown(picker):
    return [picker.list.item(row).text() for row in range(picker.list.count())]


@popups
def test_a_conversation_goes_on_with_a_model_that_was_typed(qtbot, window, models):
    ask(qtbot, window)
    picker = opened(qtbot, window)
    qtbot.waitUntil(lambda: picker.list.count() > 2)
    assert shown(picker)[0] == "lazy-dog"  # the most recent one
    qtbot.keyClicks(picker.field, "FOX")
    assert shown(picker) == ["quick-fox"]
    with qtbot.waitSignal(window.host.loaded):
        qtbot.keyClick(picker.field, Qt.Key.Key_Return)
    assert not picker.isVisible()
    ask(qtbot, window)
    assert [m.writer for m in window.chat.conversation.path()] == ["", "Starter", "", "quick-fox"]
    assert window.chat.conversation.model == models[0]


def held(monkeypatch):
    """A survey that waits to be let go."""
    gate, real = threading.Event(), module.survey

    def survey(*arguments, **named):
        gate.wait(10)
        return real(*arguments, **named)

    monkeypatch.setattr(module, "survey", survey)
    return gate


@popups
def test_return_before_the_models_are_known_is_not_lost(qtbot, window, monkeypatch):
    gate = held(monkeypatch)
    picker = opened(qtbot, window)
    qtbot.keyClicks(picker.field, "fox")
    qtbot.keyClick(picker.field, Qt.Key.Key_Return)
    with qtbot.waitSignal(window.host.loaded):
        gate.set()
    assert window.host.model.name == "quick-fox"


@popups
def test_what_was_chosen_stays_chosen_when_the_models_are_looked_for_again(qtbot, window, monkeypatch):
    picker = opened(qtbot, window)
    qtbot.waitUntil(lambda: picker.list.count() > 2)
    qtbot.keyClick(picker.field, Qt.Key.Key_Escape)
    gate = held(monkeypatch)
    picker = opened(qtbot, window)
    for _ in range(2):
        qtbot.keyClick(picker.field, Qt.Key.Key_Down)
    chosen = picker.list.currentItem().text()
    window.settings[RECENT_KEY] = window.settings[RECENT_KEY][::-1]
    with qtbot.waitSignal(picker.list.model().rowsInserted):
        gate.set()
    assert picker.list.currentItem().text() == chosen
    qtbot.keyClick(picker.field, Qt.Key.Key_Escape)
    assert not picker.isVisible()


@popups
def test_as_long_as_models_are_looked_for_it_says_so(qtbot, window, monkeypatch):
    gate = held(monkeypatch)
    picker = opened(qtbot, window)
    assert picker.nothing.isVisible()
    assert picker.nothing.text() == "Looking for models…"
    gate.set()
    qtbot.waitUntil(lambda: picker.list.count() > 2)
    assert not picker.nothing.isVisible()
    qtbot.keyClicks(picker.field, "xyz")
    assert picker.nothing.isVisible()
    assert picker.nothing.text() == "No model of this name here."
    qtbot.keyClick(picker.field, Qt.Key.Key_Escape)


@popups
def test_where_models_cannot_be_looked_for_it_says_nothing_of_looking(qtbot, window, monkeypatch):
    def fail(*_, **__):
        raise OSError("the disk is gone")

    monkeypatch.setattr(module, "survey", fail)
    picker = opened(qtbot, window)
    qtbot.waitUntil(lambda: not picker.nothing.isVisible())
    assert picker.list.isVisible()
    qtbot.keyClick(picker.field, Qt.Key.Key_Escape)
