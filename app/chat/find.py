"""Find in the conversation that is shown: a bar above the transcript, hits marked in the text, one after the other."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import shiboken6
from PySide6.QtCore import QEvent, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QKeyEvent, QPainter, QPaintEvent, QTextCursor
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QTextEdit, QWidget

from app.chat.message import Answer, Question
from app.chat.transcript import Transcript
from app.conversations.conversation import Message
from app.widgets import units
from app.widgets.buttons import IconButton
from app.widgets.colours import colours
from app.widgets.composing import ENTER_KEYS
from app.widgets.fields import SearchField
from app.widgets.labels import ChatLabel, quiet

FIELD_WIDTH = 260  # pixels
MARGINS = (18, 6, 12, 7)
REFRESH_MS = 120  # after the text has changed: an answer that streams in changes it often
MAX_MARKS = 1000
TextField = QTextEdit | QPlainTextEdit


@dataclass(frozen=True)
class Found:
    """A place in a message. view, start, end: where it is on screen; None while that message is not made yet."""

    message: Message
    number: int  # within its message
    view: TextField | None = None
    start: int = 0
    end: int = 0

    @property
    def cursor(self) -> QTextCursor:
        """Over what was found. Only of a message that is made."""
        assert self.view is not None
        cursor = QTextCursor(self.view.document())
        cursor.setPosition(self.start)
        cursor.setPosition(self.end, QTextCursor.MoveMode.KeepAnchor)
        return cursor


class FindField(SearchField):
    """Enter goes on, Shift-Enter back, Escape closes, also while Escape would stop an answer."""

    stepped = Signal(int)  # 1 or -1
    left = Signal()

    def event(self, event: QEvent) -> bool:
        if (
            isinstance(event, QKeyEvent)
            and event.type() == QEvent.Type.ShortcutOverride
            and event.key() == Qt.Key.Key_Escape
        ):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in ENTER_KEYS and self.take_composed():
            event.accept()
        elif event.key() in ENTER_KEYS:
            self.stepped.emit(-1 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1)
        elif event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        else:
            super().keyPressEvent(event)


class FindBar(QWidget):
    """A field for what is looked for, how often it is there, and the way from one place to the next."""

    closed = Signal()

    def __init__(self, transcript: Transcript, parent: QWidget | None = None):
        super().__init__(parent)
        self._transcript = transcript
        self._hits: list[Found] = []
        self._at = -1
        self._marked: list[TextField] = []
        self._timer = QTimer(self, singleShot=True, interval=REFRESH_MS)
        self._timer.timeout.connect(self._look_again)
        self.field = FindField(self.tr("Find in this chat"))
        self.field.setMaximumWidth(FIELD_WIDTH)
        self.count = quiet(kind=ChatLabel)
        self.previous = IconButton("up", self.tr("Previous place"))
        self.next = IconButton("down", self.tr("Next place"))
        self.close_button = IconButton("close", self.tr("Close the find bar"))
        row = self._row = QHBoxLayout(self)
        self.line_up(MARGINS[0])
        row.setSpacing(6)
        row.addWidget(self.field, 1)
        row.addWidget(self.previous)
        row.addWidget(self.next)
        row.addWidget(self.count)
        row.addStretch()
        row.addWidget(self.close_button)
        self.field.textChanged.connect(self._on_typed)
        self.field.stepped.connect(self.step)
        self.field.left.connect(self.close_bar)
        self.previous.clicked.connect(self._go_back)
        self.next.clicked.connect(self._go_on)
        self.close_button.clicked.connect(self.close_bar)
        transcript.added.connect(self.refresh)
        self.hide()

    def line_up(self, left: int) -> None:
        """Begin where the transcript's column begins, so many pixels from the left."""
        self._row.setContentsMargins(left, *MARGINS[1:])

    def open_bar(self) -> None:
        """Begin to look for something."""
        self.show()
        self.field.setFocus()
        self.field.selectAll()
        self._look_again()

    def look_for(self, words: str, message: Message) -> None:
        """Show these words, in this message if they are there. The focus stays where it is."""
        self.show()
        self.field.setText(words)
        self._timer.stop()
        self._hits = self._look()
        there = (number for number, hit in enumerate(self._hits) if hit.message is message)
        if self._hits:
            self._go_to(next(there, 0))
        else:
            self._show()

    def close_bar(self) -> None:
        """Put the bar and its marks away."""
        self.hide()
        self.closed.emit()

    def step(self, by: int) -> None:
        """Go to the next place (1), or back (-1); after the last one comes the first."""
        if self.isHidden():
            self.open_bar()
        if self._timer.isActive():
            self._look_again()
        if self._hits:
            self._go_to((self._at + by) % len(self._hits))

    def refresh(self) -> None:
        """The transcript has changed: look again, soon."""
        if self.isVisible() and not self._timer.isActive():
            self._timer.start()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self.refresh()

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        if self.isHidden():  # not when the whole window is hidden
            self._hits, self._at = [], -1
            self._mark()
        super().hideEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades = colours(self.palette())
        painter = QPainter(self)
        painter.fillRect(self.rect(), shades.card)
        painter.fillRect(QRectF(0, self.height() - 1, self.width(), 1), shades.hairline)

    # ------------------------------------------------------------------ looking
    def _on_typed(self) -> None:
        self._timer.stop()
        self._hits, self._at = self._look(), -1
        if self._hits:
            self._go_to(self._first_in_sight())
        else:
            self._show()

    def _look_again(self) -> None:
        """The place where we are stays, as well as that can be said."""
        self._timer.stop()
        here = self._hits[self._at] if 0 <= self._at < len(self._hits) else None
        self._hits = self._look()
        places = [(hit.message.id, hit.number) for hit in self._hits]
        wanted = (here.message.id, here.number) if here else None
        self._at = places.index(wanted) if wanted in places else min(max(self._at, 0), len(places) - 1)
        self._show()

    def _look(self) -> list[Found]:
        words = self.field.text()
        if not words:
            return []
        made = {widget.message.id: widget for widget in self._transcript.messages()}
        hits = []
        for message in self._transcript.path():
            widget = made.get(message.id)
            if widget is None:  # counted in its source: without marks where Markdown has some
                hits += [Found(message, number) for number in range(_count(_source(message), words))]
            else:
                hits += _places(widget, words)
        return hits

    def _first_in_sight(self) -> int:
        """The first place that is not above what can be seen; else the last one."""
        top = self._transcript.verticalScrollBar().value()
        made = [number for number, hit in enumerate(self._hits) if hit.view is not None]
        first = bisect_left(made, top, key=lambda number: self._bottom(self._hits[number]))
        return made[first] if first < len(made) else len(self._hits) - 1

    def _bottom(self, hit: Found) -> int:
        assert hit.view is not None
        return self._transcript.position_of(hit.view, hit.cursor).bottom()

    # ------------------------------------------------------------------ showing
    def _go_back(self) -> None:
        self.step(-1)

    def _go_on(self) -> None:
        self.step(1)

    def _go_to(self, at: int) -> None:
        self._at = at
        if self._hits[at].view is None:
            self._transcript.go_to(self._hits[at].message)  # which makes it
            self._look_again()
            self._unfold()
        else:
            self._show()
        hit = self._hits[self._at] if self._hits else None
        if hit and hit.view is not None:
            self._transcript.reveal(hit.view, hit.cursor)

    def _unfold(self) -> None:
        """The place where we are may be in what is folded."""
        hit = self._hits[self._at] if self._hits else None
        widget = self._transcript.widget_of(hit.message) if hit and hit.view is None else None
        if widget is not None:
            widget.unfold()
            self._look_again()

    def _show(self) -> None:
        self._mark()
        words = (
            self.tr("{0} of {1}").format(*map(units.whole, (self._at + 1, len(self._hits))))
            if self._hits
            else self.tr("not found")
        )
        self.count.setText(words if self.field.text() else "")
        self.field.setAccessibleDescription(self.count.text())
        for button in (self.previous, self.next):
            button.setEnabled(bool(self._hits))

    def _mark(self) -> None:
        """Every place on its ground; the one where we are on the accent's, and underlined: colour is not all."""
        shades = colours(self.palette())
        marks: dict[TextField, list[QTextEdit.ExtraSelection]] = {
            view: [] for view in self._marked if shiboken6.isValid(view)
        }
        first = max(0, self._at - MAX_MARKS // 2)  # those around the place where we are: no screen shows more
        for number, hit in enumerate(self._hits[first : first + MAX_MARKS], first):
            if hit.view is None:
                continue
            mark = QTextEdit.ExtraSelection()
            mark.cursor = hit.cursor
            here = number == self._at
            mark.format.setBackground(shades.accent if here else shades.found)
            mark.format.setForeground(shades.on_accent if here else shades.text)
            mark.format.setFontUnderline(here)
            marks.setdefault(hit.view, []).append(mark)
        for view, selections in marks.items():
            view.setExtraSelections(selections)
        self._marked = [view for view, selections in marks.items() if selections]


def _places(widget: Question | Answer, words: str) -> list[Found]:
    """The places where a message's widget shows these words, in any case of letters."""
    found = [Found(widget.message, number) for number in range(_count(widget.folded_text, words))]
    for view in widget.views():
        for start, end in positions(view.toPlainText(), words):
            found.append(Found(widget.message, len(found), view, start, end))
    return found


def _source(message: Message) -> str:
    """The text of a message, with what is folded at first."""
    return "\n".join((*(file.text for file in message.attachments), message.reasoning, message.text))


def _count(text: str, words: str) -> int:
    return text.casefold().count(words.casefold())


def positions(text: str, words: str) -> Iterator[tuple[int, int]]:
    """Places of words in a text, in any case of letters, counted as Qt counts: in halves of UTF-16's pairs.

    Not QTextDocument.find, which copies the whole paragraph for each place.
    """
    counted, wide = 0, 0
    for match in re.finditer(re.escape(words), text, re.IGNORECASE):
        wide += _pairs(text[counted : match.start()])
        start = match.start() + wide
        wide += _pairs(match[0])
        counted = match.end()
        yield start, match.end() + wide


def _pairs(text: str) -> int:
    return 0 if text.isascii() else sum(character > "\uffff" for character in text)
