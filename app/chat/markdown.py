"""Text as the transcript shows it: as tall as its content, selectable, and Markdown that can grow cheaply."""

import math
import re

from PySide6.QtCore import QRectF, QSizeF, Qt, QUrl
from PySide6.QtGui import (
    QDesktopServices,
    QPainter,
    QPaintEvent,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextDocumentFragment,
    QTextFormat,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextBrowser, QWidget

from app.colours import colours
from app.labels import scaled

FEATURES = QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML
LINE_HEIGHT = 125  # per cent
CODE_PADDING, CODE_RADIUS = 10, 8
INDENT = 22  # pixels a level, for lists and quotes
TEXT_FACTOR = 1.08  # of the system's font: this is what people come to read
SAFE_SCHEMES = ("http", "https", "mailto")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


def finished_length(source: str) -> int:
    """Length of the part of `source` that more text will not change: up to the last blank line outside a code fence."""
    finished = position = 0
    fence = ""
    for line in source.splitlines(keepends=True):
        position += len(line)
        match = FENCE.match(line)
        if fence:
            if match and match[1].startswith(fence) and not match[2].strip():
                fence = ""
        elif match:
            fence = match[1]
        elif not line.strip() and line.endswith("\n"):
            finished = position
    return finished


class TextView(QTextBrowser):
    """Read-only text without a frame, always as tall as its content, that never fetches anything by itself."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setFont(scaled(self.font(), TEXT_FACTOR))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.viewport().setAutoFillBackground(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setOpenLinks(False)
        self.setTabChangesFocus(True)
        self.setUndoRedoEnabled(False)
        self.document().setDocumentMargin(0)
        self.document().setIndentWidth(INDENT)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self.anchorClicked.connect(self._open)
        self.highlighted.connect(self._show_target)

    def loadResource(self, _kind: int, _name: QUrl) -> None:
        """Nothing: an answer must not make the application read files or the network."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()  # the transcript scrolls, not the message

    def natural_width(self) -> int:
        """Width of the longest line when nothing wraps."""
        metrics = self.fontMetrics()
        return max(metrics.horizontalAdvance(line) for line in self.toPlainText().split("\n")) + 2

    def _fit(self, size: QSizeF) -> None:
        self.setFixedHeight(max(math.ceil(size.height()), self.fontMetrics().height()))

    def _open(self, url: QUrl) -> None:
        if url.scheme() in SAFE_SCHEMES:
            QDesktopServices.openUrl(url)

    def _show_target(self, url: QUrl) -> None:
        self.setToolTip(url.toString())


class MarkdownView(TextView):
    """Markdown that arrives in pieces.

    The source is the truth. Finished blocks are parsed once and left alone; only the tail is parsed again with each
    piece, because parsing all of it each time costs seconds in a long answer. `finish` parses the whole once, which
    heals what was split too early (a list with blank lines).
    """

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.source = ""
        self._tail = ""
        self._tail_start = 0

    def append_markdown(self, text: str) -> None:
        """Add text to the end of the source."""
        self.source += text
        self._tail += text
        done = finished_length(self._tail)
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()  # one layout for all of it
        if done:
            self._replace_tail(cursor, self._tail[:done])
            self._tail_start, self._tail = self._end(), self._tail[done:]
        self._replace_tail(cursor, self._tail)
        cursor.endEditBlock()

    def finish(self) -> None:
        """Parse all of the source, once it is complete."""
        self.document().setMarkdown(self.source, FEATURES)
        self._style(self.document().begin())
        self._tail, self._tail_start = "", self._end()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(colours(self.palette()).hairline)
        painter.setBrush(colours(self.palette()).card)
        for area in self._code_areas():
            painter.drawRoundedRect(area, CODE_RADIUS, CODE_RADIUS)
        painter.end()
        super().paintEvent(event)

    def _code_areas(self) -> list[QRectF]:
        """A rectangle behind each run of code lines, as wide as the text."""
        areas: list[QRectF] = []
        block = self.document().begin()
        while block.isValid():
            if _is_code(block):
                lines = block.layout().boundingRect().translated(block.layout().position())
                top, bottom = lines.top() - CODE_PADDING, lines.bottom() + CODE_PADDING
                if _is_code(block.previous()):
                    areas[-1].setBottom(bottom)
                else:
                    areas.append(QRectF(0.5, top, self.viewport().width() - 1, bottom - top))
            block = block.next()
        return areas

    def _end(self) -> int:
        return self.document().characterCount() - 1

    def _replace_tail(self, cursor: QTextCursor, markdown: str) -> None:
        cursor.setPosition(self._tail_start)
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        if not markdown.strip():
            return
        parsed = QTextDocument()
        parsed.setDefaultFont(self.font())
        parsed.setMarkdown(markdown, FEATURES)
        if self._tail_start:
            cursor.insertBlock(QTextBlockFormat(), QTextCharFormat())
        start = cursor.position()
        cursor.insertFragment(QTextDocumentFragment(parsed))
        cursor.setPosition(start)
        _mend_first_block(cursor, parsed.begin())
        self._style(self.document().findBlock(start))

    def _style(self, block: QTextBlock) -> None:
        """What Qt's Markdown leaves out: air between lines, and room around code."""
        while block.isValid():
            style = QTextBlockFormat()
            if _is_code(block):
                style.setNonBreakableLines(False)  # a long line wraps: the message cannot scroll sideways
                style.setLeftMargin(CODE_PADDING)
                style.setRightMargin(CODE_PADDING)
                style.setTopMargin(0 if _is_code(block.previous()) else 2 * CODE_PADDING)
                style.setBottomMargin(0 if _is_code(block.next()) else 2 * CODE_PADDING)
            else:
                style.setLineHeight(LINE_HEIGHT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
            QTextCursor(block).mergeBlockFormat(style)
            block = block.next()


def _is_code(block: QTextBlock) -> bool:
    return block.isValid() and block.blockFormat().hasProperty(QTextFormat.Property.BlockCodeFence)


def _mend_first_block(cursor: QTextCursor, original: QTextBlock) -> None:
    """A fragment's first block loses its format to the block that it is put into, or, as a list, leaves that empty."""
    if not original.textList():
        cursor.setBlockFormat(original.blockFormat())
    elif not cursor.block().text():
        cursor.deleteChar()
