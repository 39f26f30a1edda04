"""The window around the real engine, with a model too small to make sense."""

import engine
from app.chat.receipt import Receipt
from app.host.engine_host import State
from engine.system.built_in import STARTER

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
