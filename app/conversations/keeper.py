"""Where the window meets the history: keeps conversations saved, from a thread of its own.

What changes is handed over within a second, and at once where it matters. What could not be written is tried again with
the next change, and each second, until it is written: nothing is lost while the application runs.
"""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

from PySide6.QtCore import QObject, QTimer, Signal

from app.conversations.conversation import Conversation, Head, Message
from app.conversations.exchange import from_json
from app.conversations.store import FILE, ConversationStore, StoreError
from app.host.worker import Task, Worker

SAVE_MS = 900  # "at least each second"
log = logging.getLogger(__name__)


class ConversationKeeper(QObject):
    """Conversations on disk, in `folder`; None keeps them only as long as the application runs."""

    heads_changed = Signal(object)  # list of Head, the latest first
    trouble = Signal(str)  # what keeps us from saving; "" when it is over
    rescued = Signal(str)  # a damaged file was put aside

    def __init__(self, folder: Path | None = None, parent: QObject | None = None):
        super().__init__(parent)
        self._path = folder / FILE if folder else None
        self._store: ConversationStore | None = None  # the worker's thread only
        self._in_use: WeakValueDictionary[str, Conversation] = WeakValueDictionary()
        self._unsaved: dict[str, tuple[Conversation, dict[str, Message]]] = {}
        self._said = ""
        self._worker = Worker("history", self)
        self._timer = QTimer(self, interval=SAVE_MS)
        self._timer.timeout.connect(self.save_now)
        self._worker.submit(self._purge, None, self._on_failed)

    # ------------------------------------------------------------------ saving
    def keep(self, conversation: Conversation, *messages: Message) -> None:
        """This conversation, and these messages of it, have changed: save them within a second."""
        self._in_use[conversation.id] = conversation
        _, changed = self._unsaved.setdefault(conversation.id, (conversation, {}))
        changed.update({m.id: m for m in messages})
        if not self._timer.isActive():
            self._timer.start()

    def save_now(self) -> Task | None:
        """Save what has changed. The task ends when it is on disk, or could not be saved; None if there is nothing."""
        self._timer.stop()
        if not self._unsaved:
            return None
        unsaved, self._unsaved = self._unsaved, {}
        copies = [(c.without_messages(), [m.copy() for m in changed.values()]) for c, changed in unsaved.values()]
        return self._worker.submit(partial(self._save, copies), self._on_saved, partial(self._on_save_failed, unsaved))

    def delete(self, id_: str) -> None:
        """Hide a conversation until the application ends, and then remove it."""
        self._change(lambda store: store.delete(id_))

    def restore(self, id_: str) -> None:
        """Bring back what was deleted."""
        self._change(lambda store: store.restore(id_))

    def import_file(self, path: Path, done: Callable[[list[Conversation]], None], failed: Callable) -> None:
        """Add the conversations of a file that was exported as JSON."""
        self._worker.submit(partial(self._import, path), partial(self._on_imported, done), failed)

    def shutdown(self) -> None:
        """Save what is unsaved, and end. The storage is of no use afterwards."""
        self.save_now()
        self._timer.stop()
        self._worker.submit(self._close)
        self._worker.shutdown()

    # ------------------------------------------------------------------ reading
    def list_heads(self) -> None:
        """Ask for `heads_changed`."""
        self._worker.submit(self._heads, self.heads_changed.emit, self._on_failed)

    def open(self, id_: str, done: Callable[[Conversation], None], failed: Callable[[Exception], None]) -> None:
        """Read a conversation. One that is in use already is handed over at once, the same object."""
        if id_ in self._in_use:
            done(self._in_use[id_])
            return
        self._worker.submit(lambda: self._opened().conversation(id_), partial(self._on_opened, done), failed)

    def change(self, id_: str, change: Callable[[Conversation], None]) -> None:
        """Change a conversation, which need not be shown."""
        self.open(id_, partial(self._on_change, change), self._on_failed)

    def open_all(self, done: Callable[[list[Conversation]], None], failed: Callable[[Exception], None]) -> None:
        """Read every conversation."""
        self.save_now()
        self._worker.submit(self._read_all, done, failed)

    def search(self, query: str, done: Callable[[list], None]) -> None:
        """Find conversations (`app.conversations.store.Hit`)."""
        self.save_now()
        self._worker.submit(lambda: self._opened().search(query), done, self._on_failed)

    # ------------------------------------------------------------------ outcomes, on the GUI's thread
    def _on_opened(self, done: Callable[[Conversation], None], conversation: Conversation) -> None:
        done(self._in_use.setdefault(conversation.id, conversation))

    def _on_change(self, change: Callable[[Conversation], None], conversation: Conversation) -> None:
        change(conversation)
        self.keep(conversation)
        self.save_now()

    def _change(self, change: Callable[[ConversationStore], None]) -> None:
        self.save_now()
        self._worker.submit(lambda: self._changed(change), self.heads_changed.emit, self._on_failed)

    def _on_saved(self, heads: list[Head]) -> None:
        self._say("")
        self.heads_changed.emit(heads)

    def _on_save_failed(self, unsaved: dict, error: Exception) -> None:
        for conversation, changed in unsaved.values():  # what changed meanwhile is in the same objects
            self.keep(conversation, *changed.values())
        self._on_failed(error)

    def _on_imported(self, done: Callable, conversations: list[Conversation]) -> None:
        self.list_heads()
        done(conversations)

    def _on_failed(self, error: Exception) -> None:
        if not isinstance(error, StoreError):
            log.error("conversations: %r", error, exc_info=error)
        self._say(str(error))

    def _say(self, trouble: str) -> None:
        if trouble != self._said:
            self._said = trouble
            self.trouble.emit(trouble)

    # ------------------------------------------------------------------ the worker's thread
    def _opened(self) -> ConversationStore:
        if self._store is None:
            self._store = ConversationStore(self._path)
            if self._store.rescued:
                self._worker.tell(partial(self.rescued.emit, self._store.rescued))
        return self._store

    def _purge(self) -> None:
        self._opened().purge()

    def _heads(self) -> list[Head]:
        return self._opened().heads()

    def _changed(self, change: Callable[[ConversationStore], None]) -> list[Head]:
        change(self._opened())
        return self._opened().heads()

    def _save(self, copies: list[tuple[Conversation, list[Message]]]) -> list[Head]:
        for conversation, messages in copies:
            self._opened().save(conversation, messages)
        return self._opened().heads()

    def _read_all(self) -> list[Conversation]:
        store = self._opened()
        return [store.conversation(head.id) for head in store.heads()]

    def _import(self, path: Path) -> list[Conversation]:
        try:
            conversations = from_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise StoreError(self.tr("{0} cannot be read ({1}).").format(path, error.strerror)) from error
        except StoreError as error:
            raise StoreError(self.tr("{0} was not imported. {1}").format(path.name, error)) from error
        store = self._opened()
        present = {head.id for head in store.heads()}
        kept = [c.with_new_ids() if c.id in present else c for c in conversations]
        for conversation in kept:
            store.save(conversation, conversation.messages.values())
        return kept

    def _close(self) -> None:
        if self._store:
            self._store.close()
