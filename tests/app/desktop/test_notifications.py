"""Notifications, with a stand-in for the system's: what is said, and when nothing is."""

import pytest
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QApplication

from app.conversations.conversation import Conversation
from app.desktop import notifications
from app.library.jobs import Job, JobState
from tests.helpers.chatting import last_answer, type_and_send, wait_until_ready
from tests.helpers.fake_engine import FakeEngine, Gate, Pause


class FakeTrayIcon(QObject):
    """Keeps what it is asked to show."""

    activated, messageClicked = Signal(object), Signal()  # noqa: N815
    shown: list = []  # noqa: RUF012

    def __init__(self, icon, parent):
        super().__init__(parent)
        self.visible = False

    @staticmethod
    def isSystemTrayAvailable():  # noqa: N802
        return True

    supportsMessages = isSystemTrayAvailable  # noqa: N815

    def setToolTip(self, text): ...  # noqa: N802

    def show(self):
        self.visible = True

    def hide(self):
        self.visible = False

    def showMessage(self, title, words, icon):  # noqa: N802
        assert self.visible
        FakeTrayIcon.shown.append((title, words))


@pytest.fixture
def shown(monkeypatch):
    """Notifications that were shown. Every answer is a long one, and nobody looks."""
    monkeypatch.setattr(FakeTrayIcon, "shown", [])
    monkeypatch.setattr(notifications, "QSystemTrayIcon", FakeTrayIcon)
    monkeypatch.setattr(notifications, "LONG_ANSWER_S", 0.0)
    monkeypatch.setattr(QApplication, "activeWindow", lambda: None)
    return FakeTrayIcon.shown


def test_the_end_of_a_long_answer_is_told_and_leads_back(qtbot, open_window, shown, monkeypatch):
    window = open_window()
    type_and_send(qtbot, window, "Hi there")
    wait_until_ready(qtbot, window)
    assert shown == [("Hi there", "The answer is complete.")]
    raised = []
    monkeypatch.setattr(window, "bring_up", lambda: raised.append(True))
    window.notifier._icon.messageClicked.emit()
    assert raised
    assert not window.notifier._icon.visible


def test_an_answer_that_broke_off_is_told(qtbot, open_window, shown):
    window = open_window(FakeEngine(scripts=[["Half", OSError("no")]]))
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    assert shown == [("Hi", "The answer broke off.")]


def test_a_stopped_answer_is_not_told(qtbot, open_window, shown):
    window = open_window(FakeEngine(scripts=[["One", Gate()]]))
    type_and_send(qtbot, window, "Hi")
    qtbot.waitUntil(lambda: last_answer(window).text == "One")
    window.stop.trigger()
    wait_until_ready(qtbot, window)
    assert shown == []


def test_a_short_answer_is_not_told(qtbot, open_window, shown, monkeypatch):
    monkeypatch.setattr(notifications, "LONG_ANSWER_S", 60.0)
    window = open_window(FakeEngine(scripts=[["a", Pause(0.01), "b"]]))
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    assert shown == []


def test_nothing_is_said_to_somebody_who_looks(open_window, shown, monkeypatch):
    window = open_window()
    monkeypatch.setattr(QApplication, "activeWindow", lambda: window)
    window.notifier.tell("Title", "Words")
    assert shown == []


def test_it_can_be_switched_off(qtbot, open_window, shown):
    window = open_window()
    window.show_settings.trigger()
    window.settings_window.open_pane("general")
    general = {key: pane for key, _, pane in window.settings_window.panes}["general"]
    qtbot.waitUntil(general.notifications.isVisible)
    qtbot.keyClick(general.notifications, Qt.Key.Key_Space)
    assert window.settings["general.notifications"] is False
    window.notifier.tell("Title", "Words")
    assert shown == []


def test_the_end_of_a_job_is_told_once(open_window, shown, tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path))
    window = open_window()
    window.models.trigger()
    for state in (JobState.FETCHING, JobState.PREPARING, JobState.DONE):
        window.library.jobs.changed.emit(Job("owner/name", state))
    assert shown == [("owner/name", "The model is ready.")]
    window.library.jobs.changed.emit(Job("owner/other", JobState.FAILED))
    assert shown[1:] == [("owner/other", "The model could not be made ready.")]


def test_without_a_tray_nothing_breaks(qtbot, open_window, shown, monkeypatch):
    monkeypatch.setattr(FakeTrayIcon, "isSystemTrayAvailable", lambda: False)
    window = open_window()
    window.notifier.on_answered(Conversation(), Conversation().ask("Hi")[1])
    assert shown == []
