"""Conversations as files to keep or to give away: JSON with every branch, which can be read back. No widgets.

Files of ours, and what ChatGPT exports, are read. All of a file is looked at before any of it is kept.
"""

import json
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from app.conversations import chatgpt, values
from app.conversations.conversation import Conversation, Message
from app.conversations.store import StoreError
from app.widgets.language import tr
from engine.text import readable

FORMAT, FORMAT_VERSION = "flashbulb-conversations", 1
CHAT_SUFFIX = ".flashbulb-chat"  # of exported conversations, JSON inside: what macOS opens with Flashbulb
MAX_FILE_BYTES = 1_000_000_000
ARCHIVE_BEGINNINGS = (b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")  # how they begin

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[ -~]+$")]
Stored = TypeVar("Stored")


class StoredMessage(msgspec.Struct):
    """A message as it stands in a file. Times and figures may be any."""

    id: Id
    role: Literal["user", "assistant"]
    text: str
    parent: Id | None = None
    created: object = None
    finish: str = ""
    error: str = ""
    receipt: object = None
    reasoning: str = ""
    reasoning_seconds: object = None
    reasoning_tokens: object = None
    tool_calls: object = None
    attachments: object = None


class StoredConversation(msgspec.Struct):
    """A conversation as it stands in a file."""

    id: Id
    messages: list[StoredMessage]
    title: str = ""
    created: object = None
    updated: object = None
    pinned: bool = False
    leaf: Id | None = None
    draft: str = ""
    parameters: object = None
    edits: object = None
    model: str = ""
    attachments: object = None


def to_json(conversations: Iterable[Conversation]) -> str:
    """Conversations with all their branches."""
    kept = [asdict(c) | {"messages": [asdict(m) for m in c.messages.values()]} for c in conversations]
    content = {"format": FORMAT, "version": FORMAT_VERSION, "conversations": kept}
    return values.text(json.dumps(content, indent=2, ensure_ascii=False)) + "\n"


def read(path: Path) -> list[Conversation]:
    """The conversations of a file. Raises StoreError, with the file's name."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading what is none may never end
            raise StoreError(tr("It is no file."))
        if path.stat().st_size > MAX_FILE_BYTES:
            raise StoreError(tr("It is larger than {0}.").format(readable(MAX_FILE_BYTES)))
        return from_bytes(path.read_bytes())
    except OSError as error:
        raise StoreError(tr("{0} cannot be read ({1}).").format(path, error.strerror)) from error
    except StoreError as error:
        raise StoreError(tr("{0} was not imported. {1}").format(path.name, error)) from error


def from_bytes(content: bytes) -> list[Conversation]:
    """The conversations of a file's content. Raises StoreError, which quotes nothing of it."""
    if content.startswith(ARCHIVE_BEGINNINGS):
        raise StoreError(tr("It is an archive. Unpack it, and import the file with the chats that is in it."))
    try:
        return from_json(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise StoreError(tr("It is not a text file: a file of chats is JSON in UTF-8.")) from error


def from_json(text: str) -> list[Conversation]:
    """The conversations of a text that `to_json` wrote, or ChatGPT. Raises StoreError."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StoreError(tr("It is not a file of chats: it holds no JSON, or only a part of it.")) from error
    if chatgpt.is_export(content):
        return _all(content, chatgpt.conversation_of)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise StoreError(tr("It holds no chats of Flashbulb, nor any exported from ChatGPT."))
    version, entries = content.get("version"), content.get("conversations")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise StoreError(tr("It was written by a newer Flashbulb. Update Flashbulb."))
    if not isinstance(entries, list):
        raise StoreError(tr("It is damaged: its chats are missing."))
    return _all(entries, _conversation)


def _all(entries: list[object], convert: Callable[[object], Conversation | None]) -> list[Conversation]:
    """Every entry, or none: what is wrong with one is said by its number. Entries that hold nothing are left out."""
    found = []
    for number, entry in enumerate(entries, 1):
        try:
            conversation = convert(entry)
        except msgspec.ValidationError as error:
            raise StoreError(tr("It is damaged: chat {0} in it makes no sense.").format(number)) from error
        if conversation is not None:
            _settle_times(conversation)
            conversation.heal()
            found.append(conversation)
    return found


def _settle_times(conversation: Conversation) -> None:
    """A conversation is as old as its messages where its own times make no sense, and of today where nothing does."""
    known = [message.created for message in conversation.messages.values() if message.created]
    latest = conversation.updated or conversation.created or max(known, default=time.time())
    conversation.updated = latest
    conversation.created = conversation.created or min(known, default=latest)


def _conversation(entry: object) -> Conversation:
    stored = msgspec.convert(entry, StoredConversation)
    messages = {stored_message.id: _message(stored_message) for stored_message in stored.messages}
    return Conversation(
        stored.id,
        values.text(stored.title),
        values.time(stored.created),
        values.time(stored.updated),
        stored.pinned,
        stored.leaf,
        values.text(stored.draft),
        values.parameters(stored.parameters),
        messages,
        values.texts(stored.edits),
        values.text(stored.model),
        values.attachments(stored.attachments),
    )


def _message(stored: StoredMessage) -> Message:
    return Message(
        stored.role,
        values.text(stored.text),
        stored.parent,
        stored.id,
        values.time(stored.created),
        values.text(stored.finish),
        values.text(stored.error),
        values.receipt(stored.receipt),
        values.text(stored.reasoning),
        values.seconds(stored.reasoning_seconds),
        values.count(stored.reasoning_tokens),
        values.tool_calls(stored.tool_calls),
        values.attachments(stored.attachments),
    )
