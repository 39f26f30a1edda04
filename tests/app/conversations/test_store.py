"""The store: what was handed over is there again, whatever happened to the file meanwhile."""

import multiprocessing
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.conversations import store as history
from app.conversations.conversation import Attachment, Conversation, ToolCall
from app.conversations.search import fold
from app.conversations.store import MIGRATIONS, ConversationStore, StoreError
from tests.helpers.talks import save, talk

FIRST_VERSION = Path(__file__).with_name("history_v1.sql")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "conversations.sqlite"


@pytest.fixture
def open_store(path):
    """`open_store()`: a store of `path`, closed at the end of the test."""
    stores = []

    def make() -> ConversationStore:
        stores.append(ConversationStore(path))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def test_a_conversation_comes_back_as_it_was(open_store):
    saved = talk("Hi 👩‍🚀 שלום 你好\x00", "Hello\nthere", "More?", "Yes.")
    saved.pinned, saved.draft, saved.parameters = True, "half a thou", {"temperature": 0.2, "seed": None}
    saved.messages[saved.leaf].receipt = {"hit_rate": 0.5}
    store = open_store()
    save(store, saved)
    store.close()
    assert open_store().conversation(saved.id) == saved


def thoughtful() -> Conversation:
    """A conversation with all that an answer and a question may have beside their words."""
    conversation = talk("Read this", "It says hello.")
    question, answer = conversation.path()
    question.attachments = (Attachment("notes.txt", "a quixotic note"),)
    answer.reasoning, answer.reasoning_seconds, answer.reasoning_tokens = "The user wants a zeppelin.", 12.5, 7
    answer.tool_calls = (ToolCall("fetch_weather", '{"city": "Reykjavík"}'), ToolCall("", "half a call"))
    conversation.attachments = (Attachment("next.md", "# Not sent yet"),)
    return conversation


def test_reasoning_tool_calls_and_files_come_back(open_store):
    store = open_store()
    saved = save(store, thoughtful())
    assert store.conversation(saved.id) == saved
    saved.messages[saved.leaf].reasoning += " More of it."
    store.save(saved, [saved.messages[saved.leaf]])
    assert store.conversation(saved.id) == saved


@pytest.mark.parametrize("words", ["zeppelin", "fetch_weather", "reykjavik", "half", "quixotic", "notes.txt"])
def test_they_are_found(open_store, words):
    store = open_store()
    saved = save(store, thoughtful())
    (hit,) = store.search(words)
    assert (hit.head.id, fold(hit.found)) == (saved.id, words.split()[0])


def test_they_are_found_once_a_damaged_index_is_made_again(open_store, path):
    store = open_store()
    saved = save(store, thoughtful())
    store.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE search_data SET block = x'ffff' WHERE id > 1")
        db.commit()
    store = open_store()
    save(store, talk("Another", "one"))
    for words in ("zeppelin", "fetch_weather", "quixotic"):
        assert [hit.head.id for hit in store.search(words)] == [saved.id]


def test_the_latest_comes_first_with_the_end_of_what_is_shown(open_store):
    store = open_store()
    old, new = talk("Old question", "```python\nanswer()\n```"), talk("New question", "**New**\n\nanswer")
    old.updated, new.updated = 1.0, 2.0
    for conversation in (new, old):
        save(store, conversation)
    assert [(head.title, head.snippet) for head in store.heads()] == [
        ("New question", "New answer"),
        ("Old question", "answer()"),
    ]


def test_of_an_answer_without_words_its_question_is_shown(open_store):
    store = open_store()
    save(store, talk("Question", "", title="Title"))
    assert store.heads()[0].snippet == "Question"


def test_saving_again_changes_what_changed(open_store):
    store = open_store()
    saved = save(store, talk("Hi", "Hel"))
    answer = saved.messages[saved.leaf]
    answer.text, saved.title = "Hello", "Greetings"
    store.save(saved, [answer])
    assert store.conversation(saved.id) == saved
    assert store.heads()[0].title == "Greetings"


def test_an_answer_that_was_being_written_is_known_to_be_interrupted(open_store):
    store = open_store()
    saved = Conversation()
    _, answer = saved.ask("Hi")
    answer.text = "Half an"
    save(store, saved)
    assert [m.finish for m in store.conversation(saved.id).path()] == ["", "interrupted"]


