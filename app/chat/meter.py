"""The context meter: how much of what the model can look back on is taken, and what happens when it is full."""

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from app.widgets import units
from app.widgets.colours import colours
from app.widgets.labels import ChatLabel, quiet
from app.widgets.language import tr

NEARLY_FULL_SHARE = 0.75  # from here on the engine may leave out the oldest messages
RING_DIAMETER = 13


def too_long(tokens: int, context: int) -> str:
    """Words for a message that alone is longer than what the model can look back on, both in tokens; "" for no such."""
    if tokens <= context:
        return ""
    text = tr("Too long by about {0}: about {1} tokens, and the model has room for {2}.")
    return text.format(*map(units.whole, (tokens - context, tokens, context)))


class ContextMeter(QWidget):
    """A ring and its number."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.ring = _Ring()
        self.label = quiet(kind=ChatLabel)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.ring)
        row.addWidget(self.label, 1)
        self.say("")

    def say(self, text: str) -> None:
        """Words instead of a number, for instance while no model is loaded."""
        self.ring.hide()
        self.label.setText(text)
        self.setToolTip("")

    def set_used(self, used: int, context: int, more: int = 0, reasoning: int = 0) -> None:
        """All in tokens. more: about as many as are typed, or written since `used` was counted.

        reasoning: as many of all these as the model reasoned before its latest answer.
        """
        share = (used + more) / context if context else 0.0
        count = self.tr("about {0}").format(units.whole(used + more)) if more else units.whole(used)
        text = self.tr("{0} of {1} tokens").format(count, units.whole(context))
        if reasoning:
            text += self.tr(" ({0} reasoning)").format(units.whole(reasoning))
        if share > 1:
            text += self.tr(": older messages will be left out")
        elif share >= NEARLY_FULL_SHARE:
            text += self.tr(", nearly full")
        self.ring.set_share(share)
        self.ring.show()
        self.label.setText(text)
        self.setToolTip(
            self.tr(
                "How much of the model's context this chat takes. When it is full, the oldest messages are no "
                "longer given to the model; they stay in the chat."
            )
        )
        self.setAccessibleName(self.tr("Context: {0}").format(text))


class _Ring(QWidget):
    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._share = 0.0
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def set_share(self, share: float) -> None:
        self._share = min(max(share, 0.0), 1.0)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(RING_DIAMETER, RING_DIAMETER)

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades = colours(self.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        circle = QRectF(self.rect()).adjusted(1.5, 1.5, -1.5, -1.5)
        painter.setPen(QPen(shades.hairline, 2))
        painter.drawEllipse(circle)
        shade = shades.error if self._share >= NEARLY_FULL_SHARE else shades.quiet
        painter.setPen(QPen(shade, 2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap))
        painter.drawArc(circle, 90 * 16, round(-360 * 16 * self._share))
