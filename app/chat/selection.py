"""One selection over many views: prose, code and tables of an answer, and messages one below the other.

Each view shows its part as its own selection; the whole is what lies between two places, the anchor and the head.
"""

from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, QPoint, Qt
from PySide6.QtGui import (
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QTextBlock,
    QTextCursor,
    QTextListFormat,
)
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QWidget

NUMBERED_STYLES = (
    QTextListFormat.Style.ListDecimal,
    QTextListFormat.Style.ListLowerAlpha,
    QTextListFormat.Style.ListUpperAlpha,
    QTextListFormat.Style.ListLowerRoman,
    QTextListFormat.Style.ListUpperRoman,
)
LIST_STEP = "  "  # before an item of an inner list, a level
QUOTE_MARK = "> "
Move = QTextCursor.MoveOperation
MOVES = {  # a key held with Shift, alone and with Control
    Qt.Key.Key_Right: (Move.NextCharacter, Move.NextWord),
    Qt.Key.Key_Left: (Move.PreviousCharacter, Move.PreviousWord),
    Qt.Key.Key_Down: (Move.Down, Move.Down),
    Qt.Key.Key_Up: (Move.Up, Move.Up),
    Qt.Key.Key_End: (Move.EndOfLine, Move.End),
    Qt.Key.Key_Home: (Move.StartOfLine, Move.Start),
}
FORWARD_KEYS = (Qt.Key.Key_Right, Qt.Key.Key_Down, Qt.Key.Key_End)
TextField = QTextEdit | QPlainTextEdit
Place = tuple[TextField, int]
if TYPE_CHECKING:
    Base = QTextEdit
else:
    Base = object


class Spanning(Base):
    """Before a view's class: what is selected in it may begin or end in another one."""

    _anchor: Place | None = None  # where a selection began, as long as the focus is here
    _head: Place | None = None
    _clicked = False  # into the text: until then it has no place where keys could begin

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            for view in siblings(self):
                _select(view, 0, 0)
            self._anchor = self._head = None
            self._clicked = True
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if not event.buttons() & Qt.MouseButton.LeftButton:
            super().mouseMoveEvent(event)
            return
        head = _place_at(siblings(self), event.globalPosition().toPoint())
        if self._anchor is None and head[0] is self:
            super().mouseMoveEvent(event)
            return
        self._anchor = self._anchor or (self, self.textCursor().anchor())
        self._head = head
        self._show_span()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        shift, control = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        elif event.matches(QKeySequence.StandardKey.SelectAll):
            self.selectAll()
        elif event.modifiers() & shift and event.key() in MOVES:
            self._extend(event.key(), bool(event.modifiers() & control))
        else:
            super().keyPressEvent(event)

    def copy(self) -> None:
        """Put what is selected, here and in the other views, on the clipboard."""
        if text := spanned_text(siblings(self)):
            QGuiApplication.clipboard().setText(text)

    def selectAll(self) -> None:
        """Select all of the message."""
        views = siblings(self, of_message=True)
        for view in siblings(self):
            if view not in views:
                _select(view, 0, 0)
        self._anchor, self._head = (views[0], 0), (views[-1], _end(views[-1]))
        self._show_span()

    def createMimeDataFromSelection(self) -> QMimeData:
        """Also of what is dragged away."""
        data = QMimeData()
        data.setText(spanned_text(siblings(self)))
        return data

    def _extend(self, key: int, far: bool) -> None:
        cursor = self.textCursor()
        if not self._clicked and not cursor.hasSelection() and not self._anchor:
            cursor.setPosition(0 if key in FORWARD_KEYS else _end(self))
        self._anchor = self._anchor or (self, cursor.anchor())
        view, position = self._head or (self, cursor.position())
        moved = QTextCursor(view.document())
        moved.setPosition(position)
        moved.movePosition(MOVES[Qt.Key(key)][far])
        self._head = (view, moved.position())
        if moved.position() == position:
            self._head = _beside(siblings(self), view, forward=key in FORWARD_KEYS) or self._head
        self._show_span()

    def _show_span(self) -> None:
        assert self._anchor
        assert self._head
        views = siblings(self)
        (first, start), (last, end) = sorted((self._anchor, self._head), key=lambda place: views.index(place[0]))
        between = range(views.index(first), views.index(last) + 1)
        for number, view in enumerate(views):
            if number not in between:
                _select(view, 0, 0)
            elif first is last:
                _select(view, self._anchor[1], self._head[1])
            else:
                _select(view, start if view is first else 0, end if view is last else _end(view))


