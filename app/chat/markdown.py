"""Text as the transcript shows it: as tall as its content, selectable, and Markdown that can grow cheaply."""

import math
import re
from collections.abc import Iterator

from PySide6.QtCore import QEvent, QRectF, QSizeF, Qt, QUrl, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QFont,
    QFontMetricsF,
    QPainter,
    QPaintEvent,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextDocumentFragment,
    QTextFormat,
    QTextFrameFormat,
    QTextOption,
    QTextTable,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QLayout, QSizePolicy, QTextBrowser, QWidget

from app.chat.emphasis import MARK, marked
from app.chat.inline import parts
from app.chat.links import honest
from app.chat.mathematics import legible
from app.chat.selection import Spanning
from app.widgets.colours import Colours, colours
from app.widgets.focus import Ringed
from app.widgets.labels import set_tip

FEATURES = QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML
LINE_HEIGHT = 125  # per cent
CODE_PADDING = 10
BAR_WIDTH = 3  # pixels
INDENT = 22  # pixels a level, for lists and quotes
MAX_TAIL_CHARACTERS = 1500  # characters that are parsed again with each piece
MAX_BLOCK_CHARACTERS = 8000  # characters of a paragraph that is laid out again with each piece
MAX_LINE_CHARACTERS = 8000  # of plain text
LONG_LINE_CHARACTERS = 400  # characters that surely wrap
QWIDGETSIZE_MAX = (1 << 24) - 1
RULE_PROPERTY = QTextFormat.Property.UserProperty  # of a block that is a line from side to side
RULE_MARGIN = 8  # pixels above and below it
HEADING_MARGIN = 16  # pixels above one: it belongs to what follows
MAX_VIEW_CHARACTERS, MAX_VIEW_BLOCKS = 6000, 100  # letters, and paragraphs or cells, after which another follows
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
LIST_ITEM = re.compile(r"([-*+]|\d{1,9}[.)])(\s|$)")
TASK_BOX = re.compile(r"\[[ xX]\]\s")
BLOCK_BOUND = re.compile(  # a line's end where another block begins: before an item or heading, after that or a rule
    r"\n(?=(?:[-*+]|\d{1,9}[.)]|#{1,6})\s)|^(?:#{1,6}\s.*|([-*_])(?:[ \t]*\1){2,}[ \t]*)\n", re.MULTILINE
)
DONE_BOX, TO_DO_BOX = "☑\u00a0", "☐\u00a0"
BOXES = {QTextBlockFormat.MarkerType.Checked: DONE_BOX, QTextBlockFormat.MarkerType.Unchecked: TO_DO_BOX}


def finished_length(source: str) -> int:
    """Length of the part of `source` that more text will not change.

    That is up to the last blank line outside a code fence; a list may go on after one, so it ends where something else
    begins.
    """
    finished = blank = position = 0
    fence, in_list = "", False
    for line in source.splitlines(keepends=True):
        match = FENCE.match(line)
        whole = line.endswith("\n")
        if fence:
            if match and match[1].startswith(fence) and not match[2].strip():
                fence = ""
        elif not line.strip():
            if whole:
                blank = position + len(line)
                finished = finished if in_list else blank
        else:
            goes_on = in_list and (line[0].isspace() or not _is_certain(line, whole) or LIST_ITEM.match(line))
            if blank and not goes_on:
                finished, in_list = max(finished, blank), False
            in_list = in_list or bool(LIST_ITEM.match(line.lstrip()))
            fence = match[1] if match else ""
        position += len(line)
    return finished


def _is_certain(line: str, whole: bool) -> bool:
    """True if a line cannot become a list's item any more."""
    return whole or not re.fullmatch(r"[-*+]|\d{1,9}[.)]?", line)


def long_tail_cut(tail: str) -> tuple[int, str | None]:
    """The place to cut a block that grows too long to be parsed again and again.

    Returns the length to finish, and what joins the rest to the same paragraph (None: it is a block of its own).
    """
    if bounds := [match.end() for match in BLOCK_BOUND.finditer(tail)]:
        return bounds[-1], None
    end = max(tail.rfind(" "), tail.rfind("\n")) + 1
    return (end, " ") if end else (len(tail), "")