def test_deleting_can_be_undone_until_it_is_purged(open_store):
    store = open_store()
    gone, kept = save(store, talk("Going away", "Yes")), save(store, talk("Staying here", "Yes"))
    store.delete(gone.id)
    assert [head.id for head in store.heads()] == [kept.id]
    assert store.search("going") == []
    store.restore(gone.id)
    assert len(store.heads()) == 2
    store.delete(gone.id)
    store.purge()
    assert store.search("going") == []
    with pytest.raises(StoreError, match="not there"):
        store.conversation(gone.id)
    assert store.conversation(kept.id) == kept


# ---------------------------------------------------------------------------- search
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("brulee", "brûlée"),
        ("CRÈME", "crème"),
        ("crème oven", "crème"),
        ("ven", "ven"),
        ("rm", "rm"),
        ("of 90%", "of"),
        ("窗口", "窗口"),
        ("straße", "STRASSE"),
    ],
)
def test_words_are_found_in_texts(open_store, query, found):
    store = open_store()
    text = "A crème brûlée in a warm oven of 90% STRASSE 滑动窗口 " + "and so on " * 100
    wanted = save(store, talk("Cooking", text))
    save(store, talk("Nothing of it", "Unrelated"))
    (hit,) = store.search(query)
    assert (hit.head.id, hit.message, hit.found) == (wanted.id, wanted.leaf, found)
    assert " ".join(text.split())[:10] in hit.before.lstrip("…") + hit.found + hit.after or hit.before.startswith("…")


@pytest.mark.parametrize("query", ["", "  ", '"', "100%", "a_b", "NEAR(", "xyz", "oven elsewhere"])
def test_what_is_not_there_is_not_found(open_store, query):
    store = open_store()
    save(store, talk("Oven", "Warm 100 axb"))
    assert store.search(query) == []


def test_titles_are_found_and_a_conversation_comes_once(open_store):
    store = open_store()
    save(store, talk("oven", "oven", "oven", "oven", title="Kitchen plans"))
    (hit,) = store.search("kitch")
    assert (hit.message, hit.before, hit.found, hit.after) == (None, "", "Kitch", "en plans")
    assert len(store.search("oven")) == 1


def test_what_is_found_follows_what_is_saved(open_store):
    store = open_store()
    saved = save(store, talk("Question", "first words"))
    answer = saved.messages[saved.leaf]
    answer.text = "second words"
    store.save(saved, [answer])
    assert store.search("first") == []
    assert len(store.search("second")) == 1


def test_folding_makes_no_text_longer_than_we_can_point_into():
    assert fold("ÀB ﬁ ẞ") == "ab fi ss"


