"""Labels in the few weights of text that the window uses."""

from html import escape

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QFont, QPalette
from PySide6.QtWidgets import QApplication, QHBoxLayout, QLabel, QWidget

from app.widgets.colours import colours

SMALL_FACTOR = 0.88


def scaled(font: QFont, factor: float, weight: QFont.Weight | None = None) -> QFont:
    """A copy of `font`, larger or smaller, in points or pixels as it came."""
    font = QFont(font)
    if font.pointSizeF() > 0:
        font.setPointSizeF(font.pointSizeF() * factor)
    else:
        font.setPixelSize(round(font.pixelSize() * factor))
    if weight is not None:
        font.setWeight(weight)
    return font


class Label(QLabel):
    """Plain text in one of our colours, which follow the system's appearance. factor: of the usual size of text."""

    def __init__(
        self,
        text: str = "",
        *,
        colour: str = "text",
        factor: float = 1.0,
        weight: QFont.Weight | None = None,
        parent: QWidget | None = None,
    ):
        super().__init__(text, parent)
        self._colour, self._factor, self._weight = colour, factor, weight
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setForegroundRole(QPalette.ColorRole.WindowText)  # also on a ground of another role
        self.fit_text_size()
        self._recolour()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._recolour()

    def fit_text_size(self) -> None:
        """Take the size of text that is set for labels of this class."""
        self.setFont(scaled(QApplication.font(self), self._factor, self._weight))

    def _recolour(self) -> None:
        wanted = getattr(colours(self.palette()), self._colour)
        if self.palette().color(QPalette.ColorRole.WindowText) != wanted:  # else this would call itself for ever
            palette = self.palette()
            palette.setColor(QPalette.ColorRole.WindowText, wanted)
            self.setPalette(palette)


class ChatLabel(Label):
    """A label beside the text of chats, which grows and shrinks with it."""


def quiet(text: str = "", kind: type[Label] = Label) -> Label:
    """Small and grey: everything that is not the one strong thing of its block."""
    return kind(text, colour="quiet", factor=SMALL_FACTOR)


def set_tip(widget: QWidget, text: str) -> None:
    """A tooltip of plain words."""
    widget.setToolTip(tip(text))


def tip(text: str) -> str:
    """Plain words as a tooltip that wraps: one of plain text is a line as long as the words are, or taken for HTML."""
    return f"<qt>{escape(text)}</qt>" if text else ""


def at_both_ends(left: QWidget, right: QWidget) -> QHBoxLayout:
    """A line of two: one where it begins, one where it ends."""
    row = QHBoxLayout()
    row.addWidget(left)
    row.addStretch()
    row.addWidget(right)
    return row
