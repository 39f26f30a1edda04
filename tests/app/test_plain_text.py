"""Markup in whatever comes from files, models and people stays text in every widget: Qt would render it by itself."""

import json

import pytest
from PySide6.QtCore import QEvent, QModelIndex, QPoint, Qt
from PySide6.QtGui import QHelpEvent
from PySide6.QtWidgets import QAbstractItemView, QApplication, QLabel, QMessageBox, QToolTip

from app.widgets.dialogs import tell
from engine.errors import PreparedModelError, ReadError
from tests.app.test_main_window import type_and_send, wait_until_ready
from tests.helpers.fake_engine import FakeEngine

EVIL = '<img src="/nowhere.png"><b>bold</b>'


def rendered() -> list[str]:
    """Every widget that would make markup of what it was given."""
    found = []
    for widget in QApplication.allWidgets():
        if isinstance(widget, QLabel) and EVIL in widget.text() and widget.textFormat() != Qt.TextFormat.PlainText:
            found.append(f"label {widget.text()} in {widget.parent()}")
        if EVIL in widget.toolTip():  # Qt decides by itself, and would render it
            found.append(f"tooltip of {widget}")
        if isinstance(widget, QAbstractItemView) and widget.model() is not None:
            found += [f"tooltip of a row in {widget}" for tip in _tips(widget) if EVIL in tip]
    return found


def _tips(view: QAbstractItemView) -> list[str]:
    model = view.model()
    indexes = (model.index(row, 0, QModelIndex()) for row in range(model.rowCount(QModelIndex())))
    return [str(model.data(index, Qt.ItemDataRole.ToolTipRole) or "") for index in indexes]


@pytest.fixture
def window(qtbot, open_window, tmp_path):
    """Everything that can be named is named with markup."""
    engine = FakeEngine(scripts=[[EVIL], [EVIL, ReadError("{x} ended", x=EVIL)]])
    load = engine.load

    def load_named(path, settings):
        model = load(path, settings)
        model.name = EVIL
        return model

    engine.load = load_named
    window = open_window(engine, data_dir=tmp_path, model=EVIL)
    for _ in range(2):
        type_and_send(qtbot, window, EVIL)
        wait_until_ready(qtbot, window)
    qtbot.waitUntil(lambda: bool(window.sidebar.model.heads()))
    return window


def test_names_titles_answers_and_errors_stay_text(qtbot, window):
    window.sidebar.say(EVIL)
    window.message.say(EVIL, EVIL)
    window.show_settings.trigger()
    window.host.load_failed.emit(EVIL, EVIL)
    window.sidebar.delete(window.chat.conversation.id)
    qtbot.waitUntil(lambda: not window.sidebar.model.heads())
    assert any(EVIL in label.text() for label in window.findChildren(QLabel))
    assert rendered() == []
    assert EVIL in window.windowTitle()


def test_a_row_s_tooltip_is_text_on_the_screen(qtbot, window):
    view = window.sidebar.list
    row = view.visualRect(view.model().index(1, 0))
    event = QHelpEvent(QEvent.Type.ToolTip, row.center(), view.viewport().mapToGlobal(row.center()))
    QApplication.sendEvent(view.viewport(), event)
    assert EVIL not in QToolTip.text()
    assert rendered() == []
    QToolTip.showText(QPoint(), "")


def test_boxes_say_text(qtbot, window, tmp_path):
    file = tmp_path / f"{EVIL.replace('/', '')}.flashbulb-chat"
    file.write_text(json.dumps({"format": EVIL}))
    window.open_file(str(file))
    qtbot.waitUntil(lambda: window.findChild(QMessageBox) is not None)
    box = tell(window, EVIL, EVIL)
    boxes = window.findChildren(QMessageBox)
    assert len(boxes) == 2
    for label in (label for box in boxes for label in box.findChildren(QLabel)):
        assert EVIL not in label.text() or label.textFormat() == Qt.TextFormat.PlainText
    for box in boxes:
        box.close()


def test_a_model_that_does_not_load_is_told_as_text(qtbot, open_window):
    window = open_window(FakeEngine(loads=[PreparedModelError("{x} is gone", x=EVIL)]), model=EVIL)
    assert any(EVIL in label.text() for label in window.findChildren(QLabel))
    assert rendered() == []
