"""Rows of the database as what they stand for, whatever they hold. No widgets."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from app.conversations import values
from app.conversations.conversation import ASSISTANT, USER, Conversation, Head, Message, new_id, title_from

CONVERSATION = "id, title, created, updated, pinned, leaf, draft, parameters"
MESSAGE = "id, parent, role, text, created, finish, error, receipt"
DELETED = "typeof(deleted) IN ('real', 'integer')"  # anything else was never a time
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)  # the latter where an error quotes bytes that are no characters
Row = tuple[object, ...]


def head_of(row: Row) -> Head:
    """Of id, title, created, updated, pinned, and the message that is shown last."""
    id_, title, created, updated, pinned, last = row
    snippet = " ".join(values.text(last).split())
    return Head(values.text(id_), values.text(title), values.time(created), values.time(updated), pinned == 1, snippet)


def conversation_of(row: Row) -> Conversation:
    """Of the columns that `CONVERSATION` names, and perhaps edits and model; without its messages."""
    id_, title, created, updated, pinned, leaf, draft, parameters, *newer = row
    edits, model = newer or (None, "")
    return Conversation(
        values.text(id_),
        values.text(title),
        values.time(created),
        values.time(updated),
        pinned == 1,
        values.text(leaf) or None,
        values.text(draft),
        values.parameters(values.parsed(parameters)),
        edits=values.texts(values.parsed(edits)),
        model=values.text(model),
    )


def message_of(row: Row) -> Message | None:
    """Of the columns that `MESSAGE` names; None for one that nobody said."""
    id_, parent, role, text, created, finish, error, receipt = row
    said_by = values.text(role)
    if said_by not in (USER, ASSISTANT):
        return None
    return Message(
        said_by,
        values.text(text),
        values.text(parent) or None,
        values.text(id_),
        values.time(created),
        values.text(finish),
        values.text(error),
        values.receipt(values.parsed(receipt)),
    )


def readable_conversations(path: Path) -> list[Conversation]:
    """Whatever can still be read of a damaged file."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.text_factory = bytes  # text with broken characters must not end the reading
            newer = _has_columns(db, "edits, model")
            heads = _readable_rows(db, "conversations", f"{CONVERSATION}{newer}", f"NOT {DELETED}")
            gone = _readable_rows(db, "conversations", "id", DELETED)
            rows = _readable_rows(db, "messages", f"conversation, {MESSAGE}")
    except UNREADABLE:
        return []
    found = {conversation.id: conversation for row in heads if (conversation := conversation_of(row))}
    _add_messages(found, {values.text(id_) for (id_,) in gone}, rows)
    for conversation in found.values():
        conversation.heal()
    return list(found.values())


def _add_messages(found: dict[str, Conversation], gone: set[str], rows: list[Row]) -> None:
    for owner, *columns in rows:
        id_, message = values.text(owner), message_of(tuple(columns))
        if message is None or id_ in gone:
            continue
        lost = Conversation(id_, "", message.created, message.created)  # its own row could not be read
        conversation = found.setdefault(id_, lost)
        message.id = message.id or new_id()
        conversation.messages[message.id] = message
        conversation.title = conversation.title or title_from(message.text)


def _has_columns(db: sqlite3.Connection, columns: str) -> str:
    try:
        db.execute(f"SELECT {columns} FROM conversations LIMIT 0")
    except UNREADABLE:
        return ""
    return f", {columns}"


def _readable_rows(db: sqlite3.Connection, table: str, columns: str, condition: str = "1") -> list[Row]:
    """Rows from the first on until one cannot be read, then from the last back."""
    rows: dict[Row, None] = {}
    for order in ("ASC", "DESC"):
        rows.update(dict.fromkeys(_until_it_breaks(db, f"SELECT {columns} FROM {table} WHERE {condition}", order)))
    return list(rows)


def _until_it_breaks(db: sqlite3.Connection, statement: str, order: str) -> Iterator[Row]:
    try:
        yield from db.execute(f"{statement} ORDER BY rowid {order}")
    except UNREADABLE:
        return
