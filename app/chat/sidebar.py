"""The sidebar: all conversations by date, or those that a search found."""

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QMenu, QVBoxLayout, QWidget

from app.chat.conversation_list import ConversationList
from app.chat.conversations_model import HEAD_ROLE, HIT_ROLE, ConversationsModel
from app.chat.notice import Notice
from app.chat.undo_bar import UndoBar
from app.conversations.conversation import Conversation, Head
from app.conversations.keeper import ConversationKeeper
from app.conversations.search import Hit
from app.widgets.composing import ENTER_KEYS
from app.widgets.fields import SearchField

WIDTH = 236  # pixels
SEARCH_MS = 150  # after the last key


class Sidebar(QWidget):
    """Search field, list, and what was just deleted."""

    opened = Signal(
        str, object, str
    )  # a conversation's id; where it was searched, the id of the message, and the words
    deleted = Signal(str)
    export_asked = Signal(str)

    def __init__(self, storage: ConversationKeeper, parent: QWidget | None = None):
        super().__init__(parent)
        self._storage = storage
        self._heads: list[Head] = []
        self._shown = ""
        self._deleted: list[str] = []
        self.field = SearchField(self.tr("Search"), self.tr("Search chats"))
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
        self._delete([head for head in self._heads if head.id == id_])

    def delete_all(self) -> None:
        """Delete every conversation; each can be brought back."""
        self._delete([*self._heads])

    def _delete(self, heads: list[Head]) -> None:
        """In one step, however many they are: what is said meanwhile is saved after it."""
        if not heads:
            return
        self._storage.delete(*(head.id for head in heads))
        self.undo_bar.offer(heads[-1].id, heads[-1].title or self.tr("New chat"))
        for head in heads:
            self._deleted.append(head.id)
            self.deleted.emit(head.id)

    def restore(self, id_: str | None = None) -> None:
        """Bring back what was deleted, the latest first."""
        id_ = id_ or (self._deleted[-1] if self._deleted else None)
        if id_ in self._deleted:
            self._deleted.remove(id_)
            self.undo_bar.hide()
            self._storage.restore(id_)
            self.opened.emit(id_, None, "")

    @property
    def can_restore(self) -> bool:
        """True if something was deleted that can come back."""
        return bool(self._deleted)

    def toggle_pin(self, id_: str) -> None:
        """Keep a conversation at the top, or not any more."""
        self._storage.change(id_, _toggle_pin)

    def set_shown(self, id_: str) -> None:
        """Mark the conversation that is open."""
        self._shown = id_
        self._select_shown()

    def set_answering(self, id_: str) -> None:
        """The conversation in which an answer is being written is marked; "" for none."""
        self.model.set_answering(id_)

    def say(self, trouble: str) -> None:
        """Say what keeps conversations from being saved; "" when it is over."""
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
        self.list.undo_asked.connect(self.restore)
        self.list.customContextMenuRequested.connect(self._show_menu)
        self.model.renamed.connect(self._on_renamed)
        self.undo_bar.undone.connect(self.restore)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.field and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() == Qt.Key.Key_Escape and self.field.text():
                self.field.clear()
                return True
            if event.key() in ENTER_KEYS and self.field.take_composed():
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
            self.opened.emit(head.id, hit.message if hit else None, hit.found if hit else "")

    def _on_delete_key(self) -> None:
        if head := self.list.currentIndex().data(HEAD_ROLE):
            self.delete(head.id)

    def _on_renamed(self, id_: str, title: str) -> None:
        self._storage.change(id_, partial(_rename, title))

    def _show_menu(self, at: QPoint) -> None:
        index = self.list.indexAt(at)
        if head := index.data(HEAD_ROLE):
            menu = self.menu_for(head)
            menu.popup(self.list.viewport().mapToGlobal(at))

    def menu_for(self, head: Head) -> QMenu:
        """The menu of what can be done with a conversation."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        pin = self.tr("Unpin") if head.pinned else self.tr("Pin")
        for text, method in (
            (self.tr("Rename"), self.rename),
            (pin, self.toggle_pin),
            (self.tr("Export…"), self.export_asked.emit),
            (self.tr("Delete"), self.delete),
        ):
            menu.addAction(text).triggered.connect(partial(_call, method, head.id))
        return menu


def _call(method: Callable[[str], None], id_: str, _checked: bool = False) -> None:
    method(id_)


def _rename(title: str, conversation: Conversation) -> None:
    conversation.title = title


def _toggle_pin(conversation: Conversation) -> None:
    conversation.pinned = not conversation.pinned
