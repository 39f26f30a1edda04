"""Conversations as files to keep or to give away: JSON with every branch, which can be read back. No widgets."""

import json
from collections.abc import Iterable
from dataclasses import asdict

from app.conversations.conversation import Conversation
from app.conversations.store import StoreError, message_from
from app.widgets.language import tr

FORMAT, FORMAT_VERSION = "flashbulb-conversations", 1

CHAT_SUFFIX = ".flashbulb-chat"  # of exported conversations, JSON inside: what macOS opens with Flashbulb


def to_json(conversations: Iterable[Conversation]) -> str:
    """Conversations with all their branches."""
    kept = [asdict(c) | {"messages": [asdict(m) for m in c.messages.values()]} for c in conversations]
    content = {"format": FORMAT, "version": FORMAT_VERSION, "conversations": kept}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def from_json(text: str) -> list[Conversation]:
    """What `to_json` wrote. Raises StoreError."""
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}")
        if content["version"] > FORMAT_VERSION:
            raise StoreError(
                tr("It was written by a newer Flashbulb (version {0}). Update Flashbulb.").format(content["version"])
            )
        return [_conversation(entry) for entry in content["conversations"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(tr("It holds no conversations of Flashbulb ({0}).").format(error)) from error


def _conversation(entry: dict) -> Conversation:
    messages = {}
    for stored in entry["messages"]:
        names = ("id", "parent", "role", "text", "created", "finish", "error")
        row = tuple(stored[name] for name in names)
        message = message_from((*row, json.dumps(stored["receipt"])))
        if message is None:
            raise ValueError(f"a message has the role {stored['role']!r}")
        messages[message.id] = message
    conversation = Conversation(
        str(entry["id"]),
        str(entry["title"]),
        float(entry["created"]),
        float(entry["updated"]),
        bool(entry["pinned"]),
        entry["leaf"],
        str(entry["draft"]),
        dict(entry["parameters"]),
        messages,
    )
    conversation.heal()
    return conversation
