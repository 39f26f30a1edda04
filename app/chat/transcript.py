"""The conversation's messages, one under the other. Follows the answer only while its reader is at the bottom."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from PySide6.QtCore import QCoreApplication, QEvent, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPalette, QResizeEvent, QTextCursor, QWheelEvent
from PySide6.QtWidgets import QAbstractButton, QFrame, QPlainTextEdit, QScrollArea, QVBoxLayout, QWidget

from app.chat.message import Answer, Question
from app.chat.selection import TextField
from app.conversations.conversation import USER, Message
from app.widgets.colours import colours
from app.widgets.focus import Ringed
from app.widgets.icons import GRID, paint

COLUMN_WIDTH = 640
COLUMN_MARGIN = 24
TURN_SPACING = 14
PAGE_MESSAGES = 24  # messages that are made at first
STEP_MESSAGES = 1  # message that is made at a time while the reader scrolls, which has to stay smooth
FILL_DISTANCE = 800  # pixels from the top or the end of what is made, at which more is
MAX_MADE_MESSAGES = 80  # messages that are made at once: a layout's time grows with them
FOUND_MARGIN = 80  # pixels that stay free above and below what was found
END_DISTANCE = 4  # pixels from the end that still count as the end


class JumpButton(QAbstractButton):
    """The round button that leads back to the end."""

    def __init__(self, parent: QWidget):
        super().__init__(parent)
        self.setAccessibleName(self.tr("Go to the latest message"))
        self.setToolTip(self.tr("Go to the latest message"))
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.resize(self.sizeHint())
        self.hide()

    def sizeHint(self) -> QSize:
        return QSize(32, 32)

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades = colours(self.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(shades.accent if self.hasFocus() else shades.hairline)
        painter.setBrush(shades.base)
        painter.drawEllipse(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))
        painter.translate((self.width() - GRID) / 2, (self.height() - GRID) / 2)
        paint(painter, "down", shades.text)


class Transcript(Ringed, QScrollArea):
    """A centred column of messages; `placeholder` shows while there are none.

    Of a long conversation only a part is made at first, the end or what is around a message that is gone to; the rest
    comes as the reader scrolls there.
    """

    column_moved = Signal(int)  # its margin at either side, for what has to line up with the column
    added = Signal(object)  # a message's widget, new

    def __init__(self, placeholder: QWidget, parent: QWidget | None = None):
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setAccessibleName(self.tr("Chat"))
        self._following = True
        self._earlier: list[Message] = []  # not made yet, as are those that come after what is made
        self._later: list[Message] = []
        self._filling = False
        self._first_given: Message | None = None
        self._target: Callable[[], None] | None = None  # shows what was asked for, again when the column has grown
        self._column = QWidget()
        self._column.setAttribute(Qt.WidgetAttribute.WA_StaticContents)
        self._column.setBackgroundRole(QPalette.ColorRole.Base)
        self._layout = QVBoxLayout(self._column)
        self._layout.setSpacing(TURN_SPACING)
        self._placeholder = placeholder
        self._layout.addWidget(placeholder, 1)
        self._layout.addStretch()
        self.setWidget(self._column)
        self.jump = JumpButton(self)
        self.jump.clicked.connect(self.go_to_end)
        self.verticalScrollBar().valueChanged.connect(self._on_scrolled)
        self.verticalScrollBar().rangeChanged.connect(self._on_grown)
        self.verticalScrollBar().actionTriggered.connect(self._on_moved_by_hand)

    def show_path(self, path: list[Message]) -> None:
        """Show these messages. What is shown of them already stays as it is."""
        self._target = None
        before = self.path()
        kept = 0
        while kept < min(len(before), len(path)) and before[kept] is path[kept]:
            kept += 1
        widgets, first = self.messages(), len(self._earlier)
        for widget in widgets[max(0, kept - first) :]:
            self._remove(widget)
        self._later = self._later[: max(0, kept - first - len(widgets))]
        self._earlier = self._earlier[:kept]
        if not self.messages():
            self._show_part(path, len(path) - PAGE_MESSAGES)
        elif self._later:
            self._later += path[kept:]
        else:
            self._add(path[kept : kept + PAGE_MESSAGES])
            self._later = path[kept + PAGE_MESSAGES :]
        self._placeholder.setVisible(not path)
        if not path:
            self.jump.hide()

    def set_first_given(self, message: Message | None) -> None:
        """A line above this message: what stands there is no longer given to the model. None for no line."""
        self._first_given = message
        for widget in self.messages():
            widget.set_first_given(widget.message is message)

    def widget_of(self, message: Message) -> Question | Answer | None:
        """The widget of a message that is shown."""
        return next((w for w in self.messages() if w.message is message), None)

    def messages(self) -> list[Question | Answer]:
        """The message widgets, oldest first."""
        widgets = (item.widget() for i in range(self._layout.count()) if (item := self._layout.itemAt(i)))
        return [widget for widget in widgets if isinstance(widget, Question | Answer)]

    def views(self) -> list[TextField]:
        """The views that show the messages' text, from the top."""
        return [view for widget in self.messages() for view in widget.views()]

    def path(self) -> list[Message]:
        """The messages, oldest first, also those whose widgets are not made yet."""
        return self._earlier + [widget.message for widget in self.messages()] + self._later

    def go_to_end(self) -> None:
        """Show the end and follow it from now on."""
        if self._later:
            path = self.path()
            self._show_part(path, len(path) - PAGE_MESSAGES)
        self._following, self._target = True, None
        self.jump.hide()
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())

    def go_to(self, message: Message) -> None:
        """Show a message, wherever it is in the conversation."""
        if self.widget_of(message) is None:
            path = self.path()
            at = next(i for i, other in enumerate(path) if other is message)
            self._show_part(path, at - PAGE_MESSAGES // 2)
        if widget := self.widget_of(message):
            self._aim(partial(self._show_top, widget))

    def reveal(self, view: TextField, cursor: QTextCursor) -> None:
        """Show a place in the text of a message that is made."""
        self._aim(partial(self._show_place, view, cursor))

    def position_of(self, view: TextField, cursor: QTextCursor) -> QRect:
        """The rectangle of a place in a message's text, in the column."""
        area = view.cursorRect(cursor)
        area.moveTopLeft(view.viewport().mapTo(self._column, area.topLeft()))
        return area

    def resizeEvent(self, event: QResizeEvent) -> None:
        width = self.viewport().width()
        bar = self.width() - width  # in the margin: nothing moves, or is laid out again, when it comes or goes
        margin = max(COLUMN_MARGIN, (self.width() - COLUMN_WIDTH) // 2)
        self._layout.setContentsMargins(margin, COLUMN_MARGIN, margin - bar, COLUMN_MARGIN)
        super().resizeEvent(event)
        corner = QPoint((width - self.jump.width()) // 2, self.viewport().height() - self.jump.height() - 8)
        self.jump.move(corner)
        self.column_moved.emit(margin)

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._target = None
        super().wheelEvent(event)

    def _aim(self, target: Callable[[], None]) -> None:
        self._target, self._following = target, False
        self._show(target)

    def _show(self, target: Callable[[], None]) -> None:
        self._layout.activate()
        target()

    def _show_top(self, widget: QWidget) -> None:
        self.verticalScrollBar().setValue(widget.y() - COLUMN_MARGIN)

    def _show_place(self, view: TextField, cursor: QTextCursor) -> None:
        if isinstance(view, QPlainTextEdit):  # code, whose long lines scroll sideways
            place = QTextCursor(cursor)
            place.clearSelection()
            view.setTextCursor(place)
        area = self.position_of(view, cursor)
        self.ensureVisible(area.center().x(), area.center().y(), 0, FOUND_MARGIN)

    def _on_moved_by_hand(self) -> None:
        self._target = None

    def _show_part(self, path: list[Message], first: int) -> None:
        """Make a page of `path`, from a place on or from its beginning, instead of what is made."""
        first = max(0, first)
        for widget in self.messages():
            self._remove(widget)
        self._earlier, self._later = path[:first], path[first + PAGE_MESSAGES :]
        self._add(path[first : first + PAGE_MESSAGES])

    def _add(self, messages: list[Message]) -> None:
        for message in messages:
            self._insert(message, self._layout.count() - 1)

    def _insert(self, message: Message, position: int) -> None:
        widget = Question(message) if message.role == USER else Answer(message)
        widget.set_first_given(message is self._first_given)
        self._layout.insertWidget(position, widget)
        widget.show()  # a layout does so by itself, but later
        widget.unfolded.connect(self._on_unfolded)
        self.added.emit(widget)

    def _remove(self, widget: QWidget) -> None:
        self._layout.removeWidget(widget)
        widget.hide()
        widget.deleteLater()

    def _fill(self) -> None:
        """Make what the reader is about to see, and let go of what is far away."""
        if self._filling:
            return
        self._filling, bar = True, self.verticalScrollBar()
        while self._later and bar.maximum() - bar.value() < FILL_DISTANCE:
            self._show_later()
        while self._earlier and bar.value() < FILL_DISTANCE:
            self._show_earlier()
        self._filling = False

    def _show_earlier(self) -> None:
        with self._in_place(self.messages()[0]):
            self._earlier, more = self._earlier[:-STEP_MESSAGES], self._earlier[-STEP_MESSAGES:]
            for message in reversed(more):
                self._insert(message, 1)
            self._later = self._let_go(self.messages()[MAX_MADE_MESSAGES:]) + self._later

    def _show_later(self) -> None:
        with self._in_place(self.messages()[-1]):
            more, self._later = self._later[:STEP_MESSAGES], self._later[STEP_MESSAGES:]
            self._add(more)
            self._earlier += self._let_go(self.messages()[:-MAX_MADE_MESSAGES])

    def _let_go(self, widgets: list[Question | Answer]) -> list[Message]:
        if any(isinstance(widget, Question) and widget.editor for widget in widgets):
            return []  # what is being typed there stays
        for widget in widgets:
            self._remove(widget)
        return [widget.message for widget in widgets]

    @contextmanager
    def _in_place(self, widget: QWidget) -> Iterator[None]:
        """A block in which this stays where it is on the screen, whatever is made or let go."""
        bar = self.verticalScrollBar()
        place = widget.y() - bar.value()
        yield
        QCoreApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest)
        bar.setValue(widget.y() - place)

    def _on_scrolled(self, value: int) -> None:
        self._following = value >= self.verticalScrollBar().maximum() - END_DISTANCE and not self._later
        self.jump.setVisible(not self._following and self._placeholder.isHidden())
        if not self._following:
            self._fill()

    def _on_unfolded(self, widget: QWidget) -> None:
        """Leave what was clicked where it is: the end is not followed, unless it is the end."""
        if widget is not self.messages()[-1]:
            self._following, self._target = False, None

    def _on_grown(self, _minimum: int, maximum: int) -> None:
        if self._filling:
            return
        if self._target:
            self._show(self._target)
        elif not self.messages():
            self.verticalScrollBar().setValue(0)  # what stands there while there are none begins at its top
        elif self._following:
            self.verticalScrollBar().setValue(maximum)
        else:
            self._fill()
