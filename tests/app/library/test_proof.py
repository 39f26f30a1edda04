"""“Prove it”, from the button in the library to what it says, around a stand-in for the engine."""

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialogButtonBox, QLabel

from app.host.engine_host import State
from app.library.proof import ProofWindow
from engine.errors import BudgetError
from engine.system.built_in import STARTER
from tests.helpers.fake_engine import FakeEngine, Gate
from tests.helpers.proofs import FOUND, PREDICTED

LEFT = Qt.MouseButton.LeftButton
PATIENCE = 60_000


@pytest.fixture
def press(qtbot, monkeypatch, tmp_path, open_window):
    """`press(engine)`: the window whose library's button was pressed, and the proof's window."""
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path))

    def make(engine, before=lambda main: None):
        main = open_window(engine)
        main.models.trigger()
        qtbot.waitUntil(lambda: main.library.row(STARTER) is not None, timeout=PATIENCE)
        qtbot.waitUntil(lambda: main.library.row(STARTER).prove.height() > 10, timeout=PATIENCE)
        before(main)
        qtbot.mouseClick(main.library.row(STARTER).prove, LEFT)
        return main, main.library.findChild(ProofWindow)

    return make


def words(window):
    return " ".join(label.text() for label in window.findChildren(QLabel)).replace("\u00a0", " ")


def back(qtbot, main):
    qtbot.waitUntil(lambda: main.host.state is State.READY and main.host.model is not None)


def test_it_shows_that_answers_agree_and_the_chat_has_its_model_back(qtbot, press):
    engine = FakeEngine(proofs=[FOUND])
    main, window = press(engine)
    qtbot.waitUntil(lambda: window.heading.text() == "Streaming gives the same answers")
    text = words(window)
    assert "at each of 120 places" in text
    assert "the same at 96 % of them, with +2.0 % perplexity" in text
    assert "9.0 MB 350 ms 14.0 MB" in text
    assert "200 KB 12 ms 21.0 MB" in text
    assert "“Hi!” – Hello." in text
    back(qtbot, main)
    assert engine.seen == ["load starter", "close", "prove starter", "load starter"]
    assert len(engine.threads) == 1
    window.close()


def test_it_says_so_if_they_do_not(qtbot, press):
    main, window = press(FakeEngine(proofs=[replace(FOUND, exact=PREDICTED)]))
    qtbot.waitUntil(lambda: window.heading.text() == "The answers differ")
    assert "verify the model's files" in window.words.text()
    back(qtbot, main)
    window.close()


def test_it_can_be_cancelled(qtbot, press):
    gate = Gate()
    main, window = press(FakeEngine(proofs=[gate]))
    qtbot.waitUntil(lambda: window.bar.value() == 500)
    assert main.host.state is State.LOADING
    qtbot.mouseClick(window.buttons.button(QDialogButtonBox.StandardButton.Cancel), LEFT)
    back(qtbot, main)


def test_loading_another_model_ends_it(qtbot, press):
    main, window = press(FakeEngine(proofs=[Gate()]))
    qtbot.waitUntil(lambda: window.bar.value() == 500)
    main.load("starter")
    back(qtbot, main)
    assert "stopped" in window.words.text()
    window.close()


def test_what_goes_wrong_is_told(qtbot, press):
    main, window = press(FakeEngine(proofs=[BudgetError("There is too little memory.", 1)]))
    qtbot.waitUntil(lambda: window.words.text() == "There is too little memory.")
    back(qtbot, main)
    window.close()


def test_it_waits_for_no_answer(qtbot, press):
    gate = Gate()
    engine = FakeEngine(scripts=[["a", gate, "b"]], proofs=[FOUND])
    main, window = press(engine, lambda main: main.chat.send("Hello"))
    assert window.heading.text() == "The model is at work"
    window.close()
    gate.opened.set()
    back(qtbot, main)
    assert not any(call.startswith("prove") for call in engine.seen)


def test_quitting_ends_it(qtbot, press):
    main, window = press(FakeEngine(proofs=[Gate()]))
    qtbot.waitUntil(lambda: window.bar.value() == 500)
    main.quit()
    assert main.host.state is State.CLOSED
