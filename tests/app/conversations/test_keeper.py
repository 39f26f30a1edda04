"""The storage: saved within a second, tried again when it fails, nothing lost at the end."""

import sqlite3
import threading
from contextlib import closing

import pytest

from app.conversations import store as history
from app.conversations.conversation import Conversation
from app.conversations.exchange import to_json
from app.conversations.keeper import ConversationKeeper
from app.conversations.store import FILE, ConversationStore
from app.host.deadline import Deadline
from engine.inference.kept import Head
from tests.helpers.talks import save, talk


@pytest.fixture
def make_storage():
    storages = []

    def make(folder=None) -> ConversationKeeper:
        storages.append(ConversationKeeper(folder))
        return storages[-1]

    yield make
    for storage in storages:
        storage.shutdown()
        storage.deleteLater()


def keep(storage, conversation):
    storage.keep(conversation, *conversation.messages.values())


def read(folder, id_):
    store = ConversationStore(folder / FILE)
    try:
        return store.conversation(id_)
    finally:
        store.close()


def test_what_is_kept_is_saved_without_being_asked(qtbot, make_storage, tmp_path):
    storage = make_storage(tmp_path)
    conversation = talk("Hi", "Hello")
    with qtbot.waitSignal(storage.heads_changed) as changed:
        keep(storage, conversation)
    assert [head.title for head in changed.args[0]] == ["Hi"]
    assert read(tmp_path, conversation.id) == conversation


def test_saving_now_can_be_waited_for(make_storage, tmp_path):
    storage = make_storage(tmp_path)
    conversation = talk("Hi", "Hello")
    keep(storage, conversation)
    assert storage.save_now().done.wait(10)
    assert read(tmp_path, conversation.id) == conversation
    assert storage.save_now() is None


def test_the_end_saves(make_storage, tmp_path):
    storage = make_storage(tmp_path)
    conversation = talk("Hi", "Hello")
    keep(storage, conversation)
    storage.shutdown()
    assert read(tmp_path, conversation.id) == conversation


def test_what_is_opened_has_what_was_just_typed(qtbot, make_storage, tmp_path):
    storage = make_storage(tmp_path)
    conversation = Conversation(draft="not yet sent")
    keep(storage, conversation)
    opened = []
    storage.open(conversation.id, opened.append, opened.append)
    qtbot.waitUntil(lambda: bool(opened))
    assert opened == [conversation]


def test_a_locked_file_is_tried_again_until_it_is_free(qtbot, make_storage, tmp_path, monkeypatch):
    monkeypatch.setattr(history, "PATIENCE_S", 0.05)
    monkeypatch.setattr("app.conversations.keeper.SAVE_MS", 50)
    ConversationStore(tmp_path / FILE).close()
    storage = make_storage(tmp_path)
    conversation = talk("Hi", "Hello")
    with closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute("BEGIN IMMEDIATE")
        with qtbot.waitSignal(storage.trouble) as trouble:
            keep(storage, conversation)
        assert "Another program holds" in trouble.args[0]
        conversation.path()[-1].text = "Hello, later"
        keep(storage, conversation)
        other.rollback()
    with qtbot.waitSignal(storage.trouble) as trouble:
        pass
    assert trouble.args == [""]
    storage.shutdown()
    assert read(tmp_path, conversation.id).path()[-1].text == "Hello, later"


def test_a_damaged_file_is_told(qtbot, make_storage, tmp_path):
    (tmp_path / FILE).write_bytes(b"garbage" * 1000)
    storage = make_storage(tmp_path)
    with qtbot.waitSignal(storage.rescued) as rescued:
        storage.list_heads()
    assert "damaged" in rescued.args[0]


def test_deleted_conversations_come_back_or_go_for_good(qtbot, make_storage, tmp_path):
    store = ConversationStore(tmp_path / FILE)
    gone, back = save(store, talk("Gone", "Yes")), save(store, talk("Back", "Yes"))
    store.close()
    storage = make_storage(tmp_path)
    heads = []
    storage.heads_changed.connect(heads.append)
    for conversation in (gone, back):
        storage.delete(conversation.id)
    storage.restore(back.id)
    qtbot.waitUntil(lambda: len(heads) == 3)
    assert [[head.title for head in seen] for seen in heads] == [["Back"], [], ["Back"]]
    storage.shutdown()
    make_storage(tmp_path).shutdown()
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        assert db.execute("SELECT title FROM conversations").fetchall() == [("Back",)]


def test_very_many_are_deleted_in_one_step_and_what_is_said_then_is_saved(qtbot, make_storage, tmp_path):
    store = ConversationStore(tmp_path / FILE)
    ids = [save(store, talk(f"Question {n}", "Yes")).id for n in range(300)]
    store.close()
    storage, heads = make_storage(tmp_path), []
    storage.heads_changed.connect(heads.append)
    storage.delete(*ids)
    qtbot.waitUntil(lambda: bool(heads))
    assert heads == [[]]
    later = talk("Later", "Yes")
    storage.keep(later, *later.messages.values())
    storage.shutdown()
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        assert db.execute("SELECT title FROM conversations WHERE deleted IS NULL").fetchall() == [("Later",)]


