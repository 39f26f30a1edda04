"""A line that says what the starter is, as long as it is loaded: people try a model with exactly what it cannot do."""

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QWidget

from app.widgets.colours import colours
from app.widgets.focus import Ringed
from app.widgets.labels import ChatLabel
from app.widgets.language import sentences

LINK_FORMAT = '{0} <a href="#" style="color: {2}">{1}</a>'  # the palette's own colour of links is passed over


class StarterLine(Ringed, ChatLabel):
    """`library_asked`: the link was followed."""

    library_asked = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(colour="quiet", factor=0.92, parent=parent)
        self._words = (self.tr("Starter only makes small talk, in English."), self.tr("Get a model that knows things"))
        self.setTextFormat(Qt.TextFormat.RichText)  # of texts of ours only
        self.setAccessibleName(sentences(*self._words))
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
        if event.type() == QEvent.Type.PaletteChange and self.text():  # also comes while this is built
            self._colour_link()

    def _colour_link(self) -> None:
        self.setText(LINK_FORMAT.format(*self._words, colours(self.palette()).accent.name()))
