"""Conversations in SQLite: written as they happen, found by any piece of their text. No widgets; one thread uses a
store.

Every write is one transaction in WAL mode, so a crash or a power cut loses at most what was not yet handed over. A row
that makes no sense is mended or passed over; a file that is damaged as a whole is put aside, and what can be read of it
is kept. A file that cannot be written to is still read.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TypeVar

from app.conversations import values
from app.conversations.conversation import (
    USER,
    Attachment,
    Conversation,
    Head,
    Message,
    ToolCall,
    new_id,
    searched_text,
)
from app.conversations.rows import (
    CONVERSATION_COLUMNS,
    DELETED_CONDITION,
    LATER_MESSAGE_COLUMNS,
    LATEST_CONVERSATION_COLUMNS,
    MESSAGE_COLUMNS,
    Row,
    columns_of,
    conversation_of,
    head_of,
    message_of,
    readable_conversations,
)
from app.conversations.search import SNIPPET_LENGTH, Hit, condition, fold, hit
from app.widgets.language import tr
from engine.system.files import make_private, make_private_folder

FILE = "conversations.sqlite"
PATIENCE_S = 3.0  # for another process that holds the file
MAX_HITS = 200

# A step for each version of the schema; a step that has been released never changes.
MIGRATIONS = (
    """
    CREATE TABLE conversations (
        id TEXT PRIMARY KEY, title TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
        pinned INTEGER NOT NULL DEFAULT 0, leaf TEXT, draft TEXT NOT NULL DEFAULT '',
        parameters TEXT NOT NULL DEFAULT '{}', deleted REAL);
    CREATE TABLE messages (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, conversation TEXT NOT NULL, parent TEXT,
        role TEXT NOT NULL, text TEXT NOT NULL, created REAL NOT NULL, finish TEXT NOT NULL DEFAULT '',
        error TEXT NOT NULL DEFAULT '', receipt TEXT NOT NULL DEFAULT '{}');
    CREATE INDEX messages_of_conversation ON messages (conversation);
    """,
    # Any three letters in a row are found, so that every language can be searched, also those without spaces.
    """
    CREATE VIRTUAL TABLE search USING fts5 (text, tokenize = 'trigram');
    INSERT INTO search (rowid, text) SELECT number, fold(text) FROM messages;
    """,
    # Edits that were not sent, as JSON by message; the model that is to answer.
    """
    ALTER TABLE conversations ADD COLUMN edits TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE conversations ADD COLUMN model TEXT NOT NULL DEFAULT '';
    """,
    # What models reason before they answer, the tools that they call, and files that come with questions, as JSON.
    """
    ALTER TABLE messages ADD COLUMN reasoning TEXT NOT NULL DEFAULT '';
    ALTER TABLE messages ADD COLUMN reasoning_seconds REAL NOT NULL DEFAULT 0;
    ALTER TABLE messages ADD COLUMN reasoning_tokens INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE messages ADD COLUMN tool_calls TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE messages ADD COLUMN attachments TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE conversations ADD COLUMN attachments TEXT NOT NULL DEFAULT '[]';
    """,
)
UNWRITABLE_CODES = (
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
)
Written = TypeVar("Written")
SEARCHED_BYTES = ", ".join(f"CAST(m.{name} AS BLOB)" for name in ("text", "reasoning", "tool_calls", "attachments"))
SEARCHED_TEXT = f"searched({SEARCHED_BYTES})"  # of bytes: a function is never given text with broken characters
FILES_CONDITION = " OR c.attachments != '[]'"
TABLES = ("conversations", "messages")
BAD_ID_CONDITION = "typeof({0}) != 'text' OR length({0}) NOT BETWEEN 1 AND 200 OR {0} GLOB '*[^ -~]*'"  # ours: 32
ORPHANS = """
    INSERT INTO conversations (id, title, created, updated)
    SELECT conversation, substr(text, 1, 48), min(created), max(created) FROM messages
    WHERE conversation NOT IN (SELECT id FROM conversations) GROUP BY conversation
