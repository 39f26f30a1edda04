"""A line that says what the starter is, as long as it is loaded: people try a model with exactly what it cannot do."""

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPalette
from PySide6.QtWidgets import QWidget

from app.widgets.colours import colours
from app.widgets.focus import Ringed
from app.widgets.labels import Label

LINKED = '{0} <a href="#">{1}</a>'


class StarterLine(Ringed, Label):
    """`library_asked`: the link was followed."""

    library_asked = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(colour="quiet", factor=0.92, parent=parent)
        words = self.tr("Starter only makes small talk, in English.")
        link = self.tr("Get a model that knows things")
        self.setTextFormat(Qt.TextFormat.RichText)  # of texts of ours only
        self.setText(LINKED.format(words, link))
        self.setAccessibleName(f"{words} {link}")
        self.setTextInteractionFlags(Qt.TextInteractionFlag.LinksAccessibleByMouse)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.linkActivated.connect(self.library_asked)
        self._colour_link()
        self.hide()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.library_asked.emit()
        else:
            super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._colour_link()

    def _colour_link(self) -> None:
        accent = colours(self.palette()).accent
        if self.palette().color(QPalette.ColorRole.Link) != accent:  # else this would call itself for ever
            palette = self.palette()
            palette.setColor(QPalette.ColorRole.Link, accent)
            self.setPalette(palette)
