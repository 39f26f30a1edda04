"""Conversations for tests."""

from pathlib import Path

from app.conversations.conversation import Conversation
from app.conversations.store import FILE, ConversationStore


def talk(*texts, title="") -> Conversation:
    """A conversation in which questions and finished answers alternate."""
    conversation = Conversation(title=title)
    for asked, said in zip(texts[::2], texts[1::2], strict=True):
        _, answer = conversation.ask(asked, conversation.leaf)
        answer.text, answer.finish = said, "stop"
    return conversation


def save(store, conversation) -> Conversation:
    store.save(conversation, conversation.messages.values())
    return conversation


def stored(folder: Path) -> list[Conversation]:
    """All conversations on disk, the latest first."""
    store = ConversationStore(folder / FILE)
    try:
        return [store.conversation(head.id) for head in store.heads()]
    finally:
        store.close()
