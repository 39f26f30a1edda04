"""Conversations in SQLite: written as they happen, found by any piece of their text. No widgets; one thread uses a
store.

Every write is one transaction in WAL mode, so a crash or a power cut loses at most what was not yet handed over. A row
that cannot be read is passed over; a file that is damaged as a whole is put aside, and what can be read of it is kept.
"""

import json
import sqlite3
import time
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.conversations.conversation import Conversation, Head, Message
from app.widgets.language import tr

FILE = "conversations.sqlite"
PATIENCE_S = 3.0  # for another process that holds the file
SNIPPET = 120  # characters
MOST_HITS = 200
BEFORE_HIT = 24  # characters shown before what was found

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
)


class StoreError(Exception):
    """Conversations cannot be read or written: why, and what to do."""


@dataclass(frozen=True)
class Hit:
    """A conversation that was found, with the text around what was found in it (in its title, if `message` is None)."""

    head: Head
    message: str | None
    before: str
    found: str
    after: str


class ConversationStore:
    """The conversations in one file; None keeps them in memory.

    rescued: what to tell the user if the file was damaged. Raises StoreError.
    """

    def __init__(self, path: Path | None):
        self._path = path
        self.rescued = ""
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            raise StoreError(tr("{0} cannot be written to ({1}).").format(path.parent, error.strerror)) from error

    def close(self) -> None:
        """Harmless when repeated."""
        self._db.close()

    # ------------------------------------------------------------------ reading
    def heads(self) -> list[Head]:
        """All conversations, the latest first."""
        rows = self._rows(
            "SELECT c.id, c.title, c.created, c.updated, c.pinned, (SELECT substr(m.text, 1, ?) FROM messages m"
            " WHERE m.id = c.leaf) FROM conversations c WHERE c.deleted IS NULL"
            " AND (c.leaf IS NOT NULL OR c.draft != '') ORDER BY c.updated DESC",
            (SNIPPET,),
        )
        return [head for row in rows if (head := _head(row))]

    def conversation(self, id_: str) -> Conversation:
        """A whole conversation. Raises StoreError if it is not there."""
        rows = self._rows(
            "SELECT id, title, created, updated, pinned, leaf, draft, parameters FROM conversations WHERE id = ?",
            (id_,),
        )
        if not rows:
            raise StoreError(tr("This conversation is not there any more."))
        _, title, created, updated, pinned, leaf, draft, parameters = rows[0]
        conversation = Conversation(
            id_, _text(title), _number(created), _number(updated), bool(pinned), leaf, _text(draft), _object(parameters)
        )
        rows = self._rows(
            "SELECT id, parent, role, text, created, finish, error, receipt FROM messages WHERE conversation = ?"
            " ORDER BY number",
            (id_,),
        )
        conversation.messages = {m.id: m for row in rows if (m := message_from(row))}
        conversation.heal()
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
                hits[head.id] = _hit(head, None, head.title, words)
        for id_, message, text in self._messages_with(words):
            if id_ in heads and id_ not in hits:
                hits[id_] = _hit(heads[id_], message, text, words)
        return sorted(hits.values(), key=lambda hit: hit.head.updated, reverse=True)

    def _messages_with(self, words: list[str]) -> list[tuple[str, str, str]]:
        # The index knows three letters and more; shorter words are looked for in what is left.
        clauses = ["s.text LIKE ? ESCAPE '\\'" if len(w) < 3 else "search MATCH ?" for w in words]
        quoted = [f'"{w.replace(chr(34), chr(34) * 2)}"' for w in words if len(w) >= 3]
        values = [f"%{_escaped(w)}%" for w in words if len(w) < 3]
        clauses = [c for c in clauses if c.startswith("s.")]
        if quoted:
            clauses.insert(0, "search MATCH ?")
            values.insert(0, " ".join(quoted))
        return self._rows(
            "SELECT m.conversation, m.id, m.text FROM search s JOIN messages m ON m.number = s.rowid WHERE "
            + " AND ".join(clauses)
            + " ORDER BY m.number DESC LIMIT ?",
            (*values, MOST_HITS),
        )

    # ------------------------------------------------------------------ writing
    def save(self, conversation: Conversation, messages: Iterable[Message] = ()) -> None:
        """Write a conversation's own fields, and these messages of it. Raises StoreError; then nothing was written."""
        with self._writing() as db:
            db.execute(
                "INSERT INTO conversations (id, title, created, updated, pinned, leaf, draft, parameters)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET title = excluded.title,"
                " updated = excluded.updated, pinned = excluded.pinned, leaf = excluded.leaf, draft = excluded.draft,"
                " parameters = excluded.parameters",
                (
                    conversation.id,
                    _storable(conversation.title),
                    conversation.created,
                    conversation.updated,
                    conversation.pinned,
                    conversation.leaf,
                    _storable(conversation.draft),
                    json.dumps(conversation.parameters),
                ),
            )
            for message in messages:
                self._save_message(db, conversation.id, message)

    def _save_message(self, db: sqlite3.Connection, conversation: str, message: Message) -> None:
        text = _storable(message.text)
        row = (message.id, conversation, message.parent, message.role, text, message.created, message.finish)
        ((number,),) = db.execute(
            "INSERT INTO messages (id, conversation, parent, role, text, created, finish, error, receipt)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET text = excluded.text,"
            " finish = excluded.finish, error = excluded.error, receipt = excluded.receipt RETURNING number",
            (*row, _storable(message.error), json.dumps(message.receipt)),
        ).fetchall()
        if message.finish or message.error or message.role == "user":  # not what is still being written
            db.execute("DELETE FROM search WHERE rowid = ?", (number,))
            db.execute("INSERT INTO search (rowid, text) VALUES (?, ?)", (number, fold(text)))

    def delete(self, id_: str) -> None:
        """Hide a conversation: `restore` brings it back, until `purge`."""
        with self._writing() as db:
            db.execute("UPDATE conversations SET deleted = ? WHERE id = ?", (time.time(), id_))

    def restore(self, id_: str) -> None:
        with self._writing() as db:
            db.execute("UPDATE conversations SET deleted = NULL WHERE id = ?", (id_,))

    def purge(self) -> None:
        """Remove for good what was deleted."""
        with self._writing() as db:
            of_deleted = "conversation IN (SELECT id FROM conversations WHERE deleted IS NOT NULL)"
            db.execute(f"DELETE FROM search WHERE rowid IN (SELECT number FROM messages WHERE {of_deleted})")
            db.execute(f"DELETE FROM messages WHERE {of_deleted}")
            db.execute("DELETE FROM conversations WHERE deleted IS NOT NULL")

    # ------------------------------------------------------------------ opening
    def _open(self) -> None:
        try:
            self._connect()
        except sqlite3.OperationalError as error:
            raise self._explained(error) from error
        except sqlite3.DatabaseError:  # no database at all, or one with holes in it
            self._rescue()

    def _connect(self) -> None:
        self._db = sqlite3.connect(self._path or ":memory:", timeout=PATIENCE_S, isolation_level=None)
        try:
            self._db.create_function("fold", 1, fold, deterministic=True)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # what was handed over survives a power cut
            if self._db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("quick_check failed")
            self._migrate()
        except BaseException:
            self._db.close()
            raise

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StoreError(
                tr(
                    "{0} was written by a newer Flashbulb (version {1}, this one knows {2}). "
                    "Update Flashbulb to see your conversations."
                ).format(self._path, version, len(MIGRATIONS))
            )
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            self._db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")

    def _rescue(self) -> None:
        """Put the damaged file aside, and start a new one with everything that can still be read of it."""
        aside = self._path.with_name(f"damaged-{time.strftime('%Y-%m-%d-%H%M%S')}-{self._path.name}")
        for suffix in ("-wal", "-shm"):  # what the log holds belongs to the damaged file
            extra = self._path.with_name(self._path.name + suffix)
            if extra.exists():
                extra.rename(aside.with_name(aside.name + suffix))
        self._path.rename(aside)
        self._connect()
        count = 0
        for conversation in _readable_conversations(aside):
            self.save(conversation, conversation.messages.values())
            count += 1
        self.rescued = tr(
            "The file of your conversations was damaged. %n of them could be read and are here; the damaged file is "
            "kept as {0}.",
            None,
            count,
        ).format(aside)

    # ------------------------------------------------------------------ SQLite
    def _rows(self, statement: str, values: tuple = ()) -> list[tuple]:
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._explained(error) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: sqlite3.Error) -> StoreError:
        reason, path = str(error), self._path
        if "locked" in reason or "busy" in reason:
            return StoreError(tr("Another program holds {0}, the file of your conversations. Close it.").format(path))
        if "full" in reason:
            return StoreError(tr("The disk of {0} is full, so conversations cannot be saved. Make room.").format(path))
        if "readonly" in reason or "unable to open" in reason:
            text = tr("{0}, the file of your conversations, cannot be written to ({1}).")
            return StoreError(text.format(path, reason))
        return StoreError(tr("{0}, the file of your conversations, fails ({1}).").format(path, reason))


