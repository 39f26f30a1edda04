"""A database in which anything may stand, or which is damaged: what makes sense is shown."""

import os
import random
import sqlite3
import stat
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.conversations.exchange import from_json, to_json
from app.conversations.store import FILE, ConversationStore, StoreError
from app.conversations.values import MAX_TIME_S
from tests.helpers.talks import save, talk

VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.sampled_from([1.76e12, 1e300, -1e300, float("inf")]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.binary(max_size=8),
    st.sampled_from(['{"a": NaN, "b": 1e999, "c": {"d": [1]}}', "[" * 5000, "{", "[1]", '{"tokens": 4294967296}']),
)
CONVERSATION_COLUMNS = ("id", "title", "created", "updated", "pinned", "leaf", "draft", "parameters", "edits", "model")
MESSAGE_COLUMNS = ("id", "conversation", "parent", "role", "text", "created", "finish", "error", "receipt")
SCHEMA_BYTES = 4096  # the first page
BROKEN = b"sch\xffn"  # no UTF-8


@pytest.fixture
def path(tmp_path):
    return tmp_path / FILE


def loosened(path) -> sqlite3.Connection:
    """The file of two chats, with nothing that keeps nonsense out of it."""
    store = ConversationStore(path)
    for texts in (("One", "Two"), ("Three", "Four")):
        save(store, talk(*texts))
    store.close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = DELETE")
    db.execute("PRAGMA writable_schema = ON")
    db.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE name LIKE '%s'")
    db.execute("PRAGMA writable_schema = RESET")
    return db


@given(data=st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_row_holds_the_others_are_shown_and_it_too(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("data") / FILE
    with closing(loosened(path)) as db:
        for table, columns in (("conversations", CONVERSATION_COLUMNS), ("messages", MESSAGE_COLUMNS)):
            changes = data.draw(st.dictionaries(st.sampled_from(columns), VALUES, max_size=4))
            for column, value in changes.items():
                db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = 1", (value,))
    store = ConversationStore(path)
    try:
        read = [store.conversation(head.id) for head in store.heads()]
        texts = [[m.text for m in conversation.path()] for conversation in read]
        assert ["Three", "Four"] in texts
        assert sum(map(len, texts)) >= 3  # of the other chat only the message that was changed may be gone
        assert all(0 <= head.updated <= MAX_TIME_S for head in store.heads())
        assert store.search("Four")
        for conversation in read:
            store.save(conversation, conversation.messages.values())
        assert [store.conversation(c.id) for c in read] == read
        assert from_json(to_json(read))
    finally:
        store.close()


@pytest.mark.parametrize("seed", range(24))
def test_a_file_with_bytes_that_are_others_opens(path, seed):
    chance = random.Random(seed)
    store = ConversationStore(path)
    for number in range(12):
        save(store, talk(f"Question {number}", f"schön {number} " * 60))
    store.close()
    content = bytearray(path.read_bytes())
    first = chance.choice([0, SCHEMA_BYTES])
    for _ in range(chance.choice([1, 3, 10, 100])):
        content[chance.randrange(first, len(content))] = chance.randrange(256)
    path.write_bytes(content)
    store = ConversationStore(path)
    try:
        read = [store.conversation(head.id) for head in store.heads()]
        assert read or (store.rescued and not first)  # without the schema nothing can be read, and that is told
        store.search("schön")
        save(store, talk("Afterwards", "Yes"))
        assert "Afterwards" in [head.title for head in store.heads()]
    finally:
        store.close()


def test_one_byte_that_is_no_character_hides_nothing(path):
    store = ConversationStore(path)
    conversations = [save(store, talk(f"schön {number}", "Yes")) for number in range(2)]
    store.close()
    content = path.read_bytes()
    path.write_bytes(content.replace("schön 1".encode(), b"sch\xffn  1"))
    store = ConversationStore(path)
    titles = {head.title for head in store.heads()}
    assert titles == {"schön 0", "sch\ufffdn  1"}
    assert store.rescued == ""
    assert store.conversation(conversations[1].id).path()[0].text == "sch\ufffdn  1"
    store.close()


def test_rows_without_an_id_get_one_and_messages_without_a_chat_too(path):
    with closing(loosened(path)) as db:
        db.execute("UPDATE conversations SET id = ? WHERE rowid = 1", (BROKEN,))
        db.execute("DELETE FROM conversations WHERE rowid = 2")
    store = ConversationStore(path)
    shown = [[m.text for m in store.conversation(head.id).path()] for head in store.heads()]
    assert sorted(filter(None, shown)) == [["One", "Two"], ["Three", "Four"]]
    store.close()


def test_a_damaged_index_is_made_again(path):
    store = ConversationStore(path)
    saved = save(store, talk("Question", "needle"))
    store._db.execute("UPDATE search_data SET block = x'ffff' WHERE id > 1")
    store.close()
    store = ConversationStore(path)
    save(store, talk("Another", "needle"))
    assert len(store.search("needle")) == 2
    assert store.conversation(saved.id) == saved
    store.close()


# ---------------------------------------------------------------------------- import
def test_import_never_changes_the_messages_of_another_chat(path):
    store = ConversationStore(path)
    mine = save(store, talk("My own text", "Yes"))
    other = from_json(to_json([mine]))[0]
    other.id = "other"
    for message in other.messages.values():
        message.text = "OVERWRITTEN"
    for _ in range(2):
        (added,) = store.add([other])
        assert [m.text for m in store.conversation(added.id).path()] == ["OVERWRITTEN"] * 2
        assert store.conversation(mine.id) == mine
    assert len(store.heads()) == 2
    store.close()


def test_a_chat_that_went_on_here_is_not_made_twice_and_one_that_went_on_there_is_kept_beside(path):
    store = ConversationStore(path)
    mine = save(store, talk("Hi", "Hello"))
    before = from_json(to_json([mine]))
    mine.ask("More?", mine.leaf)
    save(store, mine)
    assert store.add(before) == [store.conversation(mine.id)]
    before[0].path()[-1].text = "Hello from elsewhere"
    (beside,) = store.add(before)
    assert beside.id != mine.id
    assert store.add(before) == [beside]
    assert len(store.heads()) == 2
    store.close()


def test_an_import_is_whole_or_not_there(path, monkeypatch):
    store = ConversationStore(path)
    first, second = talk("One", "Two"), talk("Three", "Four")
    second.parameters = {"seed": object()}
    with pytest.raises(TypeError):
        store.add([first, second])
    assert store.heads() == []
    store.close()


# ---------------------------------------------------------------------------- who may read, and what cannot be written
def test_chats_are_for_their_user_only(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    (folder / FILE).touch(mode=0o644)
    store = ConversationStore(folder / FILE)
    save(store, talk("Hi", "Hello"))
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in os.scandir(folder)}
    assert set(modes.values()) == {0o600}, modes
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    store.close()


def test_what_cannot_be_written_can_still_be_read(path, monkeypatch):
    store = ConversationStore(path)
    saved = save(store, talk("Hi", "Hello"))
    store.close()

    def refused(_path):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("app.conversations.store.make_private", refused)
    store = ConversationStore(path)
    assert store.conversation(saved.id) == saved
    with pytest.raises(StoreError, match="Read-only file system"):
        save(store, talk("More", "Yes"))
    monkeypatch.undo()
    save(store, talk("More", "Yes"))
    assert len(store.heads()) == 2
    store.close()
