"""The window's side of the store: keeps conversations saved, from a thread of its own.

Changes are handed over within a second, and at once where it matters. What could not be written is tried again with the
next change, and each second, until it is written: nothing is lost while the application runs.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

from PySide6.QtCore import QObject, QTimer, Signal

from app.conversations import exchange
from app.conversations.conversation import Conversation, Head, Message
from app.conversations.search import Hit
from app.conversations.store import FILE, ConversationStore, StoreError
from app.host.deadline import Deadline
from app.host.worker import Task, Worker
from engine.inference.kept import KeptContexts

CONTEXTS_FOLDER = "contexts"  # beside the conversations' file
SAVE_MS = 900  # "at least each second"
Failed = Callable[[Exception], None]
Unsaved = dict[str, tuple[Conversation, dict[str, Message]]]
log = logging.getLogger(__name__)


class ConversationKeeper(QObject):
    """Conversations on disk, in `folder`; None keeps them only as long as the application runs.

    contexts: what models remember of them, beside them; None without a folder.
    """

    heads_changed = Signal(object)  # list of Head, the latest first
    trouble = Signal(str)  # what keeps us from saving; "" when it is over
    rescued = Signal(str)  # a damaged file was put aside

    def __init__(self, folder: Path | None = None, parent: QObject | None = None):
        super().__init__(parent)
        self._path = folder / FILE if folder else None
        self.contexts = KeptContexts(folder / CONTEXTS_FOLDER) if folder else None
        self._store: ConversationStore | None = None  # the worker's thread only
        self._in_use: WeakValueDictionary[str, Conversation] = WeakValueDictionary()
        self._unsaved: Unsaved = {}
        self._said = ""
        self._worker = Worker("conversations", self)
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
        return self._worker.submit(
            partial(self._save, copies), partial(self._on_saved, unsaved), partial(self._on_save_failed, unsaved)
        )

    def delete(self, *ids: str) -> None:
        """Hide conversations until the application ends, and then remove them. What a model remembers of them goes
        now."""
        self._change(lambda store: store.delete(*ids))
        if self.contexts:
            for id_ in ids:
                self._worker.submit(partial(self.contexts.delete, id_), None, self._on_failed)

    def restore(self, id_: str) -> None:
        """Bring back what was deleted."""
        self._change(lambda store: store.restore(id_))
        if self.contexts:
            self._worker.submit(partial(self.contexts.restore, id_), None, self._on_failed)

    def forget_contexts(self) -> None:
        """Delete all that models remember of conversations on disk."""
        if self.contexts:
            self._worker.submit(self.contexts.delete_all, None, self._on_failed)

    def keep_contexts(self, wanted: bool) -> None:
        """Keep what models remember of conversations on disk, or delete all of it."""
        if self.contexts:
            self.contexts.wanted = wanted
            if not wanted:
                self.forget_contexts()

    def import_file(self, path: Path, done: Callable[[list[Conversation]], None], failed: Failed) -> None:
        """Add the conversations of a file, all of them or none; those that are here already are not made twice."""
        self.save_now()
        self._worker.submit(partial(self._import, path), partial(self._on_imported, done), failed)

    def finish(self) -> None:
        """Save what is unsaved, and nothing after that. Harmless when repeated."""
        self.save_now()
        self._timer.stop()
        self._worker.submit(self._close)
        self._worker.finish()

    def shutdown(self, deadline: Deadline | None = None) -> bool:
        """Save what is unsaved, and end. Returns whether that was done in time. The keeper is of no use afterwards."""
        self.finish()
        return self._worker.shutdown(deadline)

    # ------------------------------------------------------------------ reading
    def list_heads(self) -> None:
        """Ask for `heads_changed`."""
        self._worker.submit(self._heads, self.heads_changed.emit, self._on_failed)

    def open(self, id_: str, done: Callable[[Conversation], None], failed: Failed) -> None:
        """Read a conversation. One that is in use already is handed over at once, the same object."""
        if id_ in self._in_use:
            done(self._in_use[id_])
            return
        self._worker.submit(lambda: self._opened().conversation(id_), partial(self._on_opened, done), failed)

    def change(self, id_: str, change: Callable[[Conversation], None]) -> None:
        """Change a conversation, which need not be shown."""
        self.open(id_, partial(self._on_change, change), self._on_failed)

    def open_all(self, done: Callable[[list[Conversation]], None], failed: Failed) -> None:
        """Read every conversation."""
        self.save_now()
        self._worker.submit(self._read_all, done, failed)

    def search(self, query: str, done: Callable[[list[Hit]], None]) -> None:
        """Find conversations."""
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

    def _on_saved(self, unsaved: Unsaved, saved: "Saved") -> None:
        for id_ in saved.failures:  # what changed meanwhile is in the same objects
            conversation, changed = unsaved[id_]
            self.keep(conversation, *changed.values())
        if saved.failures:
            self._on_failed(next(iter(saved.failures.values())))
        else:
            self._say("")
        self.heads_changed.emit(saved.heads)

    def _on_save_failed(self, unsaved: Unsaved, error: Exception) -> None:
        for conversation, changed in unsaved.values():
            self.keep(conversation, *changed.values())
        self._on_failed(error)

    def _on_imported(self, done: Callable[[list[Conversation]], None], conversations: list[Conversation]) -> None:
        self.list_heads()
        done(conversations)

    def _on_failed(self, error: Exception) -> None:
        if isinstance(error, StoreError):
            self._say(str(error))
            return
        log.error("conversations: %r", error, exc_info=error)
        self._say(self.tr("Chats cannot be read or saved because of a mistake in Flashbulb."))

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
            self._store.rescued = ""
        return self._store

    def _purge(self) -> None:
        self._opened().purge()
        if self.contexts:
            self.contexts.keep_only([head.id for head in self._opened().heads()])

    def _heads(self) -> list[Head]:
        return self._opened().heads()

    def _changed(self, change: Callable[[ConversationStore], None]) -> list[Head]:
        change(self._opened())
        return self._opened().heads()

    def _save(self, copies: list[tuple[Conversation, list[Message]]]) -> "Saved":
        """One that cannot be saved keeps no other from it."""
        store, failures = self._opened(), {}
        for conversation, messages in copies:
            try:
                store.save(conversation, messages)
            except Exception as error:
                failures[conversation.id] = error
        return Saved(store.heads(), failures)

    def _read_all(self) -> list[Conversation]:
        store = self._opened()
        return [store.conversation(head.id) for head in store.heads()]

    def _import(self, path: Path) -> list[Conversation]:
        return self._opened().add(exchange.read(path))

    def _close(self) -> None:
        if self._store:
            self._store.close()


@dataclass(frozen=True)
class Saved:
    """heads: of everything that is there now. failures: by the id of a conversation that could not be saved."""

    heads: list[Head]
    failures: dict[str, Exception]
