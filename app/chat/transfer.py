"""Conversations to and from files: what the menu's Export and Import do."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from app.conversations.conversation import Conversation
from app.conversations.exchange import CHAT_SUFFIX, to_json
from app.conversations.keeper import ConversationKeeper
from app.widgets.dialogs import choose_file_to_open, choose_file_to_save, tell
from app.widgets.language import tr
from engine.system.files import write_whole

CHAT_FILTER = f"Flashbulb (*{CHAT_SUFFIX})"
JSON_FILTER = "JSON (*.json)"
MARKDOWN_FILTER = "Markdown (*.md)"
IMPORT_FILTER = f"Flashbulb, JSON (*{CHAT_SUFFIX} *.json)"
SAFE = " -_.,()&+'"  # of a title's characters, beside letters and digits, those that a file's name may have


class Transfer(QObject):
    """Asks for files, and says what went wrong. `window`: what the dialogs belong to."""

    def __init__(self, storage: ConversationKeeper, window: QWidget):
        super().__init__(window)
        self._storage, self._window = storage, window

    def export(self, id_: str) -> None:
        """One conversation, as Markdown or JSON."""
        self._storage.open(id_, self._ask_where, self._on_failed)

    def export_all(self) -> None:
        """Every conversation, as JSON."""
        self._storage.open_all(self._ask_where_all, self._on_failed)

    def import_(self, done: Callable[[list[Conversation]], None]) -> None:
        """Conversations that were exported as JSON."""
        self._imported = done
        choose_file_to_open(self._window, self.tr("Import Conversations"), [IMPORT_FILTER], self._on_import)

    def import_file(self, path: Path, done: Callable[[list[Conversation]], None]) -> None:
        self._storage.import_file(path, done, self._on_failed)

    def _ask_where(self, conversation: Conversation) -> None:
        name = file_name(conversation.title or self.tr("Conversation"))
        self._exported = conversation
        filters = [MARKDOWN_FILTER, CHAT_FILTER, JSON_FILTER]
        choose_file_to_save(self._window, self.tr("Export Chat"), f"{name}.md", filters, self._on_where)

    def _ask_where_all(self, conversations: list[Conversation]) -> None:
        self._exported_all = conversations
        name = self.tr("Conversations") + CHAT_SUFFIX
        filters = [CHAT_FILTER, JSON_FILTER]
        choose_file_to_save(self._window, self.tr("Export All Chats"), name, filters, self._on_where_all)

    def _on_where(self, path: str) -> None:
        as_json = path.lower().endswith((CHAT_SUFFIX, ".json"))
        conversation = self._exported
        self._write(path, to_json([conversation]) if as_json else markdown(conversation))

    def _on_where_all(self, path: str) -> None:
        self._write(path, to_json(self._exported_all))

    def _on_import(self, path: str) -> None:
        self.import_file(Path(path), self._imported)

    def _write(self, path: str, text: str) -> None:
        try:
            write_whole(Path(path), text)
        except OSError as error:
            self._tell(self.tr("{0} could not be written: {1}.").format(path, error.strerror))

    def _on_failed(self, error: Exception) -> None:
        self._tell(str(error))

    def _tell(self, text: str) -> None:
        tell(self._window, self.tr("That did not work"), text)


def markdown(conversation: Conversation) -> str:
    """A conversation as a Markdown file."""
    return f"# {conversation.title}\n\n{conversation.as_markdown()}\n"


def file_name(title: str) -> str:
    """A title as the name of a file."""
    name = "".join(c if c.isalnum() or c in SAFE else "-" for c in title).strip(" .-")
    return name[:80] or tr("Conversation")
