"""The window around the real engine, with a model too small to make sense."""

import engine
from app.chat.message import receipt
from app.engine_host import State

LONG_MS = 120_000  # MLX alone takes a while to import on a busy machine


def test_a_question_is_answered_by_the_engine(qtbot, open_window, tiny_model):
    window = open_window(engine, wait=False, model=str(tiny_model))
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
    window.chat.send("hello there")
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
    turn = window.chat.conversation.turns[0]
    assert turn.error == ""
    assert turn.answer == turn.summary.text
    assert window.chat.transcript.messages()[-1].receipt.text() == receipt(turn.summary, "predictor")