"""


class StoreError(Exception):
    """Conversations cannot be read or written: why, and what to do."""


class ConversationStore:
    """The conversations in one file; None keeps them in memory.

    rescued: what to tell the user if the file was damaged. Raises StoreError.
    """

    def __init__(self, path: Path | None):
        self._path = path
        self._only_read: StoreError | None = None  # why nothing can be written
        self.rescued = ""
        self._open()

    def close(self) -> None:
        """Harmless when repeated."""
        self._db.close()

    # ------------------------------------------------------------------ reading
    def heads(self) -> list[Head]:
        """All conversations that hold something, the latest first."""
        rows = self._rows(
            "SELECT c.id, c.title, c.created, c.updated, c.pinned, (SELECT substr(CASE m.text WHEN '' THEN"
            " (SELECT q.text FROM messages q WHERE q.id = m.parent) ELSE m.text END, 1, ?) FROM messages m"
            f" WHERE m.id = c.leaf) FROM conversations c WHERE NOT {DELETED_CONDITION}"
            " AND (c.leaf IS NOT NULL OR c.draft != ''"
            f"{FILES_CONDITION if self._columns[0].endswith(LATEST_CONVERSATION_COLUMNS) else ''}"
            " OR EXISTS (SELECT 1 FROM messages m WHERE m.conversation = c.id))",
            (SNIPPET_LENGTH,),
        )
        return sorted(map(head_of, rows), key=lambda head: head.updated, reverse=True)

    def conversation(self, id_: str) -> Conversation:
        """A whole conversation. Raises StoreError if it is not there."""
        conversation = self._find(id_)
        if conversation is None:
            raise StoreError(tr("This chat is not there any more."))
        return conversation

    def search(self, query: str) -> list[Hit]:
        """Conversations with all of the query's words in the title or in one message, the latest first."""
        words = fold(query).split()
        if not words:
            return []
        hits: dict[str, Hit] = {}
        heads = {head.id: head for head in self.heads()}
        for head in heads.values():
            if all(word in fold(head.title) for word in words):
                hits[head.id] = hit(head, None, head.title, words)
        for id_, message, text in self._messages_with(words):
            if id_ in heads and id_ not in hits:
                hits[id_] = hit(heads[id_], message, text, words)
        return sorted(hits.values(), key=lambda found: found.head.updated, reverse=True)

    def _find(self, id_: str) -> Conversation | None:
        rows = self._rows(f"SELECT {self._columns[0]} FROM conversations WHERE id = ?", (id_,))
        if not rows:
            return None
        conversation = conversation_of(rows[0])
        rows = self._rows(f"SELECT {self._columns[1]} FROM messages WHERE conversation = ? ORDER BY number", (id_,))
        messages = filter(None, map(message_of, rows))
        conversation.messages = {message.id: message for message in messages}
        conversation.heal()
        return conversation

    def _messages_with(self, words: list[str]) -> list[tuple[str, str, str]]:
        wanted, sought = condition(words)
        rows = self._rows(
            f"SELECT m.conversation, m.id, {self._searched} FROM search s JOIN messages m ON m.number = s.rowid"
            f" WHERE {wanted} ORDER BY m.number DESC LIMIT ?",
            (*sought, MAX_HITS),
        )
        return [(values.text(id_), values.text(message), values.text(text)) for id_, message, text in rows]

    # ------------------------------------------------------------------ writing
    def save(self, conversation: Conversation, messages: Iterable[Message] = ()) -> None:
        """Write a conversation's own fields, and these messages of it. Raises StoreError; then nothing was written."""
        changed = list(messages)
        self._write(lambda db: _save(db, conversation, changed))

    def add(self, conversations: Iterable[Conversation]) -> list[Conversation]:
        """Conversations that come from elsewhere, all of them or none: what is here already is not made twice, is
        brought back if it was deleted, and is never changed. Returns them as they are here. Raises StoreError."""
        arrived = list(conversations)
        return self._write(lambda db: [self._added(db, conversation) for conversation in arrived])

    def delete(self, *ids: str) -> None:
        """Hide conversations: `restore` brings each back, until `purge`."""
        rows = [(time.time(), id_) for id_ in ids]
        self._write(lambda db: db.executemany("UPDATE conversations SET deleted = ? WHERE id = ?", rows))

    def restore(self, id_: str) -> None:
        """Show a deleted conversation again."""
        self._write(lambda db: _restore(db, id_))

    def purge(self) -> None:
        """Remove for good what was deleted."""
        self._write(_purge)

    def _added(self, db: sqlite3.Connection, conversation: Conversation) -> Conversation:
        for candidate in _candidates(conversation):
            present = self._find(candidate.id)
            if present is not None and present.holds(candidate):
                _restore(db, present.id)
                return present
            if present is None and not self._are_taken(candidate.messages):
                _save(db, candidate, candidate.messages.values())
                return candidate
        raise AssertionError("there is no end of candidates")

    def _are_taken(self, ids: Iterable[str]) -> bool:
        return any(self._rows("SELECT 1 FROM messages WHERE id = ?", (id_,)) for id_ in ids)

    # ------------------------------------------------------------------ opening
    def _open(self) -> None:
        try:
            if self._path is not None:
                make_private_folder(self._path.parent)
                make_private(self._path)
            self._connect()
        except (OSError, sqlite3.OperationalError) as error:
            if isinstance(error, sqlite3.Error) and _code(error) not in UNWRITABLE_CODES:
                raise self._explained(error) from error
            self._open_to_read(self._explained(error))
        except (sqlite3.DatabaseError, UnicodeDecodeError):  # no database at all, or one with holes in it
            self._rescue()
        else:
            self._only_read = None

    def _connect(self) -> None:
        self._db = sqlite3.connect(self._path or ":memory:", timeout=PATIENCE_S, isolation_level=None)
        try:
            _set_up(self._db)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # what was handed over survives a power cut
            _check(self._db, "quick_check(1)")
            self._migrate()
            _check_tables(self._db)
            _mend(self._db)
            self._columns = columns_of(self._db)
        except BaseException:
            self._db.close()
            raise

    @property
    def _searched(self) -> str:
        """The SQL for what is searched of a message, as far as the file has it."""
        return SEARCHED_TEXT if self._columns[1].endswith(LATER_MESSAGE_COLUMNS) else "m.text"

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StoreError(
                tr(
                    "{0} was written by a newer Flashbulb (version {1}, this one knows {2}). "
                    "Update Flashbulb to see your chats."
                ).format(self._path, version, len(MIGRATIONS))
            )
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            self._db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")

    def _open_to_read(self, reason: StoreError) -> None:
        """The database, for reading where nothing can be written, unless a part of it stands in the log."""
        log = self._path and self._path.with_name(f"{self._path.name}-wal")
        try:
            if self._path is None or not self._path.is_file() or (log and log.exists() and log.stat().st_size):
                raise reason
            self._db = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
            _set_up(self._db)
            self._db.execute(f"SELECT {CONVERSATION_COLUMNS} FROM conversations LIMIT 1").fetchall()
            self._columns = columns_of(self._db)
        except (OSError, sqlite3.Error) as error:
            raise reason from error
        self._only_read = reason

    def _rescue(self) -> None:
        """Put the damaged file aside, and start a new one with everything that can still be read of it."""
        assert self._path is not None
        kept = readable_conversations(self._path)
        fresh = self._path.with_name(f"rescued-{new_id()}.sqlite")
        try:
            _write_anew(fresh, kept)
            aside = self._put_aside()
            fresh.rename(self._path)
        except OSError as error:
            raise self._explained(error) from error
        finally:
            for file in _files_of(fresh):
                with suppress(OSError):
                    file.unlink(missing_ok=True)
        self._connect()
        self.rescued = tr(
            "The file of your chats was damaged. %Ln of them could be read and are here; the damaged file is "
            "kept as {0}.",
            None,
            len(kept),
        ).format(aside)

    def _put_aside(self) -> Path:
        assert self._path is not None
        aside = self._path.with_name(f"damaged-{time.strftime('%Y-%m-%d-%H%M%S')}-{self._path.name}")
        for file, other in zip(_files_of(self._path), _files_of(aside), strict=True):
            if file.exists():  # what the log holds belongs to the damaged file
                file.rename(other)
        return aside

    # ------------------------------------------------------------------ SQLite
    def _rows(self, statement: str, sought: Row = ()) -> list[Row]:
        try:
            try:
                return self._db.execute(statement, sought).fetchall()
            except sqlite3.DatabaseError as error:
                self._repair(error)
                return self._db.execute(statement, sought).fetchall()
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _repair(self, error: sqlite3.DatabaseError) -> None:
        """After a damage that was not seen when the file was opened. Raises what it cannot repair."""
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CORRUPT_VTAB:
            self._write(_make_index)
        elif _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) and self._path is not None:
            self._db.close()
            self._rescue()
        else:
            raise error

    def _write(self, change: Callable[[sqlite3.Connection], Written]) -> Written:
        """All of a change, or nothing of it. The index is made again where it is in the way."""
        if self._only_read:
            self._db.close()
            self._open()
        if self._only_read:
            raise self._only_read
        try:
            try:
                return _in_transaction(self._db, change)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                _in_transaction(self._db, _make_index)
                return _in_transaction(self._db, change)
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: sqlite3.Error | OSError) -> StoreError:
        """An error in words that quote nothing of any conversation."""
        path = self._path
        if isinstance(error, OSError):
            return StoreError(tr("{0} cannot be written to ({1}).").format(path, error.strerror))
        code = _code(error)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreError(tr("Another program holds {0}, the file of your chats. Close it.").format(path))
        if code == sqlite3.SQLITE_FULL:
            return StoreError(tr("The disk of {0} is full, so chats cannot be saved. Make room.").format(path))
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        if code in UNWRITABLE_CODES:
            text = tr("{0}, the file of your chats, cannot be written to ({1}).")
            return StoreError(text.format(path, name))
        return StoreError(tr("{0}, the file of your chats, fails ({1}).").format(path, name))


