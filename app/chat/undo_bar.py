"""For a while after something was deleted: what it was, and the way to have it back."""

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from app.chat.conversation_list import elided
from app.widgets.labels import quiet, set_tip

DISPLAY_MS = 10_000
BUTTON_PADDING = 24
MARGINS = 44  # pixels around the text and the button


class UndoBar(QWidget):
    """For a while after something was deleted."""

    undone = Signal(str)  # id

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._id = ""
        self.label = quiet()
        self.button = QPushButton(self.tr("Undo"))
        self.button.setFixedWidth(self.button.fontMetrics().horizontalAdvance(self.button.text()) + BUTTON_PADDING)
        self.button.clicked.connect(self.undo)
        self._timer = QTimer(self, singleShot=True, interval=DISPLAY_MS)
        self._timer.timeout.connect(self.hide)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 4, 6, 4)
        row.addWidget(self.label, 1)
        row.addWidget(self.button)
        self.hide()

    def offer(self, id_: str, title: str) -> None:
        self._id = id_
        text = self.tr("Deleted “{0}”").format(title)
        room = (self.parentWidget() or self).width() - self.button.width() - MARGINS
        self.label.setText(elided(self.label.font(), text, room))
        set_tip(self.label, text)
        self.show()
        self._timer.start()

    def undo(self) -> None:
        """Bring it back."""
        self.hide()
        self.undone.emit(self._id)

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)
