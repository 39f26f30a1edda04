"""The sidebar: all conversations by date, or those that a search found."""

from datetime import date, datetime, timedelta

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QLocale,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QFont, QFontMetrics, QHideEvent, QKeyEvent, QPainter, QPalette
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QMenu,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from app.chat.notice import Notice
from app.conversations.conversation import Head
from app.conversations.keeper import ConversationKeeper
from app.conversations.search import Hit
from app.widgets.colours import colours, mix
from app.widgets.fields import SearchField, TakesText
from app.widgets.icons import GRID, paint
from app.widgets.labels import SMALL, quiet, scaled

WIDTH = 236
SEARCH_MS = 150  # after the last key
UNDO_MS = 10_000
HEAD_ROLE, HIT_ROLE = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
ROW_PADDING = 7
BUTTON_PADDING = 24
Index = QModelIndex | QPersistentModelIndex


class ConversationsModel(QAbstractListModel):
    """Rows are sections (text) and conversations (Head, or Hit when they were searched for)."""

    renamed = Signal(str, str)  # id, title

    def __init__(self, parent=None):
        super().__init__(parent)
        self._rows: list[str | Head | Hit] = []

    def show_heads(self, heads: list[Head]) -> None:
        """All conversations, under the date of their last change."""
        rows, section = [], ""
        for head in sorted(heads, key=lambda h: (not h.pinned, -h.updated)):
            title = self.tr("Pinned") if head.pinned else self._section(date.fromtimestamp(head.updated))
            if title != section:
                section = title
                rows.append(section)
            rows.append(head)
        self._set_rows(rows)

    def show_hits(self, hits: list[Hit]) -> None:
        """What a search found."""
        title = self.tr("%n conversation(s)", "", len(hits)) if hits else self.tr("Nothing found")
        self._set_rows([title, *hits])

    def index_of(self, id_: str) -> QModelIndex:
        for row in range(len(self._rows)):
            if (head := self.head(self.index(row))) and head.id == id_:
                return self.index(row)
        return QModelIndex()

    def heads(self) -> list[Head]:
        """The conversations as they are listed."""
        return [head for row in range(len(self._rows)) if (head := self.head(self.index(row)))]

    def head(self, index: Index) -> Head | None:
        row = self._rows[index.row()] if index.isValid() else None
        return row.head if isinstance(row, Hit) else row if isinstance(row, Head) else None

    # ------------------------------------------------------------------ Qt's model
    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole):
        if not index.isValid():
            return None
        row, head = self._rows[index.row()], self.head(index)
        title = head and (head.title or self.tr("New chat"))
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return title if head else row
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return self._words(row, head, title)
        if role == Qt.ItemDataRole.ToolTipRole:
            return title
        if role == HEAD_ROLE:
            return head
        if role == HIT_ROLE:
            return row if isinstance(row, Hit) else None
        return None

    def setData(self, index: Index, value, role: int = Qt.ItemDataRole.EditRole) -> bool:
        head, title = self.head(index), str(value).strip()
        if role != Qt.ItemDataRole.EditRole or not head or not title:
            return False
        if title != head.title:
            self.renamed.emit(head.id, title)
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        if self.head(index) is None:
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEditable

    def _words(self, row, head: Head | None, title: str) -> str:
        if head is None:
            return row
        if isinstance(row, Hit) and row.message:
            return f"{title}: {row.before}{row.found}{row.after}"
        pinned = self.tr(", pinned") if head.pinned else ""
        return f"{title}{pinned}. {head.snippet}"

    def _set_rows(self, rows: list) -> None:
        if rows == self._rows:
            return
        if [_identity(r) for r in rows] == [_identity(r) for r in self._rows]:  # only words have changed
            self._rows = rows
            self.dataChanged.emit(self.index(0), self.index(len(rows) - 1))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def _section(self, day: date) -> str:
        today = date.today()
        if day >= today:
            return self.tr("Today")
        if day == today - timedelta(days=1):
            return self.tr("Yesterday")
        if day > today - timedelta(days=7):
            return self.tr("Last seven days")
        if day > today - timedelta(days=30):
            return self.tr("Last thirty days")
        return QLocale().toString(
            datetime(day.year, day.month, 1), self.tr("MMMM yyyy", "a month, as QLocale writes dates")
        )


