"""The window around the real engine, with a model too small to make sense."""

import engine
from app.chat.receipt import Receipt
from app.host.engine_host import State

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
