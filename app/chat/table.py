"""A table of an answer, row by row as it streams: what stands is neither parsed nor laid out again."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from PySide6.QtCore import QEvent, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import (
    QFont,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextLength,
    QTextOption,
    QTextTable,
    QTextTableFormat,
)
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from app.chat.markdown import LINE_HEIGHT, TextView, colour, coloured, grow_at_once
from app.chat.markdown import parsed as parsed_document
from app.chat.segments import MAX_COLUMNS
from app.widgets.colours import colours

PAGE_CELLS = 48  # of a page, about: Qt lays all of a table out whenever one of its cells changes
ROWS_PARSED = 64  # at once: the time that Qt takes grows with the square of their number
LONG_CELL_CHARACTERS = 32  # characters that take as long again as a cell
PADDING = 5  # pixels around a cell's text
WIDTH_STEP = 8  # pixels by which columns widen, so that they do not move with each letter
MIN_COLUMN_WIDTH = 24  # pixels: a letter has room
REFIT_MS = 10  # between two pages that take new widths
MARGINS = (0, 4, 0, 8)
WORD_WRAP = QTextOption()
WORD_WRAP.setWrapMode(QTextOption.WrapMode.WordWrap)


@dataclass
class Cell:
    """The text of a cell, and the widths in pixels that it likes, and that its longest word needs."""

    style: QTextBlockFormat
    pieces: list[tuple[str, QTextCharFormat]]
    natural: float = 0
    least: float = 0

    @property
    def weight(self) -> float:
        """The work of laying it out, in short cells."""
        return 1 + sum(len(text) for text, _ in self.pieces) / LONG_CELL_CHARACTERS


Row = list[Cell]


class Table(QWidget):
    """Rows of Markdown that arrive in pieces. They stand on pages without a gap between, all with the same columns."""

    link_clicked = Signal(QUrl)

    def __init__(self, head: str, parent: QWidget | None = None):
        """head: the first row, and the line below it."""
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_StaticContents)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._head = "".join(map(_framed, head.splitlines()))
        self._lines: list[str] = []  # those of finished rows
        self._line = ""  # of the row that is being written
        self._timer = QTimer(self, singleShot=True, interval=REFIT_MS)
        self._timer.timeout.connect(self._refit_one)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(*MARGINS)
        self._layout.setSpacing(0)
        grow_at_once(self._layout)
        self._begin()

    def append(self, text: str) -> None:
        """Take more rows, or more of one."""
        over = bool(self._line.strip())
        *lines, self._line = (self._line + text).split("\n")
        lines = [line for line in lines if line.strip()]
        writing = [self._line] if self._line.strip() else []
        if rows := self._parsed([*lines, *writing]):
            self._lines += lines
            self._natural, self._least = self._wanted(rows[: len(lines)])
            self._widths = self._fitted(rows[len(lines) :])
            self._place(rows, over)

    def views(self) -> list[TextView]:
        """The views that show its text, from the top."""
        return list(self._pages)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._widths = self._fitted(self._parsed([self._line]) if self._line.strip() else [])
            for page in self._pages:
                page.set_widths(self._widths)

    def _begin(self) -> None:
        self._pages: list[Page] = []
        self._add_page()
        self._pages[0].restyled.connect(self._begin_again)
        self._font = self._pages[0].font()
        head, below = parsed(f"{self._head}{'|x' * MAX_COLUMNS}\n", self._font)
        for cell, like in zip(head, below, strict=True):
            cell.style.setAlignment(like.style.alignment())  # which Qt gives to the cells below only
        self._natural = self._least = [0.0] * len(head)
        self._natural, self._least = self._wanted([head])
        self._widths = self._fitted()
        self._place([head])

    def _begin_again(self) -> None:
        """All of it anew, if the font has changed: every width has."""
        if self._pages[0].font() == self._font:
            return
        lines, self._lines, self._line = [*self._lines, self._line], [], ""
        for page in self._pages:
            self._layout.removeWidget(page)
            page.hide()
            page.deleteLater()
        self._begin()
        self.append("\n".join(lines))

    def _parsed(self, lines: list[str]) -> list[Row]:
        rows: list[Row] = []
        for start in range(0, len(lines), ROWS_PARSED):
            some = lines[start : start + ROWS_PARSED]
            rows += parsed(self._head + "".join(map(_framed, some)), self._font)[1:]
        return rows

    def _wanted(self, rows: Sequence[Row]) -> tuple[list[float], list[float]]:
        """The widths that each column likes and needs, with these rows."""
        natural = [max(self._natural[c], *(row[c].natural for row in rows), 0) for c in range(len(self._natural))]
        least = [max(self._least[c], *(row[c].least for row in rows), 0) for c in range(len(self._least))]
        return natural, least

    def _fitted(self, more: Sequence[Row] = ()) -> list[int]:
        return fitted(*self._wanted(more), max(1, self.width() - 1))

    def _place(self, rows: list[Row], over: bool = False) -> None:
        """Put rows at the end. over: the first of them in the place of the last one there."""
        while rows:
            taken = self._pages[-1].put(rows, over, self._widths)
            rows, over = rows[taken:], False
            if rows:
                self._add_page()
        if any(page.widths != self._widths for page in self._pages):
            self._timer.start()

    def _add_page(self) -> None:
        page = Page()
        page.setAccessibleName(self.tr("Table"))
        page.link_clicked.connect(self.link_clicked)
        for above in self._pages[-1:]:
            above.goes_on = True
            above.viewport().update()
        self._pages.append(page)
        self._layout.addWidget(page)

    def _refit_one(self) -> None:
        """New widths for one page, the latest that lacks them: for all at once, a long table takes too long."""
        stale = [page for page in self._pages if page.widths != self._widths]
        if stale:
            stale[-1].set_widths(self._widths)
        if len(stale) > 1:
            self._timer.start()


class Page(TextView):
    """Some rows of a table, and the lines around its cells: Qt's take ten times as long as the text to be painted."""

    restyled = Signal()  # perhaps in another font

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._weights: list[float] = []  # of each row, in cells
        self.widths: list[int] = []  # pixels a column, padding included
        self.goes_on = False  # on another page
        self._table: QTextTable | None = None

    def put(self, rows: list[Row], over: bool, widths: list[int]) -> int:
        """Add rows, or write the first of them over the last one, at the cost of one layout.

        Returns how many of them there was room for.
        """
        del self._weights[len(self._weights) - over :]
        before = len(self._weights)
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        if self._table is None:
            self._table = cursor.insertTable(1, len(widths), _table_format())
        for row in rows:
            if sum(self._weights) >= PAGE_CELLS:
                break
            self._write(row)
        self.set_widths(widths)
        cursor.endEditBlock()
        return len(self._weights) - before

    def set_widths(self, widths: list[int]) -> None:
        if widths != self.widths:
            self.widths = widths
            style = self.table.format()
            style.setColumnWidthConstraints([QTextLength(QTextLength.Type.FixedLength, width) for width in widths])
            self.table.setFormat(style)

    @property
    def table(self) -> QTextTable:
        """Made with the first row."""
        assert self._table
        return self._table

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            block = self.document().begin()
            while block.isValid():
                colour(block, 0, colours(self.palette()))
                block = block.next()
        elif event.type() == QEvent.Type.FontChange:
            self.restyled.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter, shade = QPainter(self.viewport()), colours(self.palette()).hairline
        edges, height = list(accumulate(self.widths, initial=0)), self.viewport().height()
        for x in edges:
            painter.fillRect(x, 0, 1, height, shade)
        for y in self._tops():
            painter.fillRect(0, y, edges[-1] + 1, 1, shade)
        if not self.goes_on:
            painter.fillRect(0, height - 1, edges[-1] + 1, 1, shade)

    def _tops(self) -> list[int]:
        """The pixels at which the rows begin."""
        layout = self.document().documentLayout()
        blocks = (self.table.cellAt(row, 0).firstCursorPosition().block() for row in range(len(self._weights)))
        return [math.floor(layout.blockBoundingRect(block).top()) - PADDING for block in blocks]

    def _write(self, row: Row) -> None:
        number = len(self._weights)
        if number == self.table.rows():
            self.table.appendRows(1)
        shades = colours(self.palette())
        for column, cell in enumerate(row):
            place = self.table.cellAt(number, column)
            cursor = place.firstCursorPosition()
            cursor.setPosition(place.lastPosition(), QTextCursor.MoveMode.KeepAnchor)
            cursor.removeSelectedText()
            cursor.setBlockFormat(cell.style)
            for text, style in cell.pieces:
                style.merge(coloured(style, shades) or QTextCharFormat())
                cursor.insertText(text, style)
        self._weights.append(sum(cell.weight for cell in row))


