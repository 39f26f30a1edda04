"""Markup in whatever comes from files, models and people stays text in every widget: Qt would render it by itself."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QModelIndex, QPoint, Qt
from PySide6.QtGui import QHelpEvent
from PySide6.QtWidgets import QAbstractItemView, QApplication, QLabel, QMessageBox, QTextEdit, QToolTip, QWidget

from app.chat.guide import Capability, Guide
from app.chat.message import Answer, ReceiptDetail
from app.chat.receipt import Receipt
from app.library.jobs import Job, JobState
from app.library.known import FOLDERS_KEY
from app.library.picker import ModelPicker
from app.library.proof import ProofWindow
from app.library.row import ModelRow
from app.library.rows import Row
from app.library.survey import Survey
from app.library.verdict import Kind, Verdict
from app.library.window import LibraryWindow
from app.settings.registry import Preferences
from app.widgets.dialogs import tell
from engine.errors import PreparedModelError, ReadError
from tests.helpers.chatting import type_and_send, wait_until_ready
from tests.helpers.fake_engine import FakeEngine
from tests.helpers.proofs import FOUND

EVIL = '<img src="/nowhere.png"><b>bold</b>'


def rendered() -> list[str]:
    """Every widget that would make markup of what it was given."""
    found = []
    for widget in QApplication.allWidgets():
        if isinstance(widget, QLabel) and EVIL in widget.text() and widget.textFormat() != Qt.TextFormat.PlainText:
            found.append(f"label {widget.text()} in {widget.parent()}")
        if isinstance(widget, QTextEdit) and "bold" in widget.toPlainText().replace("<b>bold</b>", ""):
            found.append(f"text {widget.toPlainText()} in {widget.parent()}")
        if EVIL in widget.toolTip() or EVIL in widget.whatsThis():  # Qt decides by itself, and would render it
            found.append(f"tooltip of {widget}")
        if isinstance(widget, QAbstractItemView) and widget.model() is not None:
            found += [f"tooltip of a row in {widget}" for tip in _tips(widget) if EVIL in tip]
    return found


def says(*windows: QWidget) -> int:
    """The number of labels that show it: there is something to be looked at."""
    return sum(EVIL in label.text() for window in windows for label in window.findChildren(QLabel))


def _tips(view: QAbstractItemView) -> list[str]:
    model = view.model()
    indexes = (model.index(row, 0, QModelIndex()) for row in range(model.rowCount(QModelIndex())))
    return [str(model.data(index, Qt.ItemDataRole.ToolTipRole) or "") for index in indexes]


@pytest.fixture
def window(qtbot, open_window, tmp_path):
    """Everything that can be named is named with markup."""
    engine = FakeEngine(scripts=[[EVIL], [EVIL, ReadError("{x} ended", x=EVIL)]])
    load = engine.load

    def load_named(path, settings, *more):
        model = load(path, settings, *more)
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


ROWS = (
    Row(EVIL, EVIL, EVIL, EVIL, (EVIL,), 10**9, recommended=True),
    Row(EVIL, EVIL, EVIL, EVIL, size=10**9, folder=Path(EVIL), trouble=EVIL),
    Row(EVIL, EVIL, size=10**9, verdict=Verdict(Kind.UNSUPPORTED, 0), refused=EVIL, found=EVIL, research=True),
    Row(EVIL, EVIL, checkpoint=Path(EVIL), added=True),
)
JOBS = (
    None,
    Job(EVIL, JobState.FETCHING, 1, 2, 3.0, note=EVIL),
    Job(EVIL, JobState.PREPARING, note=EVIL, share=0.5),
    Job(EVIL, JobState.FAILED, error=EVIL, page=EVIL),
)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("job", JOBS)
def test_rows_of_models_are_text(qtbot, row, job):
    widget = ModelRow(row)
    qtbot.addWidget(widget)
    widget.refresh(job)
    widget.show()
    assert says(widget)
    assert rendered() == []


@pytest.mark.qt_log_ignore(r"This plugin does not support (raise\(\)|grabbing)")
def test_the_models_window_and_the_model_menu_are_text(qtbot, monkeypatch, tmp_path):
    found = Survey(ROWS, Path(EVIL), 10**9, (EVIL,))
    monkeypatch.setattr("app.library.window.survey", lambda *_args, **_more: found)
    monkeypatch.setattr("app.library.picker.survey", lambda *_args, **_more: found)
    settings = Preferences()
    settings[FOLDERS_KEY] = [EVIL]
    library, below = LibraryWindow(settings), QWidget()
    picker = ModelPicker(settings, below)
    for widget in (library, below):
        qtbot.addWidget(widget)
        widget.show()
    qtbot.waitUntil(lambda: len(library.rows) == len(ROWS))
    picker.pop_up(below, EVIL)
    library.say(EVIL)
    library.field.setText(EVIL)
    assert says(library) > len(ROWS)
    assert rendered() == []
    for window in (library, picker):
        window.shutdown()
        window.deleteLater()


def test_the_settings_are_text(qtbot, window):
    window.settings["models.folder"] = f"/{EVIL}"
    window.settings["chat.system_prompt"] = EVIL
    window.show_settings.trigger()
    settings = window.settings_window
    for key, _, _ in settings.panes:
        settings.open_pane(key)
    settings.memory.drive._failed = EVIL
    settings.memory.drive.refresh()
    settings.models.token.words.setText(EVIL)
    assert says(settings) > 1
    assert rendered() == []


def test_receipts_are_text(qtbot, window):
    receipt = Receipt(model=EVIL, selection=EVIL, prompt_tokens=3, tokens=3, finish_reason=EVIL)
    detail = ReceiptDetail(receipt)
    qtbot.addWidget(detail)
    detail.show()
    answer = next(widget for widget in window.chat.transcript.messages() if isinstance(widget, Answer))
    answer.detail_button.click()
    assert says(detail)
    assert says(answer)
    assert rendered() == []


def test_the_welcome_page_is_text(qtbot, window):
    window.new_chat.trigger()
    assert says(window.chat.welcome)
    guide = Guide()
    qtbot.addWidget(guide)
    guide._on_looked(Capability(10**9, 10**9, None, {kind: [EVIL] for kind in Kind}))
    guide.show()
    assert says(guide) == len(guide.lists)
    assert rendered() == []


def test_a_proof_is_text(qtbot, window):
    proof = ProofWindow(window.host, EVIL, EVIL, window.settings.engine_settings(), window)
    proof._on_proved(replace(FOUND, answers=((EVIL, EVIL),)))
    assert says(proof)
    assert rendered() == []
    proof.close()