def in_paragraphs(text: str) -> str:
    """A text whose longest lines, which no person reads and Qt would lay out for minutes, are cut into several."""
    return "\n".join(piece for line in text.split("\n") for piece in _cut(line))


def _cut(line: str) -> list[str]:
    if len(line) <= MAX_LINE_CHARACTERS:
        return [line]
    return [line[start : start + MAX_LINE_CHARACTERS] for start in range(0, len(line), MAX_LINE_CHARACTERS)]


def presentable(markdown: str) -> str:
    """Markdown with legible formulas, emphasis that the parser sees beside every script, and pictures turned into
    links: nothing is ever fetched to be shown."""
    pieces = [(text if is_code else legible(text).replace("![", "["), is_code) for text, is_code in parts(markdown)]
    shape = "".join(f"`{'x' * (len(text) - 2)}`" if is_code else text for text, is_code in pieces)
    return marked("".join(text for text, _ in pieces), shape)


def parsed(markdown: str, font: QFont, wrapping: QTextOption | None = None) -> QTextDocument:
    """A document of its own with what Markdown says."""
    document = QTextDocument()
    document.setDefaultFont(font)
    if wrapping:
        document.setDefaultTextOption(wrapping)
    prepared = presentable(markdown)
    document.setMarkdown(prepared, FEATURES)
    if MARK in prepared and MARK not in markdown:
        _take_out_marks(document)
    if TASK_BOX.search(markdown):
        _draw_boxes(document)
    return document


def _draw_boxes(document: QTextDocument) -> None:
    """A done task with a tick: Qt's own cross reads as a failure. It takes the place of the item's bullet."""
    block, width = document.begin(), QFontMetricsF(document.defaultFont()).horizontalAdvance(DONE_BOX)
    while block.isValid():
        if box := BOXES.get(block.blockFormat().marker()):
            if items := block.textList():
                items.remove(block)  # which keeps the indent
            style = QTextBlockFormat()
            style.setMarker(QTextBlockFormat.MarkerType.NoMarker)
            style.setTextIndent(-width)
            cursor = QTextCursor(block)
            cursor.mergeBlockFormat(style)
            cursor.insertText(box, QTextCharFormat())
        block = block.next()


def _take_out_marks(document: QTextDocument) -> None:
    cursor = document.find(MARK)
    while not cursor.isNull():
        cursor.removeSelectedText()
        cursor = document.find(MARK, cursor)


