"""Where the user writes: a text field that grows, and one round button that sends or stops."""

import math

from PySide6.QtCore import QMimeData, QRectF, QSize, QSizeF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QFrame, QHBoxLayout, QTextEdit, QVBoxLayout, QWidget

from app.chat.markdown import TEXT_FACTOR
from app.colours import colours, is_dark, mix
from app.icons import GRID, paint
from app.labels import quiet, scaled

MOST_LINES = 8
RADIUS = 14
EMPTY_REASON = "Write a message first"


class Entry(QTextEdit):
    """Plain text. Enter sends, Shift-Enter starts a new line, Tab leaves."""

    sent = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setFont(scaled(self.font(), TEXT_FACTOR))
        self.setAcceptRichText(False)
        self.setTabChangesFocus(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.viewport().setAutoFillBackground(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setPlaceholderText("Message")
        self.setAccessibleName("Message")
        self.document().setDocumentMargin(2)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._fit(self.document().size())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.sent.emit()
        else:
            super().keyPressEvent(event)

    def insertFromMimeData(self, source: QMimeData) -> None:
        self.insertPlainText(source.text())

    def _fit(self, size: QSizeF) -> None:
        most = MOST_LINES * self.fontMetrics().lineSpacing()
        self.setFixedHeight(min(math.ceil(size.height()), most))


class RoundButton(QAbstractButton):
    """Send, or stop while an answer comes."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._symbol = "up"

    def set_symbol(self, symbol: str) -> None:
        self._symbol = symbol
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(30, 30)

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades = colours(self.palette())
        ground = shades.accent if self.isEnabled() else mix(shades.text, shades.base, 0.8)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        circle = QRectF(self.rect()).adjusted(2, 2, -2, -2)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ground.darker(115) if self.isDown() else ground)
        painter.drawEllipse(circle)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(mix(shades.accent, shades.base, 0.4), 1.5))
            painter.drawEllipse(circle.adjusted(-1.2, -1.2, 1.2, 1.2))
        painter.translate((self.width() - GRID) / 2, (self.height() - GRID) / 2)
        paint(painter, self._symbol, shades.on_accent if self.isEnabled() else shades.base)


class Composer(QWidget):
    """The card at the foot of the conversation. Typed text stays until it is sent."""

    submitted = Signal(str)
    stop_asked = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.entry = Entry()
        self.entry.sent.connect(self.submit)
        self.entry.textChanged.connect(self._refresh)
        self.button = RoundButton()
        self.button.clicked.connect(self._on_clicked)
        self.hint = quiet()
        self._reason = ""
        self._answering = False
        row = QHBoxLayout()
        row.addWidget(self.hint, 1)
        row.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 12, 10, 8)
        layout.setSpacing(4)
        layout.addWidget(self.entry)
        layout.addLayout(row)
        self.setFocusProxy(self.entry)
        self._refresh()

    def set_ready(self) -> None:
        """Messages can be sent."""
        self._set("", answering=False)

    def set_answering(self) -> None:
        """An answer comes: the button stops it."""
        self._set("An answer is being written", answering=True)

    def set_blocked(self, reason: str) -> None:
        """Nothing can be sent, for a reason that the button's tooltip gives."""
        self._set(reason, answering=False)

    def submit(self) -> None:
        """Send what is written, if it can be sent."""
        text = self.entry.toPlainText().strip()
        if text and not self._reason:
            self.entry.clear()
            self.submitted.emit(text)

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades = colours(self.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(shades.hairline, 1))
        painter.setBrush(shades.card if is_dark(self.palette()) else shades.base)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), RADIUS, RADIUS)

    def _set(self, reason: str, *, answering: bool) -> None:
        self._reason, self._answering = reason, answering
        self._refresh()

    def _on_clicked(self) -> None:
        if self._answering:
            self.stop_asked.emit()
        else:
            self.submit()

    def _refresh(self) -> None:
        reason = self._reason or ("" if self.entry.toPlainText().strip() else EMPTY_REASON)
        self.button.setEnabled(self._answering or not reason)
        self.button.set_symbol("stop" if self._answering else "up")
        self.button.setAccessibleName("Stop" if self._answering else "Send")
        self.button.setToolTip("Stop (Esc)" if self._answering else reason or "Send (Enter)")