def test_what_is_imported_twice_is_here_once(qtbot, make_storage, tmp_path):
    conversation = talk("Hi", "Hello")
    file = tmp_path / "export.json"
    file.write_text(to_json([conversation]), encoding="utf-8")
    storage = make_storage(tmp_path / "data")
    imported, failed, everything = [], [], []
    for _ in range(2):
        storage.import_file(file, imported.append, failed.append)
    storage.open_all(everything.append, failed.append)
    qtbot.waitUntil(lambda: bool(everything))
    assert (failed, [chats[0].id for chats in imported]) == ([], [conversation.id] * 2)
    assert everything == [[conversation]]


def test_what_was_deleted_comes_back_with_an_import(qtbot, make_storage, tmp_path):
    conversation = talk("Precious", "Yes")
    file = tmp_path / "export.json"
    file.write_text(to_json([conversation]), encoding="utf-8")
    storage = make_storage(tmp_path)
    keep(storage, conversation)
    storage.delete(conversation.id)
    imported = []
    with qtbot.waitSignal(storage.heads_changed, check_params_cb=lambda heads: bool(heads) and bool(imported)):
        storage.import_file(file, imported.append, imported.append)
        qtbot.waitUntil(lambda: bool(imported))
        storage.list_heads()
    storage.shutdown()
    make_storage(tmp_path).shutdown()  # purges what is deleted
    assert read(tmp_path, conversation.id) == conversation


def test_one_that_cannot_be_saved_keeps_no_other_from_it(qtbot, make_storage, tmp_path):
    storage = make_storage(tmp_path)
    bad, good = talk("Bad", "Yes"), talk("Good", "Yes")
    bad.parameters = {"seed": object()}  # whatever the mistake is
    keep(storage, bad)
    keep(storage, good)
    with qtbot.waitSignal(storage.trouble) as trouble:
        storage.save_now()
    assert "mistake in Flashbulb" in trouble.args[0]
    assert read(tmp_path, good.id) == good
    bad.parameters = {}
    with qtbot.waitSignal(storage.trouble, check_params_cb=lambda words: not words):
        storage.save_now()
    assert read(tmp_path, bad.id) == bad


def test_the_end_is_not_waited_for_longer_than_allowed(make_storage, tmp_path):
    storage, gate = make_storage(tmp_path), threading.Event()
    storage._worker.submit(gate.wait)
    assert not storage.shutdown(Deadline(0.01))
    gate.set()
    assert storage.shutdown()


@pytest.mark.parametrize("content", [None, "not JSON"])
def test_import_of_something_else_says_so(qtbot, make_storage, tmp_path, content):
    file = tmp_path / "export.json"
    if content is not None:
        file.write_text(content)
    failed = []
    make_storage(tmp_path).import_file(file, failed.append, failed.append)
    qtbot.waitUntil(lambda: bool(failed))
    assert "export.json" in str(failed[0])


def written(contexts, id_):
    head = Head("model", list(range(40)), [], None, [], [], [])
    return contexts.write(id_, head, b"rest", lambda _: b"") is not None


def test_a_context_goes_with_its_conversation(qtbot, make_storage, tmp_path):
    storage = make_storage(tmp_path)
    conversations = [talk("Hi", "Hello"), talk("And", "so")]
    for conversation in conversations:
        keep(storage, conversation)
    assert storage.save_now().done.wait(10)
    for conversation in conversations:
        assert written(storage.contexts, conversation.id)
    storage.delete(conversations[0].id)
    qtbot.waitUntil(lambda: not storage.contexts.file_of(conversations[0].id).exists())
    assert not written(storage.contexts, conversations[0].id), "not even by an answer that is still being written"
    storage.restore(conversations[0].id)
    qtbot.waitUntil(lambda: written(storage.contexts, conversations[0].id))
    storage.shutdown()
    assert written(storage.contexts, "of a conversation that nobody has")
    again = make_storage(tmp_path)
    left = {again.contexts.file_of(conversation.id) for conversation in conversations}
    qtbot.waitUntil(lambda: set(again.contexts.folder.glob("*.context")) == left)


def test_without_contexts_on_disk_all_of_them_go(qtbot, make_storage, tmp_path):
    storage = make_storage(tmp_path)
    keep(storage, talk("Hi", "Hello"))
    assert storage.save_now().done.wait(10)
    written(storage.contexts, "a")
    storage.keep_contexts(False)
    qtbot.waitUntil(lambda: not list(storage.contexts.folder.glob("*.context")))
    assert not written(storage.contexts, "a")
    storage.keep_contexts(True)
    assert written(storage.contexts, "a")


def test_what_is_exported_holds_nothing_of_a_context(make_storage, tmp_path):
    storage = make_storage(tmp_path)
    conversation = talk("Hi", "Hello")
    keep(storage, conversation)
    assert storage.save_now().done.wait(10)
    written(storage.contexts, conversation.id)
    assert "rest" not in to_json([conversation])
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"contexts"}