class TextView(Ringed, Spanning, QTextBrowser):
    """Read-only text without a frame, always as tall as its content, that never fetches anything by itself."""

    link_clicked = Signal(QUrl)
    ring_air = 4

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.viewport().setAutoFillBackground(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setOpenLinks(False)
        self.setTabChangesFocus(True)
        self.setUndoRedoEnabled(False)
        for widget in (self, self.viewport()):  # what stands is not painted again when more comes below it
            widget.setAttribute(Qt.WidgetAttribute.WA_StaticContents)
        self.document().setDocumentMargin(0)
        self.document().setIndentWidth(INDENT)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self.anchorClicked.connect(self.link_clicked)
        self.highlighted.connect(self._show_target)

    def loadResource(self, _kind: int, _name: QUrl | str) -> None:
        """Nothing: an answer must not make the application read files or the network."""

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        event.ignore()  # the message has a menu

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()  # the transcript scrolls, not the message

    def natural_width(self) -> int:
        """Width of the longest line when nothing wraps."""
        metrics, lines = self.fontMetrics(), self.toPlainText().split("\n")
        if max(map(len, lines)) > LONG_LINE_CHARACTERS:  # measuring it would take long, and say nothing
            return QWIDGETSIZE_MAX
        return max(metrics.horizontalAdvance(line) for line in lines) + 2

    def _fit(self, size: QSizeF) -> None:
        self.setFixedHeight(max(math.ceil(size.height()), self.fontMetrics().height()))

    def _show_target(self, url: QUrl) -> None:
        set_tip(self, honest(url) if url.isValid() else "")


class MarkdownView(TextView):
    """Markdown that arrives in pieces.

    The source is the truth. Finished blocks are parsed once and left alone; only the tail is parsed again with each
    piece, because parsing all of it each time costs seconds in a long answer. A block that grows too long is finished
    in parts.
    """

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.markdown = ""
        self._tail = ""
        self._tail_start = 0
        self._marked = False  # with bars beside quotations, or rules
        self._join: str | None = None  # between what is finished and a tail that goes on in the same paragraph

    def append_markdown(self, text: str) -> None:
        """Add text to the end of the source."""
        self.markdown += text
        self._tail += text
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()  # one layout for all of it
        if done := finished_length(self._tail):
            self._finish_part(cursor, done)
        while len(self._tail) > MAX_TAIL_CHARACTERS:
            done, join = long_tail_cut(self._tail)
            self._finish_part(cursor, done)
            self._join = join if self.document().lastBlock().length() < MAX_BLOCK_CHARACTERS else None
        self._replace_tail(cursor, self._tail)
        cursor.endEditBlock()

    @property
    def full(self) -> bool:
        """True if another view should go on, from the tail on: what is long takes long to be laid out and painted."""
        blocks = self.document().findBlock(self._tail_start).blockNumber()
        finished = len(self.markdown) - len(self._tail)
        return self._join is None and (finished > MAX_VIEW_CHARACTERS or blocks > MAX_VIEW_BLOCKS)

    def give_up_tail(self) -> str:
        """Take the tail away, for another view to show."""
        tail = self._tail
        self.take_back(tail)
        return tail

    def take_back(self, end: str) -> None:
        """Take the end of the source away, for another view to show."""
        self.markdown = self.markdown.removesuffix(end)
        if self._tail.endswith(end):
            self._tail = self._tail.removesuffix(end)
            self._replace_tail(QTextCursor(self.document()), self._tail)
        else:  # a part of it is finished
            markdown, self.markdown, self._tail, self._tail_start, self._join = self.markdown, "", "", 0, None
            self.clear()
            self.append_markdown(markdown)

    def views(self) -> list[TextView]:
        """The views that show its text."""
        return [self]

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._style(self.document().begin())

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._marked:
            painter = QPainter(self.viewport())
            for bar in self._bars():
                painter.fillRect(bar, colours(self.palette()).hairline)
            painter.end()
        super().paintEvent(event)

    def _bars(self) -> Iterator[QRectF]:
        """A bar at the left of each quoted block, and rules."""
        block = self.document().begin()
        while block.isValid():
            level, rule = _quote_level(block), _is_rule(block)
            if level or rule:
                area = self.document().documentLayout().blockBoundingRect(block)
                upright = QRectF(INDENT * level, area.top(), BAR_WIDTH, area.height())
                yield QRectF(0, round(area.center().y()), self.viewport().width(), 1) if rule else upright
            block = block.next()

    def finish(self) -> None:
        """The source is complete."""
        self._tail, self._tail_start = "", self._end()

    def _finish_part(self, cursor: QTextCursor, length: int) -> None:
        self._replace_tail(cursor, self._tail[:length])
        self._tail_start, self._tail, self._join = self._end(), self._tail[length:], None

    def _end(self) -> int:
        return self.document().characterCount() - 1

    def _replace_tail(self, cursor: QTextCursor, markdown: str) -> None:
        cursor.setPosition(self._tail_start)
        style = cursor.blockFormat()
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        if self._tail_start and not cursor.block().text():  # a rule, or below a table: it took another's format
            cursor.setBlockFormat(style)
        if not markdown.strip():
            return
        original = parsed(markdown, self.font())
        if self._join is not None:
            cursor.insertText(self._join, QTextCharFormat())
        elif self._tail_start:
            cursor.insertBlock(QTextBlockFormat(), QTextCharFormat())
        start = cursor.position()
        cursor.insertFragment(QTextDocumentFragment(original))
        cursor.setPosition(start)
        if self._join is None:
            _mend_first_block(cursor, original.begin())
        _mark_rules(self.document().lastBlock(), original.lastBlock())
        self._style(self.document().findBlock(start), start)

    def _style(self, block: QTextBlock, start: int = 0) -> None:
        """Add what Qt's Markdown leaves out: air between lines, and room around code. From a position of a block on."""
        shades = colours(self.palette())
        while block.isValid():
            style = QTextBlockFormat()
            if _is_code(block):  # a fenced block has its own widget: this is code in a quotation, or indented
                style.setNonBreakableLines(False)
                style.setLeftMargin(max(CODE_PADDING, block.blockFormat().leftMargin()))
            elif not _is_hidden(block):
                style.setLineHeight(LINE_HEIGHT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
            if block.blockFormat().headingLevel() and block.previous().isValid():
                style.setTopMargin(HEADING_MARGIN)
            cursor = QTextCursor(block)
            cursor.mergeBlockFormat(style)
            self._marked = self._marked or bool(_quote_level(block)) or _is_rule(block)
            colour(block, start, shades)
            if (table := cursor.currentTable()) and table.firstPosition() >= block.position():
                self._style_table(table)
            block = block.next()

    def _style_table(self, table: QTextTable) -> None:
        style = table.format()
        style.setBorder(1)
        style.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
        style.setBorderBrush(colours(self.palette()).hairline)
        style.setBorderCollapse(True)
        style.setCellPadding(5)
        style.setCellSpacing(0)
        style.setTopMargin(4)
        style.setBottomMargin(8)
        table.setFormat(style)


def _mark_rules(block: QTextBlock, original: QTextBlock) -> None:
    """A fragment's rules are lost on their way; and Qt's own would be black on any ground. From the last block back."""
    while original.isValid():
        if original.blockFormat().hasProperty(QTextFormat.Property.BlockTrailingHorizontalRulerWidth):
            style = QTextBlockFormat()
            style.setProperty(RULE_PROPERTY, True)
            style.setTopMargin(RULE_MARGIN)
            style.setBottomMargin(RULE_MARGIN)
            QTextCursor(block).setBlockFormat(style)
        block, original = block.previous(), original.previous()


def _is_rule(block: QTextBlock) -> bool:
    return block.blockFormat().hasProperty(RULE_PROPERTY)


def _quote_level(block: QTextBlock) -> int:
    return block.blockFormat().intProperty(QTextFormat.Property.BlockQuoteLevel)


def colour(block: QTextBlock, start: int, shades: Colours) -> None:
    """Links in the accent's colour, code on a ground: Qt takes the colours that there are at the moment, and they would
    stay when the appearance changes. From a position of a block on."""
    for first, length, style in _coloured(block, start, shades):  # all found first: a change replaces the fragments
        cursor = QTextCursor(block)
        cursor.setPosition(first)
        cursor.setPosition(first + length, QTextCursor.MoveMode.KeepAnchor)
        cursor.mergeCharFormat(style)


def _coloured(block: QTextBlock, start: int, shades: Colours) -> list[tuple[int, int, QTextCharFormat]]:
    """Position, length and what is to change, where something is."""
    found = []
    pieces = block.begin()
    while not pieces.atEnd():
        fragment = pieces.fragment()
        style = coloured(fragment.charFormat(), shades)
        if fragment.position() >= start and style is not None:
            found.append((fragment.position(), fragment.length(), style))
        pieces += 1
    return found


def coloured(present: QTextCharFormat, shades: Colours) -> QTextCharFormat | None:
    """The change that a piece of text needs; None for nothing."""
    style, changed = QTextCharFormat(), False
    if present.isAnchor() and present.foreground().color() != shades.accent:
        style.setForeground(shades.accent)
        changed = True
    if present.fontFixedPitch() and present.background().color() != shades.track:
        style.setBackground(shades.track)
        changed = True
    return style if changed else None


def _is_hidden(block: QTextBlock) -> bool:
    return block.blockFormat().lineHeightType() == QTextBlockFormat.LineHeightTypes.FixedHeight.value


def _is_code(block: QTextBlock) -> bool:
    return block.isValid() and block.blockFormat().hasProperty(QTextFormat.Property.BlockCodeFence)


def _mend_first_block(cursor: QTextCursor, original: QTextBlock) -> None:
    """A fragment's first block loses its format to the block that it is put into, or, as a list, leaves that empty."""
    if QTextCursor(original).currentTable() or not (original.text() or original.textList()):
        # a table or a rule, which leaves an empty line before itself
        style = QTextBlockFormat()
        style.setLineHeight(1, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
        cursor.setBlockFormat(style)
    elif not original.textList():
        cursor.setBlockFormat(original.blockFormat())
    elif not cursor.block().text():
        cursor.deleteChar()


def grow_at_once(layout: QLayout) -> None:
    """Let a widget become taller before what is in it is placed: else that is squeezed, and all of it painted twice."""
    layout.setVerticalSizeConstraint(QLayout.SizeConstraint.SetMinimumSize)
