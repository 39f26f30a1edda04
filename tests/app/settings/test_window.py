"""The settings window, around a stand-in for the engine."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QInputMethodEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QLineEdit,
)

from app.host.engine_host import State
from app.settings.parameters import ParametersForm
from app.settings.registry import TABLE
from tests.helpers.chatting import last_answer, type_and_send, wait_until_ready
from tests.helpers.fake_engine import MB, FakeEngine, FakeOutlook

LEFT = Qt.MouseButton.LeftButton
ODD_TEXTS = ("-1", "0", "9" * 21, "1e9", "nan", "inf", "0,7", ".", "--", "abc", "<b>7</b>", "", " ")
COMPOSED = ("٣", "７", "七", "😀")  # by an input method


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def main(open_window, engine, tmp_path):
    return open_window(engine, data_dir=tmp_path)


@pytest.fixture
def settings(main):
    main.show_settings.trigger()
    main.settings_window.open_pane("memory")
    return main.settings_window


def test_it_reopens_on_its_last_pane_and_is_named_after_it(main, settings):
    assert settings.windowTitle() == "Memory & Speed"
    settings.open_pane("chat")
    assert settings.windowTitle() == "Chat"
    settings.close()
    main.show_settings.trigger()
    assert settings.isVisible()
    assert main.settings["general.pane"] == "chat"


def whole(settings) -> bool:
    """True if the pane has all the height that its rows need, and nothing scrolls."""
    pane = settings.memory
    return pane.height() >= max(pane.heightForWidth(pane.width()), pane.minimumSizeHint().height())


def test_the_window_grows_and_shrinks_with_the_rows_that_a_model_has(qtbot, main, settings, engine):
    qtbot.waitUntil(lambda: whole(settings))
    before = settings.height()
    engine.streams = ""
    main.load("another")
    wait_until_ready(qtbot, main)
    qtbot.waitUntil(lambda: whole(settings) and settings.height() < before)
    engine.streams = "neuron"
    main.load("starter")
    wait_until_ready(qtbot, main)
    qtbot.waitUntil(lambda: whole(settings) and settings.height() == before)


def test_a_pane_that_is_higher_than_the_screen_scrolls(qtbot, settings, monkeypatch):
    monkeypatch.setattr("app.settings.window.FRAME_HEIGHT", settings.screen().availableGeometry().height() - 300)
    settings.open_pane("chat")
    settings.open_pane("memory")
    qtbot.waitUntil(lambda: settings.height() == 300)
    assert whole(settings)
    assert settings.memory.visibleRegion().boundingRect().height() < settings.memory.height()


def test_the_budget_can_be_moved_and_asks_for_a_reload(qtbot, main, settings, engine):
    pane = settings.memory
    assert pane.automatic.isChecked()
    assert not pane.budget.slider.isEnabled()
    assert not pane._row.isVisible()
    pane.automatic.click()
    pane.budget.slider.setValue(pane.budget.slider.minimum())
    assert main.settings["memory.budget"] == 9 * MB
    assert "9.0\u00a0MB" in pane.budget.value.text()
    assert "the smallest for Starter" in pane.budget.low.text()
    assert "everything with a long chat" in pane.budget.high.text()
    pane.window_size.slider.setValue(8)
    assert pane.window_size.value.text() == "8 tokens"
    assert pane._row.isVisible()
    qtbot.mouseClick(pane.reload, LEFT)
    qtbot.waitUntil(lambda: main.host.state is State.READY and main.host.model is not None)
    assert (main.host.model.memory_budget, main.host.model.window) == (9 * MB, 8)
    assert not pane._row.isVisible()
    pane.automatic.click()
    assert main.settings["memory.budget"] is None


def test_the_budget_s_words_are_the_plan_s(main, settings):
    pane = settings.memory
    pane.automatic.click()
    pane.budget.slider.setValue(pane.budget.slider.maximum())
    assert "Every neuron has room in memory" in pane.budget.words.text()
    assert main.settings["memory.budget"] == FakeOutlook.full
    main.settings["memory.budget"] = 1 * MB
    assert pane.budget.words.text().startswith("Too small")


def test_selection_and_threads(main, settings):
    pane = settings.memory
    pane.selection.setCurrentIndex(pane.selection.findData("exact"))
    assert not pane.threshold.isEnabled()
    assert main.settings["memory.reader_threads"] is None
    assert pane.threads.text() == "Automatic"
    pane.threads.setValue(8)
    assert (main.settings["memory.selection"], main.settings["memory.reader_threads"]) == ("exact", 8)
    assert pane.needs_reload()
    pane.threads.setValue(0)
    assert main.settings["memory.reader_threads"] is None


def test_drafts_can_be_turned_off(qtbot, main, settings):
    pane = settings.memory
    assert pane.drafts.currentText() == "From the text"
    pane.drafts.setCurrentIndex(pane.drafts.findText("Off"))
    assert main.settings["memory.drafts"] == "none"
    assert pane.needs_reload()
    qtbot.mouseClick(pane.reload, LEFT)
    qtbot.waitUntil(lambda: main.host.state is State.READY and main.host.model is not None)
    assert main.host.model.settings.drafts == "none"


def test_the_predictors_threshold(qtbot, main, settings):
    pane = settings.memory
    assert pane.threshold.value.text() == "Default"
    pane.threshold.slider.setValue(pane.threshold.slider.minimum())
    assert main.settings["memory.threshold_shift"] == -4.0
    assert "measured at the default threshold only" in pane.threshold.words.text()
    qtbot.mouseClick(pane.reload, LEFT)
    qtbot.waitUntil(lambda: main.host.state is State.READY and main.host.model is not None)
    assert (main.host.model.settings.threshold_shift, main.host.model.loss) == (-4.0, None)


def test_what_changes_elsewhere_is_shown(main, settings):
    main.settings["memory.window"] = 12
    assert settings.memory.window_size.slider.value() == 12
    main.larger.trigger()
    assert settings.panes[0][2].text_size.value() == 110
    main.usual_size.trigger()


def test_defaults_of_conversations(main, settings):
    settings.open_pane("chat")
    form = settings.panes[3][2].parameters
    form.fields["temperature"].box.setValue(0.2)
    assert main.settings["chat.temperature"] == 0.2
    assert main.chat.parameters.form.fields["temperature"].box.value() == 0.2


def test_the_models_folder(main, settings, tmp_path):
    settings.open_pane("models")
    pane = settings.panes[1][2]
    pane.choose.click()
    dialog = settings.findChild(QFileDialog)
    dialog.fileSelected.emit(str(tmp_path / "drive"))
    dialog.close()
    assert pane.folder.text() == main.settings["models.folder"] == str(tmp_path / "drive")
    pane.default.click()
    assert main.settings["models.folder"] == ""


def test_every_control_has_a_name(settings):
    kinds = (QAbstractButton, QAbstractSlider, QAbstractSpinBox, QApplication, QComboBox)
    for _, _, pane in settings.panes:
        controls = [c for kind in kinds for c in pane.findChildren(kind) if c.objectName() != "qt_spinbox_lineedit"]
        ours = [c for c in controls if not type(c).__module__.startswith("PySide6") or c.parent() is not None]
        for control in ours:
            text = control.text() if hasattr(control, "text") else ""
            inner = "ScrollBar" in type(control).__name__
            assert inner or control.accessibleName() or text, control


def test_whatever_is_typed_into_a_field_is_a_value_or_nothing(qtbot, main, settings):
    boxes = settings.findChildren(QAbstractSpinBox)
    assert len(boxes) >= 10
    for box in boxes:
        for text in ODD_TEXTS:
            box.selectAll()
            QTest.keyClicks(box, text)
            QTest.keyClick(box, Qt.Key.Key_Return)
        for text in COMPOSED:
            composed = QInputMethodEvent()
            composed.setCommitString(text)
            QApplication.sendEvent(box.findChild(QLineEdit), composed)
            QTest.keyClick(box, Qt.Key.Key_Return)
    QTest.keyClicks(settings.findChild(ParametersForm).prompt, "".join(ODD_TEXTS))
    assert all(setting.accepts(main.settings[setting.key]) for setting in TABLE)
    main.activateWindow()
    type_and_send(qtbot, main, "Hello")
    wait_until_ready(qtbot, main)
    assert last_answer(main).message.text
    assert not last_answer(main).message.error