def fold(text: str) -> str:
    """Text as it is searched: without case and accents."""
    return "".join(map(_folded, text))


def _folded(character: str) -> str:
    if character.isascii():
        return character.lower()
    parts = unicodedata.normalize("NFKD", character).casefold()
    return "".join(part for part in parts if not unicodedata.combining(part))


def _hit(head: Head, message: str | None, text: str, words: list[str]) -> Hit:
    """What is around the first of the words that stands in the text."""
    text = " ".join(text.split())
    lengths = [len(_folded(character)) for character in text]
    folded = fold(text)
    at, word = min(((folded.find(w), w) for w in words if w in folded), default=(0, ""))
    start = _position(lengths, at)
    end = _position(lengths, at + len(word))
    first = max(0, start - BEFORE_HIT)
    before = ("…" if first else "") + text[first:start]
    return Hit(head, message, before, text[start:end], text[end : end + SNIPPET])


def _position(lengths: list[int], folded_position: int) -> int:
    """Which character stands at a position of the folded text."""
    passed = 0
    for index, length in enumerate(lengths):
        if passed >= folded_position:
            return index
        passed += length
    return len(lengths)


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


# ---------------------------------------------------------------------------- rows that may be damaged
def _head(row: tuple) -> Head | None:
    id_, title, created, updated, pinned, snippet = row
    if not isinstance(id_, str):
        return None
    words = " ".join(_text(snippet).split())
    return Head(id_, _text(title), _number(created), _number(updated), bool(pinned), words)