# ---------------------------------------------------------------------------- a connection
def _code(error: sqlite3.Error) -> int:
    """SQLite's code of an error, without its details."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def _in_transaction(db: sqlite3.Connection, change: Callable[[sqlite3.Connection], Written]) -> Written:
    db.execute("BEGIN IMMEDIATE")
    try:
        result = change(db)
        db.execute("COMMIT")
        return result
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _set_up(db: sqlite3.Connection) -> None:
    db.text_factory = values.text  # of bytes, also of those that are no characters
    db.create_function("fold", 1, fold, deterministic=True)
    db.create_function("searched", 4, _searched_text, deterministic=True)


def _save(db: sqlite3.Connection, conversation: Conversation, messages: Iterable[Message]) -> None:
    db.execute(
        f"INSERT INTO conversations ({CONVERSATION_COLUMNS}{LATEST_CONVERSATION_COLUMNS})"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET title = excluded.title,"
        " updated = excluded.updated, pinned = excluded.pinned, leaf = excluded.leaf, draft = excluded.draft,"
        " parameters = excluded.parameters, edits = excluded.edits, model = excluded.model,"
        " attachments = excluded.attachments",
        (
            conversation.id,
            values.text(conversation.title),
            conversation.created,
            conversation.updated,
            conversation.pinned,
            conversation.leaf,
            values.text(conversation.draft),
            json.dumps(conversation.parameters),
            json.dumps(conversation.edits),
            values.text(conversation.model),
            _json_of(conversation.attachments),
        ),
    )
    for message in messages:
        _save_message(db, conversation.id, message)


def _save_message(db: sqlite3.Connection, conversation: str, message: Message) -> None:
    text, reasoning = values.text(message.text), values.text(message.reasoning)
    row = (message.id, message.parent, message.role, text, message.created, message.finish, values.text(message.error))
    later = (reasoning, message.reasoning_seconds, message.reasoning_tokens, _json_of(message.tool_calls))
    saved = db.execute(
        f"INSERT INTO messages (conversation, {MESSAGE_COLUMNS}{LATER_MESSAGE_COLUMNS})"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET text = excluded.text,"
        " finish = excluded.finish, error = excluded.error, receipt = excluded.receipt,"
        " reasoning = excluded.reasoning, reasoning_seconds = excluded.reasoning_seconds,"
        " reasoning_tokens = excluded.reasoning_tokens, tool_calls = excluded.tool_calls"
        " WHERE conversation = excluded.conversation RETURNING number",
        (conversation, *row, json.dumps(message.receipt), *later, _json_of(message.attachments)),
    ).fetchall()
    if not saved:
        raise StoreError(tr("A message of one chat stands in another one, and is left there."))
    if message.finish or message.error or message.role == USER:  # not what is still being written
        db.execute("DELETE FROM search WHERE rowid = ?", saved[0])
        searched = fold(values.text(message.searched_text))
        db.execute("INSERT INTO search (rowid, text) VALUES (?, ?)", (*saved[0], searched))


def _json_of(entries: Iterable[ToolCall | Attachment]) -> str:
    return json.dumps([asdict(entry) for entry in entries])


def _searched_text(text: object, reasoning: object, tool_calls: object, attachments: object) -> str:
    """Everything that is searched of a message, by its columns."""
    calls, files = values.tool_calls(values.parsed(tool_calls)), values.attachments(values.parsed(attachments))
    return searched_text(values.text(text), values.text(reasoning), calls, files)


def _make_index(db: sqlite3.Connection) -> None:
    db.execute("DROP TABLE search")
    db.execute("CREATE VIRTUAL TABLE search USING fts5 (text, tokenize = 'trigram')")
    db.execute(f"INSERT INTO search (rowid, text) SELECT number, fold({SEARCHED_TEXT}) FROM messages m")


def _purge(db: sqlite3.Connection) -> None:
    of_deleted = f"conversation IN (SELECT id FROM conversations WHERE {DELETED_CONDITION})"
    db.execute(f"DELETE FROM search WHERE rowid IN (SELECT number FROM messages WHERE {of_deleted})")
    db.execute(f"DELETE FROM messages WHERE {of_deleted}")
    db.execute(f"DELETE FROM conversations WHERE {DELETED_CONDITION}")


def _restore(db: sqlite3.Connection, id_: str) -> None:
    db.execute("UPDATE conversations SET deleted = NULL WHERE id = ?", (id_,))


def _candidates(conversation: Conversation) -> Iterator[Conversation]:
    """A conversation with its own ids, and with others that follow from what it holds."""
    yield conversation
    content = json.dumps(asdict(conversation), sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    for number in count():
        yield conversation.with_ids_of(f"{digest} {number}")


# ---------------------------------------------------------------------------- checks and mending
def _check(db: sqlite3.Connection, pragma: str) -> None:
    """Raises sqlite3.DatabaseError for what is damaged."""
    if db.execute(f"PRAGMA {pragma}").fetchone() != ("ok",):
        raise sqlite3.DatabaseError(f"{pragma} failed")


def _check_tables(db: sqlite3.Connection) -> None:
    """That they have our columns, and that their indexes name all rows, or do once they are made again."""
    try:
        db.execute(f"SELECT deleted, {CONVERSATION_COLUMNS}{LATEST_CONVERSATION_COLUMNS} FROM conversations LIMIT 0")
        db.execute(f"SELECT number, conversation, {MESSAGE_COLUMNS}{LATER_MESSAGE_COLUMNS} FROM messages LIMIT 0")
    except sqlite3.OperationalError as error:
        raise sqlite3.DatabaseError("other columns than ours") from error
    for table in TABLES:
        try:
            _check(db, f"integrity_check({table})")
        except sqlite3.DatabaseError:
            db.execute("REINDEX")
            _check(db, f"integrity_check({table})")


def _mend(db: sqlite3.Connection) -> None:
    """Give rows an id that have none, and messages a conversation. What cannot be mended is passed over."""
    with suppress(sqlite3.Error):
        _in_transaction(db, _mend_rows)


def _mend_rows(db: sqlite3.Connection) -> None:
    for (number,) in db.execute(f"SELECT rowid FROM conversations WHERE {BAD_ID_CONDITION.format('id')}").fetchall():
        _rename_conversation(db, number, new_id())
    for (number,) in db.execute(f"SELECT number FROM messages WHERE {BAD_ID_CONDITION.format('id')}").fetchall():
        _rename_message(db, number, new_id())
    db.execute(f"UPDATE messages SET conversation = ? WHERE {BAD_ID_CONDITION.format('conversation')}", (new_id(),))
    db.execute(ORPHANS)


def _rename_conversation(db: sqlite3.Connection, number: int, id_: str) -> None:
    old = "(SELECT id FROM conversations WHERE rowid = ?)"
    db.execute(f"UPDATE messages SET conversation = ? WHERE conversation = {old}", (id_, number))
    db.execute("UPDATE conversations SET id = ? WHERE rowid = ?", (id_, number))


def _rename_message(db: sqlite3.Connection, number: int, id_: str) -> None:
    old = "(SELECT id FROM messages WHERE number = ?)"
    db.execute(f"UPDATE messages SET parent = ? WHERE parent = {old}", (id_, number))
    db.execute(f"UPDATE conversations SET leaf = ? WHERE leaf = {old}", (id_, number))
    db.execute("UPDATE messages SET id = ? WHERE number = ?", (id_, number))


def _write_anew(path: Path, conversations: list[Conversation]) -> None:
    store = ConversationStore(path)
    try:
        store.add(conversations)
    finally:
        store.close()


def _files_of(path: Path) -> list[Path]:
    """The file of a database, and those that SQLite keeps beside it."""
    return [path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))]
