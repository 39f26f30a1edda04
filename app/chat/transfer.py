"""Conversations to and from files: what the menu's Export and Import do."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QStandardPaths, Signal
from PySide6.QtWidgets import QWidget

from app.conversations import values
from app.conversations.conversation import Conversation
from app.conversations.exchange import CHAT_SUFFIX, to_json
from app.conversations.keeper import ConversationKeeper
from app.settings.registry import Preferences
from app.widgets.dialogs import choose_file_to_open, choose_file_to_save, tell
from app.widgets.language import tr
from engine.system.files import write_whole

CHAT_FILTER = f"Flashbulb (*{CHAT_SUFFIX})"
JSON_FILTER = "JSON (*.json)"
MARKDOWN_FILTER = "Markdown (*.md)"
IMPORT_FILTER = f"Flashbulb, JSON (*{CHAT_SUFFIX} *.json)"
MAX_NAME_BYTES = 160  # with what is added to it, all file systems take it
FOLDER_KEY = "general.folder"
Imported = Callable[[list[Conversation]], None]
NAME_CHARACTERS = " -_.,()&+'"  # of a title's characters, beside letters and digits, those that a file's name may have


class Transfer(QObject):
    """Asks for files, and says how it went. `window`: what the dialogs belong to."""

    exported = Signal(str)  # words for the user
    importing = Signal(str)  # words for the user, while it lasts
    refused = Signal()  # a file that was to be imported

    def __init__(self, storage: ConversationKeeper, settings: Preferences, window: QWidget):
        super().__init__(window)
        self._storage, self._settings, self._window = storage, settings, window

    def export(self, id_: str) -> None:
        """One conversation, as Markdown or JSON."""
        self._storage.open(id_, self._ask_where, self._on_export_failed)

    def export_all(self) -> None:
        """Every conversation, as JSON."""
        self._storage.open_all(self._ask_where_all, self._on_export_failed)

    def import_(self, done: Imported) -> None:
        """Conversations that were exported as JSON, from here or from ChatGPT."""
        choose_file_to_open(
            self._window,
            self.tr("Import Chats"),
            [IMPORT_FILTER],
            partial(self._on_import, done),
            self._folder(),
        )

    def import_file(self, path: Path, done: Imported) -> None:
        """The conversations of one file."""
        self.importing.emit(self.tr("Importing {0}…").format(path.name))
        self._storage.import_file(path, done, self._on_import_failed)

    def _ask_where(self, conversation: Conversation) -> None:
        name = file_name(conversation.title or self.tr("Chat"))
        filters = [MARKDOWN_FILTER, CHAT_FILTER, JSON_FILTER]
        on_where = partial(self._on_where, conversation)
        choose_file_to_save(self._window, self.tr("Export Chat"), f"{name}.md", filters, on_where, self._folder())

    def _ask_where_all(self, conversations: list[Conversation]) -> None:
        name = self.tr("Chats") + CHAT_SUFFIX
        filters = [CHAT_FILTER, JSON_FILTER]
        on_where = partial(self._on_where_all, conversations)
        choose_file_to_save(self._window, self.tr("Export All Chats"), name, filters, on_where, self._folder())

    def _on_where(self, conversation: Conversation, path: str) -> None:
        as_json = path.lower().endswith((CHAT_SUFFIX, ".json"))
        self._write(path, to_json([conversation]) if as_json else markdown(conversation))

    def _on_where_all(self, conversations: list[Conversation], path: str) -> None:
        self._write(path, to_json(conversations))

    def _on_import(self, done: Imported, path: str) -> None:
        self._remember(path)
        self.import_file(Path(path), done)

    def _write(self, path: str, text: str) -> None:
        self._remember(path)
        try:
            write_whole(Path(path), text)
        except OSError as error:
            self._on_export_failed(self.tr("{0} could not be written: {1}.").format(path, error.strerror))
        else:
            self.exported.emit(self.tr("Exported to {0}").format(path))

    def _folder(self) -> str:
        """The folder of the latest file; at first, and where that is gone, Documents."""
        latest = self._settings[FOLDER_KEY]
        return latest if latest and os.path.isdir(latest) else _documents()  # noqa: PTH112 - a path of any length

    def _remember(self, path: str) -> None:
        self._settings[FOLDER_KEY] = str(Path(path).parent)

    def _on_import_failed(self, error: object) -> None:
        self.refused.emit()
        tell(self._window, self.tr("The chats could not be imported"), str(error))

    def _on_export_failed(self, error: object) -> None:
        tell(self._window, self.tr("The chat could not be exported"), str(error))


def _documents() -> str:
    return QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)


def markdown(conversation: Conversation) -> str:
    """A conversation as a Markdown file."""
    return values.text(f"# {conversation.title}\n\n{conversation.as_markdown(whole=True)}\n")


def file_name(title: str) -> str:
    """A title as the name of a file."""
    name = "".join(c if c.isalnum() or c in NAME_CHARACTERS else "-" for c in title).strip(" .-")
    return name.encode()[:MAX_NAME_BYTES].decode(errors="ignore") or tr("Chat")
