"""Rows of the database as what they stand for, whatever they hold. No widgets."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from app.conversations import values
from app.conversations.conversation import ASSISTANT, USER, Conversation, Head, Message, new_id, title_from
from app.conversations.plain import plain

CONVERSATION_COLUMNS = "id, title, created, updated, pinned, leaf, draft, parameters"
LATER_CONVERSATION_COLUMNS = ", edits, model"  # columns that came with later versions
LATEST_CONVERSATION_COLUMNS = f"{LATER_CONVERSATION_COLUMNS}, attachments"
MESSAGE_COLUMNS = "id, parent, role, text, created, finish, error, receipt"
LATER_MESSAGE_COLUMNS = ", reasoning, reasoning_seconds, reasoning_tokens, tool_calls, attachments"
DELETED_CONDITION = "typeof(deleted) IN ('real', 'integer')"  # anything else was never a time
READ_ERRORS = (sqlite3.Error, UnicodeDecodeError)  # the latter where an error quotes bytes that are no characters
Row = tuple[object, ...]


def head_of(row: Row) -> Head:
    """Of id, title, created, updated, pinned, and the message that is shown last."""
    id_, title, created, updated, pinned, last = row
    snippet = plain(values.text(last))
    return Head(values.text(id_), values.text(title), values.time(created), values.time(updated), pinned == 1, snippet)


def conversation_of(row: Row) -> Conversation:
    """Of the columns that `CONVERSATION_COLUMNS` names, and perhaps those of later versions; without its messages."""
    id_, title, created, updated, pinned, leaf, draft, parameters, *later = row
    edits, model = later[:2] or (None, "")
    attachments = later[2] if later[2:] else None
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
        attachments=values.attachments(values.parsed(attachments)),
    )


def message_of(row: Row) -> Message | None:
    """Of `MESSAGE_COLUMNS`, and perhaps `LATER_MESSAGE_COLUMNS`; None for one that nobody said."""
    id_, parent, role, text, created, finish, error, receipt, *later = row
    reasoning, seconds, tokens, tool_calls, attachments = later or ("", 0, 0, None, None)
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
        values.text(reasoning),
        values.seconds(seconds),
        values.count(tokens),
        values.tool_calls(values.parsed(tool_calls)),
        values.attachments(values.parsed(attachments)),
    )


def columns_of(db: sqlite3.Connection) -> tuple[str, str]:
    """The columns of conversations and of messages, as far as a file has them, which an older version may have made."""
    candidates = (LATEST_CONVERSATION_COLUMNS, LATER_CONVERSATION_COLUMNS)
    later = (found for more in candidates if (found := _has(db, "conversations", more)))
    return f"{CONVERSATION_COLUMNS}{next(later, '')}", f"{MESSAGE_COLUMNS}{_has(db, 'messages', LATER_MESSAGE_COLUMNS)}"


def readable_conversations(path: Path) -> list[Conversation]:
    """Everything that can still be read of a damaged file."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.text_factory = bytes  # text with broken characters must not end the reading
            conversation_columns, message_columns = columns_of(db)
            heads = _readable_rows(db, "conversations", conversation_columns, f"NOT {DELETED_CONDITION}")
            gone = _readable_rows(db, "conversations", "id", DELETED_CONDITION)
            rows = _readable_rows(db, "messages", f"conversation, {message_columns}")
    except READ_ERRORS:
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


def _has(db: sqlite3.Connection, table: str, columns: str) -> str:
    """These columns, if a table has them."""
    try:
        db.execute(f"SELECT rowid{columns} FROM {table} LIMIT 0")
    except READ_ERRORS:
        return ""
    return columns


def _readable_rows(db: sqlite3.Connection, table: str, columns: str, condition: str = "1") -> list[Row]:
    """Rows from the first on until one cannot be read, then from the last back."""
    rows: dict[Row, None] = {}
    for order in ("ASC", "DESC"):
        rows.update(dict.fromkeys(_until_it_breaks(db, f"SELECT {columns} FROM {table} WHERE {condition}", order)))
    return list(rows)


def _until_it_breaks(db: sqlite3.Connection, statement: str, order: str) -> Iterator[Row]:
    try:
        yield from db.execute(f"{statement} ORDER BY rowid {order}")
    except READ_ERRORS:
        return