def _identity(row: str | Head | Hit) -> tuple:
    if isinstance(row, Hit):
        return ("hit", row.head.id)
    return ("head", row.id) if isinstance(row, Head) else ("section", row)


class TitleField(TakesText, QLineEdit):
    """Where a title is changed."""


class ConversationDelegate(QStyledItemDelegate):
    """A title and a line of text below it; sections are small and grey."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        title, small = self._fonts(option)
        if index.data(HEAD_ROLE) is None:
            return QSize(0, QFontMetrics(small).height() + (18 if index.row() else 8))
        return QSize(0, QFontMetrics(title).height() + QFontMetrics(small).height() + 2 * ROW_PADDING + 1)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        shades = colours(option.palette)
        head, hit = index.data(HEAD_ROLE), index.data(HIT_ROLE)
        title, small = self._fonts(option)
        if head is None:
            small.setWeight(QFont.Weight.DemiBold)
            painter.setFont(small)
            painter.setPen(shades.quiet)
            area = option.rect.adjusted(10, 0, -8, -4)
            painter.drawText(area, Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignLeft, index.data())
        else:
            self._paint_ground(painter, option)
            area = option.rect.adjusted(10, ROW_PADDING, -10, -ROW_PADDING)
            painter.setPen(shades.text)
            self._paint_title(painter, area, title, index.data(), head.pinned, shades)
            below = area.adjusted(0, QFontMetrics(title).height() + 1, 0, 0)
            if hit and hit.message:
                self._paint_hit(painter, below, small, hit, shades)
            else:
                painter.setFont(small)
                painter.setPen(shades.quiet)
                painter.drawText(below, _LEFT, _elided(small, head.snippet, below.width()))
        painter.restore()

    def createEditor(self, parent: QWidget, _option: QStyleOptionViewItem, _index: Index) -> TitleField:
        editor = TitleField(parent)
        editor.setAccessibleName(self.tr("Title"))
        return editor

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, _index: Index) -> None:
        height = editor.sizeHint().height()
        area = option.rect.adjusted(4, 0, -4, 0)
        editor.setGeometry(QRect(area.left(), area.top() + 2, area.width(), height))

    def _paint_ground(self, painter: QPainter, option: QStyleOptionViewItem) -> None:
        shades = colours(option.palette)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        if not (selected or hovered):
            return
        window = option.palette.color(QPalette.ColorGroup.Active, QPalette.ColorRole.Window)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(mix(shades.accent, window, 0.8) if selected else mix(shades.text, window, 0.94))
        focused = selected and bool(option.state & QStyle.StateFlag.State_HasFocus)
        painter.setPen(mix(shades.accent, window, 0.3) if focused else Qt.PenStyle.NoPen)
        painter.drawRoundedRect(option.rect.adjusted(2, 1, -3, -2), 6, 6)

    def _paint_title(self, painter, area: QRect, font: QFont, title: str, pinned: bool, shades) -> None:
        painter.setFont(font)
        room = area.width() - (GRID if pinned else 0)
        painter.drawText(area, _LEFT, _elided(font, title, room))
        if pinned:
            painter.save()
            painter.translate(area.right() - GRID + 5, area.top() - 2)
            painter.scale(0.85, 0.85)
            paint(painter, "pin", shades.quiet)
            painter.restore()

    def _paint_hit(self, painter, area: QRect, font: QFont, hit: Hit, shades) -> None:
        """What was found is marked, and bold: colour is not the only sign."""
        bold = QFont(font)
        bold.setWeight(QFont.Weight.DemiBold)
        left = area.left()
        for text, style in ((hit.before, font), (hit.found, bold), (hit.after, font)):
            metrics = QFontMetrics(style)
            text = _elided(style, text, area.right() - left)
            width = metrics.horizontalAdvance(text)
            if style is bold:
                painter.fillRect(QRect(left, area.top(), width, metrics.height()), shades.found)
            painter.setFont(style)
            painter.setPen(shades.text if style is bold else shades.quiet)
            painter.drawText(QRect(left, area.top(), width + 2, area.height()), _LEFT, text)
            left += width

    def _fonts(self, option: QStyleOptionViewItem) -> tuple[QFont, QFont]:
        return QFont(option.font), scaled(option.font, SMALL)


_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop


def _elided(font: QFont, text: str, width: int) -> str:
    return QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideRight, max(width, 0))


class ConversationList(QListView):
    """Enter opens, F2 renames, Delete deletes."""

    delete_asked = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.viewport().setAutoFillBackground(False)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setItemDelegate(ConversationDelegate(self))
        self.setAccessibleName(self.tr("Conversations"))
        self.setTabKeyNavigation(False)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.delete_asked.emit()
        else:
            super().keyPressEvent(event)

    def mousePressEvent(self, event) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            super().mousePressEvent(event)  # the other button asks for a menu, and opens nothing


class UndoBar(QWidget):
    """For a while after something was deleted."""

    undone = Signal(str)  # id

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._id = ""
        self.label = quiet()
        self.button = QPushButton(self.tr("Undo"))
        self.button.setFixedWidth(self.button.fontMetrics().horizontalAdvance(self.button.text()) + BUTTON_PADDING)
        self.button.clicked.connect(self.undo)
        self._timer = QTimer(self, singleShot=True, interval=UNDO_MS)
        self._timer.timeout.connect(self.hide)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 4, 6, 4)
        row.addWidget(self.label, 1)
        row.addWidget(self.button)
        self.hide()

    def offer(self, id_: str, title: str) -> None:
        self._id = id_
        text = self.tr("Deleted “{0}”").format(title)
        room = WIDTH - self.button.width() - 44
        self.label.setText(_elided(self.label.font(), text, room))
        self.label.setToolTip(text)
        self.show()
        self._timer.start()

    def undo(self) -> None:
        """Bring it back."""
        self.hide()
        self.undone.emit(self._id)

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)


class Sidebar(QWidget):
    """Search field, list, and what was just deleted."""

    opened = Signal(str, object)  # a conversation's id, and the id of the message that was found there, or None
    deleted = Signal(str)
    export_asked = Signal(str)

    def __init__(self, storage: ConversationKeeper, parent: QWidget | None = None):
        super().__init__(parent)
        self._storage = storage
        self._heads: list[Head] = []
        self._shown = ""
        self._deleted: list[str] = []
        self.field = SearchField(self.tr("Search"), self.tr("Search conversations"))
        self.field.installEventFilter(self)
        self.model = ConversationsModel(self)
        self.list = ConversationList()
        self.list.setModel(self.model)
        self.undo_bar = UndoBar()
        self.notice: Notice | None = None
        self._searching = QTimer(self, singleShot=True, interval=SEARCH_MS)
        self._searching.timeout.connect(self._search)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(8, 12, 6, 8)
        self._layout.setSpacing(6)
        self._layout.addWidget(self.field)
        self._layout.addWidget(self.list, 1)
        self._layout.addWidget(self.undo_bar)
        self.setFixedWidth(WIDTH)
        self.setAccessibleName(self.tr("Sidebar"))
        self._connect()

    # ------------------------------------------------------------------ what the menus do
    def search(self) -> None:
        """Begin to search."""
        self.show()
        self.field.setFocus()
        self.field.selectAll()

    def open_number(self, number: int) -> None:
        """Open the conversation that stands at this place of the list, from 0."""
        heads = self.model.heads()
        if number < len(heads):
            self._open(self.model.index_of(heads[number].id))

    def rename(self, id_: str) -> None:
        """Let the title be changed in its place."""
        self.show()
        if (index := self.model.index_of(id_)).isValid():
            self.list.setCurrentIndex(index)
            self.list.edit(index)

    def delete(self, id_: str) -> None:
        """Delete a conversation, and offer to undo it."""
        head = next((head for head in self._heads if head.id == id_), None)
        if head:
            self._deleted.append(id_)
            self._storage.delete(id_)
            self.undo_bar.offer(id_, head.title or self.tr("New chat"))
            self.deleted.emit(id_)

    def restore(self, id_: str | None = None) -> None:
        """Bring back what was deleted, the latest first."""
        id_ = id_ or (self._deleted[-1] if self._deleted else None)
        if id_ in self._deleted:
            self._deleted.remove(id_)
            self.undo_bar.hide()
            self._storage.restore(id_)
            self.opened.emit(id_, None)

    @property
    def can_restore(self) -> bool:
        """Whether something was deleted that can come back."""
        return bool(self._deleted)

    def toggle_pin(self, id_: str) -> None:
        """Keep a conversation at the top, or not any more."""
        self._storage.change(id_, _toggle_pin)

    def set_shown(self, id_: str) -> None:
        """Which conversation is open."""
        self._shown = id_
        self._select_shown()

    def say(self, trouble: str) -> None:
        """What keeps conversations from being saved; "" when it is over."""
        if self.notice:
            self._layout.removeWidget(self.notice)
            self.notice.hide()
            self.notice.deleteLater()
            self.notice = None
        if trouble:
            self.notice = Notice(trouble)
            self._layout.addWidget(self.notice)

    # ------------------------------------------------------------------ wiring
    def _connect(self) -> None:
        self._storage.heads_changed.connect(self._on_heads)
        self._storage.trouble.connect(self.say)
        self._storage.rescued.connect(self.say)
        self.field.textChanged.connect(self._on_typed)
        self.list.clicked.connect(self._open)
        self.list.activated.connect(self._open)
        self.list.delete_asked.connect(self._on_delete_key)
        self.list.customContextMenuRequested.connect(self._show_menu)
        self.model.renamed.connect(self._on_renamed)
        self.undo_bar.undone.connect(self.restore)

    def eventFilter(self, watched, event: QEvent) -> bool:
        if watched is self.field and event.type() == QEvent.Type.KeyPress:
            if event.key() == Qt.Key.Key_Escape and self.field.text():
                self.field.clear()
                return True
            if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._go_to_list(open_it=event.key() != Qt.Key.Key_Down)
                return True
        return super().eventFilter(watched, event)

    def hideEvent(self, event: QHideEvent) -> None:
        self._searching.stop()
        super().hideEvent(event)

    def _go_to_list(self, *, open_it: bool) -> None:
        if heads := self.model.heads():
            index = self.model.index_of(heads[0].id)
            self.list.setFocus()
            self.list.setCurrentIndex(index)
            if open_it:
                self._open(index)

    def _on_typed(self, text: str) -> None:
        if text.strip():
            self._searching.start()
        else:
            self._searching.stop()
            self._show_heads()

    def _search(self) -> None:
        self._storage.search(self.field.text(), self._on_found)

    def _on_found(self, hits: list[Hit]) -> None:
        if self.field.text().strip():
            self.model.show_hits(hits)
            self._select_shown()

    def _on_heads(self, heads: list[Head]) -> None:
        self._heads = heads
        if self.field.text().strip():
            self._searching.start()
        else:
            self._show_heads()

    def _show_heads(self) -> None:
        if self.list.state() != QAbstractItemView.State.EditingState:
            self.model.show_heads(self._heads)
            self._select_shown()

    def _select_shown(self) -> None:
        index = self.model.index_of(self._shown)
        if index.isValid():
            self.list.setCurrentIndex(index)
        else:
            self.list.clearSelection()

    def _open(self, index: QModelIndex) -> None:
        if head := index.data(HEAD_ROLE):
            hit = index.data(HIT_ROLE)
            self.opened.emit(head.id, hit.message if hit else None)

    def _on_delete_key(self) -> None:
        if head := self.list.currentIndex().data(HEAD_ROLE):
            self.delete(head.id)

    def _on_renamed(self, id_: str, title: str) -> None:
        self._storage.change(id_, lambda conversation: setattr(conversation, "title", title))

    def _show_menu(self, at: QPoint) -> None:
        index = self.list.indexAt(at)
        if head := index.data(HEAD_ROLE):
            menu = self.menu_for(head)
            menu.popup(self.list.viewport().mapToGlobal(at))

    def menu_for(self, head: Head) -> QMenu:
        """What can be done with a conversation."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        pin = self.tr("Unpin") if head.pinned else self.tr("Pin")
        for text, method in (
            (self.tr("Rename"), self.rename),
            (pin, self.toggle_pin),
            (self.tr("Export…"), self.export_asked.emit),
            (self.tr("Delete"), self.delete),
        ):
            menu.addAction(text).triggered.connect(lambda _=False, method=method: method(head.id))
        return menu


def _toggle_pin(conversation) -> None:
    conversation.pinned = not conversation.pinned