def message_from(row: tuple) -> Message | None:
    id_, parent, role, text, created, finish, error, receipt = row
    if not isinstance(id_, str) or role not in ("user", "assistant"):
        return None
    return Message(role, _text(text), parent, id_, _number(created), _text(finish), _text(error), _object(receipt))


def _text(value) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""


def _number(value) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _object(value) -> dict:
    try:
        content = json.loads(value)
    except (TypeError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _storable(text: str) -> str:
    """Half a surrogate pair, as a keyboard may leave behind, is no character."""
    return text.encode(errors="replace").decode()


def _readable_conversations(path: Path) -> list[Conversation]:
    """Whatever can still be read of a damaged file."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.text_factory = bytes  # text with broken characters must not end the reading
            heads = _readable_rows(
                db, "conversations", "id, title, created, updated, pinned, leaf, draft, parameters, deleted"
            )
            rows = _readable_rows(
                db, "messages", "id, conversation, parent, role, text, created, finish, error, receipt"
            )
    except sqlite3.Error:
        return []
    found: dict[str, Conversation] = {}
    for row in heads:
        id_, title, created, updated, pinned, leaf, draft, parameters, deleted = row
        if id_ and deleted is None:
            times = (_number(created), _number(updated))
            kept = Conversation(_text(id_), _text(title), *times, bool(pinned), _text(leaf) or None, _text(draft))
            kept.parameters = _object(parameters)
            found[kept.id] = kept
    for id_, owner, parent, role, text, created, finish, error, receipt in rows:
        message = message_from((_text(id_), _text(parent) or None, _text(role), text, created, finish, error, receipt))
        if message:
            lost = Conversation(_text(owner), "", message.created, message.created)  # its own row could not be read
            conversation = found.setdefault(_text(owner), lost)
            conversation.messages[message.id] = message
            conversation.title = conversation.title or message.text[:SNIPPET]
    for conversation in found.values():
        conversation.heal()
    return list(found.values())


def _readable_rows(db: sqlite3.Connection, table: str, columns: str) -> list[tuple]:
    """Rows from the first on until one cannot be read, then from the last back."""
    rows: dict[tuple, None] = {}
    for order in ("ASC", "DESC"):
        try:
            for row in db.execute(f"SELECT {columns} FROM {table} ORDER BY rowid {order}"):
                rows[row] = None
        except sqlite3.Error:
            continue
    return list(rows)
