"""Conversations for tests."""

from app.conversations.conversation import Conversation


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
