"""One widget a message: the user's question in a bubble, the model's answer with what it cost."""

from PySide6.QtCore import QEvent, QRectF, QTimer
from PySide6.QtGui import QGuiApplication, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from app import units
from app.chat.markdown import MarkdownView, TextView
from app.chat.notice import Notice
from app.colours import colours
from app.icons import icon
from app.labels import quiet
from engine.statistics import Summary

BUBBLE_SHARE = 0.8  # of the column's width, at most
BUBBLE_MARGINS = (13, 8, 13, 8)
BUBBLE_RADIUS = 12
COPIED_MS = 1500
SELECTIONS = {"predictor": "predicted", "exact": "exact", "dense": "all neurons"}


def receipt(summary: Summary, selection: str) -> str:
    """What an answer cost, in one line. Figures that were not measured are left out."""
    parts = []
    if summary.tokens_per_second:
        parts.append(f"{summary.tokens_per_second:.1f}{units.NARROW}tok/s")
    if summary.tokens:
        parts.append(f"first token {units.seconds(summary.time_to_first_token_s)}")
    if summary.per_token:
        parts.append(f"{units.size(summary.per_token['bytes_read'])} from flash a token")
        parts.append(f"{units.percent(summary.per_token['hit_rate'])} hits")
        parts.append(SELECTIONS[selection])
    ended = {
        "cancelled": "stopped",
        "length": f"cut off after {len(summary.tokens)} tokens",
        "context": "cut off, the context is full",
    }
    if summary.left_early:
        parts.append("the window did not fit the neuron pool")
    if summary.finish_reason in ended:
        parts.append(ended[summary.finish_reason])
    return " · ".join(parts)


class Question(QWidget):
    """What the user said, as typed, in a bubble at the right."""

    def __init__(self, text: str, parent: QWidget | None = None):
        super().__init__(parent)
        self.view = TextView()
        self.view.setPlainText(text)
        self.view.setAccessibleName("You")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(*BUBBLE_MARGINS)
        layout.addStretch()
        layout.addWidget(self.view)

    def resizeEvent(self, event: QResizeEvent) -> None:
        left, _, right, _ = BUBBLE_MARGINS
        room = round(BUBBLE_SHARE * self.width()) - left - right
        self.view.setFixedWidth(min(room, self.view.natural_width()))
        super().resizeEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        left, top, right, bottom = BUBBLE_MARGINS
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(colours(self.palette()).bubble)
        painter.setBrush(colours(self.palette()).bubble)
        bubble = QRectF(self.view.geometry().adjusted(-left, -top, right, bottom)).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.drawRoundedRect(bubble, BUBBLE_RADIUS, BUBBLE_RADIUS)


class Answer(QWidget):
    """What the model says, as it comes; then its receipt, or why it broke off."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.view = MarkdownView()
        self.view.setAccessibleName("Answer")
        self.view.hide()
        self.receipt = quiet("Reading your message…")
        self.receipt.setWordWrap(True)
        self.copy_button = QToolButton(autoRaise=True, visible=False)
        self.copy_button.setAccessibleName("Copy answer")
        self.copy_button.setToolTip("Copy answer")
        self.copy_button.clicked.connect(self.copy)
        self._copied = QTimer(self, singleShot=True, interval=COPIED_MS)
        self._copied.timeout.connect(self._show_copy)
        row = QHBoxLayout()
        row.addWidget(self.receipt, 1)
        row.addWidget(self.copy_button)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(6)
        self._layout.addWidget(self.view)
        self._layout.addLayout(row)
        self._set_icon("copy")

    @property
    def text(self) -> str:
        return self.view.source

    def append(self, text: str) -> None:
        """Show more of the answer."""
        self.view.append_markdown(text)
        if not self.view.isVisibleTo(self) and self.text.strip():
            self.view.show()
            self.receipt.clear()

    def finish(self, receipt_text: str) -> None:
        """The answer is complete, or was stopped."""
        self.view.finish()
        self.receipt.setText(receipt_text)
        self.copy_button.setVisible(bool(self.text.strip()))

    def fail(self, message: str, details: str) -> None:
        """The answer broke off: what came so far stays."""
        self.finish("")
        self._layout.insertWidget(1, Notice(message, details))

    def copy(self) -> None:
        """Put the answer on the clipboard, as Markdown, and say so for a moment."""
        QGuiApplication.clipboard().setText(self.text.strip())
        self._set_icon("done")
        self._copied.start()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._set_icon("copy")

    def _show_copy(self) -> None:
        self._set_icon("copy")

    def _set_icon(self, name: str) -> None:
        self.copy_button.setIcon(icon(name, colours(self.palette()).quiet))