def parsed(markdown: str, font: QFont) -> list[Row]:
    """The rows of a table."""
    document = parsed_document(markdown, font, WORD_WRAP)
    table = next(frame for frame in document.rootFrame().childFrames() if isinstance(frame, QTextTable))
    blocks = [[_block(table, row, column) for column in range(table.columns())] for row in range(table.rows())]
    rows = [[_cell(block) for block in row] for row in blocks]
    for name, width in (("natural", -1), ("least", 1)):
        document.setTextWidth(width)
        document.size()  # lays it out
        for row, places in zip(rows, blocks, strict=True):
            for cell, block in zip(row, places, strict=True):
                setattr(cell, name, _width(block))
    return rows


def _block(table: QTextTable, row: int, column: int) -> QTextBlock | None:
    """The block with a cell's text; None where it is empty, and Qt has joined it to the one before it."""
    cell = table.cellAt(row, column)
    return cell.firstCursorPosition().block() if cell.column() == column else None


def _cell(block: QTextBlock | None) -> Cell:
    style = QTextBlockFormat(block.blockFormat()) if block else QTextBlockFormat()
    style.setLineHeight(LINE_HEIGHT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
    cell = Cell(style, [])
    if block is None:
        return cell
    pieces = block.begin()
    while not pieces.atEnd():
        fragment = pieces.fragment()
        cell.pieces.append((fragment.text(), fragment.charFormat()))
        pieces += 1
    return cell


def _width(block: QTextBlock | None) -> float:
    """Of the longest line."""
    if block is None:
        return 0
    layout = block.layout()
    return max(layout.lineAt(number).naturalTextWidth() for number in range(layout.lineCount()))


def fitted(natural: list[float], least: list[float], room: int) -> list[int]:
    """Widths of columns, padding included: what they like if there is room.

    Else those that like no more than an even share keep it, and the others give way, each in proportion, so that all
    wrap alike; down to their longest words, and if that is not enough, to almost nothing.
    """
    likes = [math.ceil((width + 2 * PADDING + 1) / WIDTH_STEP) * WIDTH_STEP for width in natural]
    needs = [min(like, math.ceil(width) + 2 * PADDING + 1) for like, width in zip(likes, least, strict=True)]
    if sum(likes) <= room:
        return likes
    likes = [max(need, min(like, room)) for like, need in zip(likes, needs, strict=True)]
    modest = [like if like * len(likes) <= room else need for like, need in zip(likes, needs, strict=True)]
    for floor in (modest, needs):
        if sum(floor) <= room:
            return _levelled(likes, floor, room)
    return _levelled(needs, [min(need, MIN_COLUMN_WIDTH) for need in needs], room)


def _levelled(most: list[int], least: list[int], room: int) -> list[int]:
    """Widths that use up the room, each the same share of the most that it may be, if that is not too little."""

    def cut(level: int) -> list[int]:
        return [max(low, high * level // room) for high, low in zip(most, least, strict=True)]

    return cut(max(0, bisect_right(range(room + 1), room, key=lambda level: sum(cut(level))) - 1))


def _table_format() -> QTextTableFormat:
    style = QTextTableFormat()
    style.setBorder(0)
    style.setCellPadding(PADDING)
    style.setCellSpacing(0)
    return style


def _framed(line: str) -> str:
    """A line that is a row for certain, whatever it begins with."""
    line = line.strip()
    return f"{line if line.startswith('|') else f'| {line}'}\n"
