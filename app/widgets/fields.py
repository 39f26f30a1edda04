"""Fields to write in, and fields to look for something."""

from PySide6.QtGui import QDragEnterEvent
from PySide6.QtWidgets import QLineEdit, QToolButton

from app.widgets.composing import Composes
from app.widgets.language import tr

MARGINS = (3, 0, 0, 0)  # of text in a search field: some styles leave none


class TakesText(Composes):
    """Before one of Qt's fields: a file or folder that is dropped on it is no text, and is left to the window."""

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.ignore()
        else:
            super().dragEnterEvent(event)


class SearchField(TakesText, QLineEdit):
    """A field for what is looked for. name: for a screen reader, the placeholder unless it is given."""

    def __init__(self, placeholder: str, name: str = ""):
        super().__init__()
        self.setTextMargins(*MARGINS)
        self.setPlaceholderText(placeholder)
        self.setAccessibleName(name or placeholder)
        self.setClearButtonEnabled(True)
        for button in self.findChildren(QToolButton):  # which has no name of its own
            button.setAccessibleName(tr("Clear"))
            button.setToolTip(tr("Clear"))
