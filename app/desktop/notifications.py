"""Word that something long has ended, where nobody looks: the system's own notification, and the Dock's hop."""

import time

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QSystemTrayIcon, QWidget

from app.conversations.conversation import INTERRUPTED, Conversation, Message
from app.host.engine_host import State
from app.library.jobs import Job, JobState
from app.settings.registry import Preferences
from app.widgets.icons import application_icon

LONG_ANSWER_S = 8.0  # an answer that takes this long is not waited for
SETTING_KEY = "general.notifications"


class Notifier(QObject):
    """Never while one of our windows has the focus, nor where the setting is off.

    A notification needs an icon in the menu bar (on Linux in the tray), which goes when the application is looked at.
    """

    clicked = Signal()  # the window is wanted

    def __init__(self, window: QWidget, settings: Preferences):
        super().__init__(window)
        self._window, self._settings = window, settings
        self._began = 0.0
        self._icon: QSystemTrayIcon | None = None
        application = QGuiApplication.instance()
        assert isinstance(application, QGuiApplication)
        application.applicationStateChanged.connect(self._on_application_state)

    def on_state(self, state: State) -> None:
        """An answer begins."""
        if state is State.ANSWERING:
            self._began = time.monotonic()

    def on_answered(self, conversation: Conversation, message: Message) -> None:
        """An answer has ended."""
        if time.monotonic() - self._began < LONG_ANSWER_S or message.finish in ("cancelled", INTERRUPTED):
            return
        words = self.tr("The answer broke off.") if message.error else self.tr("The answer is complete.")
        self.tell(conversation.title or self.tr("New chat"), words)

    def on_job(self, job: Job) -> None:
        """A model's job has changed."""
        if job.state is JobState.DONE:
            self.tell(job.repo, self.tr("The model is ready."))
        elif job.state is JobState.FAILED:
            self.tell(job.repo, self.tr("The model could not be made ready."))

    def tell(self, title: str, words: str) -> None:
        """Say it, if nobody looks."""
        if not self._settings[SETTING_KEY] or QApplication.activeWindow() is not None:
            return
        QApplication.alert(self._window)
        if QSystemTrayIcon.isSystemTrayAvailable() and QSystemTrayIcon.supportsMessages():
            self._shown_icon().showMessage(title, words, application_icon())

    def close(self) -> None:
        """Take the icon away."""
        if self._icon:
            self._icon.hide()

    def _shown_icon(self) -> QSystemTrayIcon:
        if self._icon is None:
            self._icon = QSystemTrayIcon(application_icon(), self)
            self._icon.setToolTip("Flashbulb")
            self._icon.activated.connect(self._on_clicked)
            self._icon.messageClicked.connect(self._on_clicked)
        self._icon.show()
        return self._icon

    def _on_clicked(self) -> None:
        self.close()
        self.clicked.emit()

    def _on_application_state(self, state: Qt.ApplicationState) -> None:
        if state == Qt.ApplicationState.ApplicationActive:
            self.close()