def siblings(view: QWidget, *, of_message: bool = False) -> list[TextField]:
    """All views that a selection may span, in their order: those of the outermost widget that has `views`."""
    found: list[TextField] = []
    widget: QWidget | None = view
    while widget is not None:
        if hasattr(widget, "views") and not (of_message and hasattr(widget, "messages")):
            found = widget.views()
        widget = widget.parentWidget()
    return found or [view]  # type: ignore[list-item]


def spanned_text(views: list[TextField]) -> str:
    """The text that is selected in them, as it is copied: with the marks and numbers of lists."""
    texts = (selected_text(view.textCursor()).strip("\n") for view in views)
    return "\n\n".join(text for text in texts if text)


def selected_text(cursor: QTextCursor) -> str:
    """The text that a cursor has selected."""
    if not cursor.hasSelection():
        return ""
    start, end = cursor.selectionStart(), cursor.selectionEnd()
    block, text = cursor.document().findBlock(start), ""
    before: QTextBlock | None = None
    while block.isValid() and block.position() <= end:
        first, last = max(0, start - block.position()), min(block.length() - 1, end - block.position())
        part = _slice(block.text(), first, last)
        text += _gap(before, block) + ("" if first else _mark(block)) + part
        before, block = block, block.next()
    return text.replace("\u2028", "\n").replace("\u00a0", " ")


def _slice(text: str, first: int, last: int) -> str:
    """Part of a text, counted as Qt counts: in halves of UTF-16's pairs."""
    if text.isascii():
        return text[first:last]
    return text.encode("utf-16-le", "surrogatepass")[2 * first : 2 * last].decode("utf-16-le", "surrogatepass")


def _gap(before: QTextBlock | None, block: QTextBlock) -> str:
    if before is None or (not before.text() and not before.textList()):  # the line that Qt leaves before a table
        return ""
    if _row(before) is not None and _row(before) == _row(block):
        return "\t"
    together = (before.textList() and block.textList()) or _row(block) is not None
    return "\n" if together or before.document().property("lines") else "\n\n"


def _row(block: QTextBlock) -> int | None:
    """The row of a table that a paragraph is in."""
    table = QTextCursor(block).currentTable()
    return table.cellAt(block.position()).row() if table else None


def _mark(block: QTextBlock) -> str:
    quoted = QUOTE_MARK * block.blockFormat().intProperty(block.blockFormat().Property.BlockQuoteLevel.value)
    items = block.textList()
    if not items:
        return quoted
    indent = LIST_STEP * (items.format().indent() - 1)
    mark = items.itemText(block) if items.format().style() in NUMBERED_STYLES else "-"
    return f"{quoted}{indent}{mark} "


def _place_at(views: list[TextField], point: QPoint) -> Place:
    """The place in a text that is nearest to a point of the screen."""
    for view in views:
        local = view.viewport().mapFromGlobal(point)
        if local.y() < 0:
            return view, 0
        if local.y() < view.viewport().height():
            return view, view.cursorForPosition(local).position()
    return views[-1], _end(views[-1])


def _beside(views: list[TextField], view: TextField, *, forward: bool) -> Place | None:
    """The place where the next view begins, or the one before ends."""
    at = views.index(view) + (1 if forward else -1)
    if not 0 <= at < len(views):
        return None
    return views[at], 0 if forward else _end(views[at])


def _end(view: TextField) -> int:
    return view.document().characterCount() - 1


def _select(view: TextField, anchor: int, head: int) -> None:
    cursor = QTextCursor(view.document())
    cursor.setPosition(anchor)
    cursor.setPosition(head, QTextCursor.MoveMode.KeepAnchor)
    if (cursor.anchor(), cursor.position()) != (view.textCursor().anchor(), view.textCursor().position()):
        view.setTextCursor(cursor)
