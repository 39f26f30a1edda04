"""Input methods: what is still being composed, in a field that may be sent or left meanwhile."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QFocusEvent, QGuiApplication, QInputMethodEvent, QKeyEvent
from PySide6.QtWidgets import QApplication, QWidget

ENTER_KEYS = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
if TYPE_CHECKING:
    Base = QWidget
else:
    Base = object


class Composes(Base):
    """Before one of Qt's fields: Enter takes what is being composed and nothing more; so does leaving the field."""

    _composed = ""

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        self._composed = event.preeditString()
        super().inputMethodEvent(event)

    @property
    def is_composing(self) -> bool:
        """True if there is something that is no text of the field yet."""
        return bool(self._composed)

    def take_composed(self) -> bool:
        """Make what is being composed text of the field. Returns whether there was something."""
        if not self._composed:
            return False
        QGuiApplication.inputMethod().commit()
        if self._composed:  # an input method that does not do so by itself
            event = QInputMethodEvent()
            event.setCommitString(self._composed)
            QApplication.sendEvent(self, event)
            QGuiApplication.inputMethod().reset()
        return True

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in ENTER_KEYS and self.take_composed():
            event.accept()
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.take_composed()
        super().focusOutEvent(event)
