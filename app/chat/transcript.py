"""The conversation's messages, one under the other. Follows the answer only while its reader is at the bottom."""

from PySide6.QtCore import QPoint, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QResizeEvent
from PySide6.QtWidgets import QAbstractButton, QFrame, QScrollArea, QVBoxLayout, QWidget

from app.chat.message import Answer, Question
from app.colours import colours
from app.icons import GRID, paint

COLUMN_WIDTH = 640
COLUMN_MARGIN = 24
TURN_SPACING = 22
AT_BOTTOM = 4  # pixels from the end that still count as the end


class JumpButton(QAbstractButton):
    """The round button that leads back to the end."""

    def __init__(self, parent: QWidget):
        super().__init__(parent)
        self.setAccessibleName("Go to the latest message")
        self.setToolTip("Go to the latest message")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.resize(self.sizeHint())
        self.hide()

    def sizeHint(self) -> QSize:
        return QSize(32, 32)

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades = colours(self.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(shades.accent if self.hasFocus() else shades.hairline)
        painter.setBrush(shades.base)
        painter.drawEllipse(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))
        painter.translate((self.width() - GRID) / 2, (self.height() - GRID) / 2)
        paint(painter, "down", shades.text)


class Transcript(QScrollArea):
    """A centred column of messages; `placeholder` shows while there are none."""

    column_moved = Signal(int, int)  # left and right margin, for what has to line up with the column

    def __init__(self, placeholder: QWidget, parent: QWidget | None = None):
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setAccessibleName("Conversation")
        self._following = True
        self._column = QWidget()
        self._column.setBackgroundRole(QPalette.ColorRole.Base)
        self._layout = QVBoxLayout(self._column)
        self._layout.setSpacing(TURN_SPACING)
        self._placeholder = placeholder
        self._layout.addWidget(placeholder, 1)
        self._layout.addStretch()
        self.setWidget(self._column)
        self.jump = JumpButton(self)
        self.jump.clicked.connect(self.go_to_end)
        self.verticalScrollBar().valueChanged.connect(self._on_scrolled)
        self.verticalScrollBar().rangeChanged.connect(self._on_grown)

    def add_question(self, text: str) -> Question:
        return self._add(Question(text))

    def add_answer(self) -> Answer:
        return self._add(Answer())

    def messages(self) -> list[QWidget]:
        """The message widgets, oldest first."""
        return [self._layout.itemAt(i).widget() for i in range(1, self._layout.count() - 1)]

    def clear(self) -> None:
        """Remove every message."""
        for message in self.messages():
            self._layout.removeWidget(message)
            message.hide()
            message.deleteLater()
        self._placeholder.show()
        self.go_to_end()

    def go_to_end(self) -> None:
        """Show the end and follow it from now on."""
        self._following = True
        self.jump.hide()
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        width = self.viewport().width()
        margin = max(COLUMN_MARGIN, (width - COLUMN_WIDTH) // 2)
        self._layout.setContentsMargins(margin, COLUMN_MARGIN, margin, COLUMN_MARGIN)
        corner = QPoint((width - self.jump.width()) // 2, self.viewport().height() - self.jump.height() - 8)
        self.jump.move(corner)
        self.column_moved.emit(margin, self.width() - width + margin)

    def _add(self, message):
        self._placeholder.hide()
        self._layout.insertWidget(self._layout.count() - 1, message)
        return message

    def _on_scrolled(self, value: int) -> None:
        self._following = value >= self.verticalScrollBar().maximum() - AT_BOTTOM
        self.jump.setVisible(not self._following)

    def _on_grown(self, _minimum: int, maximum: int) -> None:
        if self._following:
            self.verticalScrollBar().setValue(maximum)
