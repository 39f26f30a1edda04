"""A field for plain text that grows with what is written."""

import math
from pathlib import Path

from PySide6.QtCore import SIGNAL, QMimeData, QSizeF, Qt, Signal
from PySide6.QtGui import QInputMethodEvent, QKeyEvent, QTextCursor
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextEdit, QWidget

from app.widgets.composing import ENTER_KEYS
from app.widgets.fields import TakesText

MAX_LINES = 8
MAX_PASTED_CHARACTERS = 50_000  # beyond which a text goes with the message as a file does, where it can


class Entry(TakesText, QTextEdit):
    """Plain text. Enter sends, Shift-Enter starts a new line, Tab leaves, Escape gives up."""

    sent = Signal()
    left = Signal()
    files_pasted = Signal(object)  # list of Path
    picture_pasted = Signal()
    text_pasted = Signal(str)  # so much that a field is no place for it
    composed = Signal()  # an input method has begun, gone on or ended to compose

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setAcceptRichText(False)
        self.setTabChangesFocus(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)  # nor does what is around it grow
        self.viewport().setAutoFillBackground(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setPlaceholderText(self.tr("Message"))
        self.setAccessibleName(self.tr("Message"))
        self.document().setDocumentMargin(2)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._fit(self.document().size())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        enter = event.key() in ENTER_KEYS
        if enter and self.take_composed():
            event.accept()
        elif enter and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.sent.emit()
        elif event.key() == Qt.Key.Key_Escape and self.receivers(SIGNAL("left()")):
            self.left.emit()
        else:
            super().keyPressEvent(event)

    @property
    def is_blank(self) -> bool:
        """True if there is nothing to send, nor about to be."""
        return not (self.toPlainText().strip() or self.is_composing)

    def inputMethodEvent(self, event: QInputMethodEvent) -> None:
        super().inputMethodEvent(event)
        self.composed.emit()

    def setPlainText(self, text: str) -> None:
        """Put text into the field, and the cursor behind it."""
        super().setPlainText(text)
        self.moveCursor(QTextCursor.MoveOperation.End)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        return source.hasText() or source.hasUrls() or source.hasImage()

    def insertFromMimeData(self, source: QMimeData) -> None:
        if files := [Path(url.toLocalFile()) for url in source.urls() if url.isLocalFile()]:
            self.files_pasted.emit(files)
        elif source.hasImage() and not source.hasText():
            self.picture_pasted.emit()
        elif len(source.text()) > MAX_PASTED_CHARACTERS and self.receivers(SIGNAL("text_pasted(QString)")):
            self.text_pasted.emit(source.text())
        else:
            self.insertPlainText(source.text())

    def _fit(self, size: QSizeF) -> None:
        most = MAX_LINES * self.fontMetrics().lineSpacing()
        self.setFixedHeight(min(math.ceil(size.height()), most))