# ---------------------------------------------------------------------------- versions
def test_the_first_version_is_brought_up_to_date(open_store, path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.executescript(FIRST_VERSION.read_text(encoding="utf-8"))
    store = open_store()
    assert [head.title for head in store.heads()] == ["滑动窗口", "Crème brûlée"]
    first = store.conversation("c1")
    assert (first.pinned, first.draft, first.parameters) == (True, "and the sugar", {"temperature": 0.3})
    assert [m.text for m in first.path()] == ["How do I make crème brûlée?", "With cream."]
    assert [m.text for m in first.siblings(first.messages["a1"])] == ["Slowly.", "With cream."]
    assert first.messages["a1"].receipt == {"tokens_per_second": 3.5}
    assert [hit.head.id for hit in store.search("brulee")] == ["c1"]
    assert [hit.head.id for hit in store.search("神经元")] == ["c2"]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


def test_an_older_version_is_read_where_it_cannot_be_written(open_store, path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.executescript(FIRST_VERSION.read_text(encoding="utf-8"))
        db.create_function("fold", 1, fold)
        for number, script in enumerate(MIGRATIONS[1:3], 2):
            db.executescript(f"{script} PRAGMA user_version = {number};")
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        store = open_store()
        assert [m.text for m in store.conversation("c1").path()] == ["How do I make crème brûlée?", "With cream."]
        assert [hit.head.id for hit in store.search("brulee")] == ["c1"]
    finally:
        path.parent.chmod(0o700)
        path.chmod(0o600)


def test_a_migration_that_fails_changes_nothing(path, monkeypatch):
    ConversationStore(path).close()
    broken = (*MIGRATIONS, "CREATE TABLE half (x); CREATE TABLE half (x);")
    monkeypatch.setattr(history, "MIGRATIONS", broken)
    with pytest.raises(StoreError, match="fails"):
        ConversationStore(path)
    monkeypatch.undo()
    ConversationStore(path).close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)


def test_a_newer_version_is_left_alone(path):
    ConversationStore(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer Flashbulb"):
        ConversationStore(path)


# ---------------------------------------------------------------------------- bad moments
def test_damaged_rows_never_hide_the_rest(open_store, path):
    store = open_store()
    saved = save(store, talk("One", "Two", "Three", "Four"))
    other = save(store, talk("Five", "Six"))
    question, answer, *_ = saved.path()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("UPDATE messages SET receipt = '{half', created = 'noon' WHERE id = ?", (answer.id,))
        db.execute("UPDATE messages SET text = ? WHERE id = ?", (b"\xff\xfebytes", question.id))
        db.execute("UPDATE messages SET role = 'ghost' WHERE text = 'Six'")
        db.execute("UPDATE conversations SET title = ?, parameters = '[1]' WHERE id = ?", (b"\xff", other.id))
        db.commit()
    read = store.conversation(saved.id)
    assert [m.text for m in read.path()][1:] == ["Two", "Three", "Four"]
    assert "bytes" in read.path()[0].text
    assert [m.text for m in store.conversation(other.id).path()] == ["Five"]
    assert len(store.heads()) == 2


def test_messages_that_point_nowhere_or_in_a_circle_are_shown(open_store, path):
    store = open_store()
    saved = save(store, talk("One", "Two", "Three", "Four"))
    one, two, three, _ = saved.path()
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE messages SET parent = 'nobody' WHERE id = ?", (three.id,))
        db.execute("UPDATE messages SET parent = ? WHERE id = ?", (two.id, one.id))
        db.commit()
    assert [m.text for m in store.conversation(saved.id).path()] == ["Three", "Four"]


def test_a_file_that_is_no_database_is_put_aside(open_store, path):
    path.parent.mkdir()
    path.write_bytes(b"\0" * 5000)
    store = open_store()
    assert store.heads() == []
    (aside,) = path.parent.glob("damaged-*.sqlite")
    assert aside.read_bytes() == b"\0" * 5000
    assert str(aside) in store.rescued
    assert save(store, talk("Hi", "Hello")).id == store.heads()[0].id


def test_what_can_be_read_of_a_damaged_file_is_kept(open_store, path):
    store = open_store()
    conversations = [save(store, talk(f"Question {i}", "word " * 400)) for i in range(40)]
    store.close()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 20 * 4096] = b"\xaa" * (20 * 4096)
    path.write_bytes(content)
    store = open_store()
    assert "could be read" in store.rescued
    kept = [store.conversation(head.id) for head in store.heads()]
    whole = [c for c in kept if len(c.messages) == 2 and c.path()[1].text == "word " * 400]
    assert len(conversations) // 4 < len(whole) < len(conversations)


def test_a_locked_file_is_said_to_be_locked_and_nothing_is_half_written(open_store, path, monkeypatch):
    monkeypatch.setattr(history, "PATIENCE_S", 0.05)
    store = open_store()
    saved = save(store, talk("Hi", "Hello"))
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="Another program holds"):
            save(store, talk("Blocked", "Yes"))
        assert store.conversation(saved.id) == saved  # reading goes on
        other.rollback()
    save(store, talk("Free", "Yes"))
    assert len(store.heads()) == 2


def test_a_full_disk_is_said_to_be_full(open_store):
    store = open_store()
    saved = save(store, talk("Hi", "Hello"))
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="full"):
        save(store, talk("Long", "word " * 100_000))
    assert [head.id for head in store.heads()] == [saved.id]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        ConversationStore(tmp_path / "file" / "conversations.sqlite")


def _write_and_die(path):
    store = ConversationStore(path)
    saved = Conversation("c")
    _, answer = saved.ask("Hi")
    answer.text = "Half an"
    store.save(saved, saved.messages.values())
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_loses_nothing_that_was_saved(open_store, path):
    process = multiprocessing.get_context("spawn").Process(target=_write_and_die, args=(path,))
    process.start()
    process.join()
    process.close()
    assert [m.text for m in open_store().conversation("c").path()] == ["Hi", "Half an"]


def test_half_a_character_can_be_saved(open_store):
    store = open_store()
    saved = save(store, talk("Half \ud83d of it", "?"))
    assert store.conversation(saved.id).path()[0].text == "Half ? of it"
