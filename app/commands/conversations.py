"""The menus' commands on conversations: open, name, copy, delete and bring back."""

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QWidget

from app.chat.sidebar import Sidebar
from app.chat.transfer import Transfer
from app.chat.view import ChatView
from app.conversations.conversation import Conversation
from app.conversations.keeper import ConversationKeeper
from app.settings.registry import Preferences
from app.widgets.dialogs import ask
from app.widgets.message_bar import MessageBar


class ConversationCommands(QObject):
    """Between the menus and the panes that show conversations.

    `window`: what dialogs belong to; `message`: its place for what is to be said.
    """

    deleted = Signal(str)  # the id of a conversation
    all_deleted = Signal()

    def __init__(
        self,
        chat: ChatView,
        sidebar: Sidebar,
        storage: ConversationKeeper,
        settings: Preferences,
        message: MessageBar,
        window: QWidget,
    ):
        super().__init__(window)
        self._window, self._message = window, message
        self._chat, self._sidebar, self._storage = chat, sidebar, storage
        self.transfer = Transfer(storage, settings, window)
        self.transfer.exported.connect(message.say)
        self.transfer.importing.connect(message.say)
        self.transfer.refused.connect(message.clear)
        self._undo: QAction | None = None
        sidebar.opened.connect(self.open)
        sidebar.deleted.connect(self._on_deleted)
        sidebar.export_asked.connect(self.transfer.export)

    def use_undo(self, action: QAction) -> None:
        """The menu's entry for it, which is there while something can be brought back."""
        self._undo = action
        self._show_undo()

    # ------------------------------------------------------------------ opening
    def open(self, id_: str, message: str | None = None, words: str = "") -> None:
        """Show a conversation, at a message and at the words that were found there."""
        self._show_undo()  # it may have been brought back just now
        self._storage.open(id_, partial(self._on_opened, message, words), self._on_not_there)

    def open_last(self, id_: str) -> None:
        """Show what was open when the application ended. A conversation of which nothing was kept is as good new."""
        self._storage.open(id_, self._chat.show_conversation, _let_be)

    def open_number(self, number: int) -> None:
        """Show the conversation at this place of the sidebar, from 0."""
        self._sidebar.open_number(number)

    def _on_opened(self, wanted: str | None, words: str, conversation: Conversation) -> None:
        message = conversation.messages.get(wanted or "")
        if message:
            conversation.show(message)
        if conversation is not self._chat.conversation or message:
            self._chat.show_conversation(conversation)
        if message:
            self._chat.show_found(message, words)
        elif words:  # which stand in the title, and mostly in a message as well
            self._chat.show_words(words)

    def _on_not_there(self, error: Exception) -> None:
        self._sidebar.say(str(error))

    # ------------------------------------------------------------------ deleting
    def delete(self) -> None:
        """Delete the conversation that is shown; the sidebar offers to undo it."""
        self._sidebar.delete(self._chat.conversation.id)

    def ask_to_delete_all(self) -> None:
        """Delete all conversations and what models remember of them, if the user means it."""
        question = self.tr("Delete all chats?")
        more = self.tr("What models remember of them is deleted too. Undo Delete brings chats back, one by one, until "
                       "Flashbulb is closed.")  # fmt: skip
        ask(self._window, question, more, self.tr("Delete All"), self._delete_all, loses=True)

    def _delete_all(self) -> None:
        self._sidebar.delete_all()
        if (shown := self._chat.conversation).messages:  # which the list does not have yet
            self._storage.delete(shown.id)
            self._on_deleted(shown.id)
        self._storage.forget_contexts()
        self.all_deleted.emit()

    def restore(self) -> None:
        """Bring back what was deleted last; nothing, if nothing was."""
        self._sidebar.restore()
        self._show_undo()

    def _on_deleted(self, id_: str) -> None:
        self._show_undo()
        self._chat.abandon(id_)
        self.deleted.emit(id_)
        if id_ == self._chat.conversation.id:
            self._chat.show_conversation(Conversation())

    def _show_undo(self) -> None:
        if self._undo:
            self._undo.setEnabled(self._sidebar.can_restore)

    # ------------------------------------------------------------------ naming, copying, files
    def rename(self) -> None:
        """Let the title be changed where it stands."""
        self._sidebar.rename(self._chat.conversation.id)

    def pin(self) -> None:
        """Keep the conversation at the top, or not any more."""
        self._sidebar.toggle_pin(self._chat.conversation.id)

    def answer_again(self) -> None:
        if answer := self._chat.conversation.last_answer():
            self._chat.regenerate(answer)

    def edit_question(self) -> None:
        if question := self._chat.last_question():
            question.edit()
            self._chat.transcript.go_to(question.message)

    def copy_answer(self) -> None:
        if answer := self._chat.conversation.last_answer():
            QGuiApplication.clipboard().setText(answer.text.strip())

    def copy_chat(self) -> None:
        QGuiApplication.clipboard().setText(self._chat.conversation.as_markdown())

    def ask_for_import(self) -> None:
        self.transfer.import_(self._on_imported)

    def import_file(self, path: Path) -> None:
        self.transfer.import_file(path, self._on_imported)

    def export(self) -> None:
        self.transfer.export(self._chat.conversation.id)

    def export_all(self) -> None:
        self.transfer.export_all()

    def _on_imported(self, conversations: list[Conversation]) -> None:
        self._message.say(self.tr("%Ln chat(s) imported", None, len(conversations)))
        if conversations:
            self.open(conversations[0].id)


def _let_be(_error: Exception) -> None:
    pass
