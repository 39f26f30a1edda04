"""A block of code: its language, its text in colour, and a button that copies it."""

from PySide6.QtCore import QEvent, QRectF, Qt
from PySide6.QtGui import (
    QContextMenuEvent,
    QGuiApplication,
    QHideEvent,
    QPainter,
    QPaintEvent,
    QShowEvent,
    QTextCursor,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from app.chat.highlight import Highlighter
from app.chat.selection import Spanning
from app.widgets.buttons import IconButton
from app.widgets.colours import colours
from app.widgets.focus import Ringed
from app.widgets.labels import quiet

RADIUS, PADDING = 8, 10  # pixels


class CodeView(Ringed, Spanning, QPlainTextEdit):  # type: ignore[misc] # of either kind of text field
    """Read-only code, as tall as its lines; long lines scroll sideways."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setReadOnly(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        QPlainTextEdit.setLineWrapMode(self, QPlainTextEdit.LineWrapMode.NoWrap)
        self.viewport().setAutoFillBackground(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTabChangesFocus(True)
        self.setUndoRedoEnabled(False)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.document().setDocumentMargin(0)
        self.document().setProperty("lines", True)  # not paragraphs
        self.setTabStopDistance(4 * self.fontMetrics().horizontalAdvance(" "))
        self.horizontalScrollBar().rangeChanged.connect(self._fit)
        self._fit()

    def append_text(self, text: str) -> None:
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(text)
        self._fit()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        event.ignore()  # the message has a menu

    def wheelEvent(self, event: QWheelEvent) -> None:
        if abs(event.angleDelta().x()) > abs(event.angleDelta().y()):
            super().wheelEvent(event)
        else:
            event.ignore()  # the transcript scrolls

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.ApplicationFontChange):
            self._fit()

    def _fit(self) -> None:
        bar = self.horizontalScrollBar()
        below = bar.sizeHint().height() if bar.maximum() else 0
        self.setFixedHeight(self.document().blockCount() * self.fontMetrics().lineSpacing() + below + 2)


class CodeBlock(QWidget):
    """Grows while the answer streams; coloured once it is complete. title: what stands above it, else the language."""

    def __init__(self, language: str, title: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self.language = language
        self.view = CodeView()
        named = self.tr("Code, {0}").format(language) if language else self.tr("Code")
        self.view.setAccessibleName(title or named)
        self.copy_button = IconButton("copy", self.tr("Copy code"))
        self.copy_button.clicked.connect(self.copy)
        self._closed = False
        self._highlighter = Highlighter(self.view.document(), self)
        head = QHBoxLayout()
        head.setContentsMargins(PADDING, 2, 4, 2)
        head.addWidget(quiet(title or language or self.tr("code")), 1)
        head.addWidget(self.copy_button)
        body = QHBoxLayout()
        body.setContentsMargins(PADDING, PADDING - 2, PADDING, PADDING)
        body.addWidget(self.view)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(0)
        layout.addLayout(head)
        layout.addLayout(body)
        self._head = head

    @property
    def text(self) -> str:
        return self.view.toPlainText()

    def views(self) -> list[CodeView]:
        """The views that show its text."""
        return [self.view]

    def append(self, text: str) -> None:
        self.view.append_text(text)

    def close_block(self) -> None:
        """The code is complete."""
        if self.text.endswith("\n"):
            cursor = QTextCursor(self.view.document())
            cursor.movePosition(QTextCursor.MoveOperation.End)
            cursor.deletePreviousChar()
            self.view._fit()
        self._closed = True
        self._highlighter.start(self.language, self.palette())

    def copy(self) -> None:
        """Put the code on the clipboard, and say so for a moment."""
        QGuiApplication.clipboard().setText(self.text)
        self.copy_button.confirm()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self._closed:
            self._highlighter.start(self.language, self.palette())

    def hideEvent(self, event: QHideEvent) -> None:
        self._highlighter.stop()
        super().hideEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._closed:
            self._highlighter.start(self.language, self.palette())

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades = colours(self.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(shades.hairline)
        painter.setBrush(shades.card)
        area = QRectF(self.rect()).adjusted(0.5, 2.5, -0.5, -2.5)
        painter.drawRoundedRect(area, RADIUS, RADIUS)
        line = self._head.geometry().bottom() + 1.5
        painter.drawLine(round(area.left()), round(line), round(area.right()), round(line))
