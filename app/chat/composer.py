"""The place where the user writes: a text field that grows, and one round button that sends or stops."""

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QVBoxLayout, QWidget

from app.chat.attachments import AttachmentList
from app.chat.entry import Entry
from app.chat.meter import ContextMeter
from app.widgets.buttons import IconButton
from app.widgets.card import paint_card
from app.widgets.colours import colours, is_dark, mix
from app.widgets.icons import GRID, paint

RADIUS = 14  # pixels


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
    typed = Signal(str)
    stop_asked = Signal()
    attached = Signal()  # the files that will go with the message are others

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.entry = Entry()
        self.entry.sent.connect(self.submit)
        self.entry.textChanged.connect(self._on_typed)
        self.entry.composed.connect(self._refresh)
        self.attachments = AttachmentList()
        self.attachments.changed.connect(self._on_attached)
        self.button = RoundButton()
        self.button.clicked.connect(self._on_clicked)
        self.meter = ContextMeter()
        self.parameters_button = IconButton("parameters", self.tr("System prompt and sampling"))
        self.parameters_button.setCheckable(True)
        self._reason = self._too_long = ""
        self._answering = False
        row = QHBoxLayout()
        row.addWidget(self.parameters_button)
        row.addWidget(self.meter, 1)
        row.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 12, 10, 8)
        layout.setSpacing(4)
        layout.addWidget(self.attachments)
        layout.addWidget(self.entry)
        layout.addLayout(row)
        self.setFocusProxy(self.entry)
        QWidget.setTabOrder(self.entry, self.button)
        QWidget.setTabOrder(self.button, self.parameters_button)
        self._refresh()

    def set_ready(self) -> None:
        """Messages can be sent."""
        self._set("", answering=False)

    def set_answering(self) -> None:
        """An answer comes: the button stops it."""
        self._set(self.tr("An answer is being written"), answering=True)

    def set_blocked(self, reason: str) -> None:
        """Nothing can be sent, for a reason that the button's tooltip gives."""
        self._set(reason, answering=False)

    def set_draft(self, text: str) -> None:
        """Put text into the field."""
        if text != self.entry.toPlainText():
            self.entry.setPlainText(text)

    def set_too_long(self, reason: str) -> None:
        """Say that the text is longer than what the model can look back on, and cannot be sent; "" where it is not."""
        self._too_long = reason
        self._refresh()

    @property
    def is_blank(self) -> bool:
        """True if there is nothing to send: neither words nor files."""
        return self.entry.is_blank and not self.attachments.attachments

    def submit(self) -> None:
        """Send what is written, if it can be sent, with what an input method is still composing."""
        self.entry.take_composed()
        if not self.is_blank and not (self._reason or self._too_long):
            text = self.entry.toPlainText().strip()
            self.entry.clear()
            self.submitted.emit(text)

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades = colours(self.palette())
        paint_card(self, shades.hairline, shades.card if is_dark(self.palette()) else shades.base, RADIUS)

    def _set(self, reason: str, *, answering: bool) -> None:
        self._reason, self._answering = reason, answering
        self._refresh()

    def _on_clicked(self) -> None:
        if self._answering:
            self.stop_asked.emit()
        else:
            self.submit()

    def _on_typed(self) -> None:
        self._refresh()
        self.typed.emit(self.entry.toPlainText())

    def _on_attached(self) -> None:
        self._refresh()
        self.attached.emit()

    def _refresh(self) -> None:
        reason = self._reason or self._too_long or (self.tr("Write a message first") if self.is_blank else "")
        self.button.setEnabled(self._answering or not reason)
        self.button.set_symbol("stop" if self._answering else "up")
        self.button.setAccessibleName(self.tr("Stop") if self._answering else self.tr("Send"))
        self.button.setToolTip(self.tr("Stop (Esc)") if self._answering else reason or self.tr("Send (Enter)"))
