"""A chat remembers its model."""

from PySide6.QtCore import Qt

from app.chat.message import Answer
from app.chat.receipt import Receipt
from tests.helpers.fake_engine import FakeEngine, Gate


def ask(qtbot, window):
    qtbot.keyClicks(window.chat.composer.entry, "Hello")
    with qtbot.waitSignal(window.chat.answered):
        qtbot.keyClick(window.chat.composer.entry, Qt.Key.Key_Return)


def test_a_chat_offers_the_model_that_wrote_it(qtbot, open_window, tmp_path):
    engine, other = FakeEngine(), tmp_path / "other-model"
    other.mkdir()
    window = open_window(engine, data_dir=tmp_path / "data")
    line = window.chat.model_line
    ask(qtbot, window)
    first = window.chat.conversation
    assert first.model == "starter"
    assert not line.isVisible()
    with qtbot.waitSignal(window.host.loaded):
        window.load(str(other))
    assert line.isVisible()
    assert line.label.text() == "This chat was written with Starter."
    window.chat.new_chat()
    assert not line.isVisible()
    ask(qtbot, window)
    second = window.chat.conversation
    assert second.model == str(other)
    window.conversations.open(first.id)
    with qtbot.waitSignal(window.host.loaded):
        qtbot.mouseClick(line.button, Qt.MouseButton.LeftButton)
    assert engine.seen[-1] == "load starter"
    assert not line.isVisible()
    window.conversations.open(second.id)
    assert line.label.text() == "This chat was written with other-model."
    other.rmdir()  # what is gone is not offered
    window.conversations.open(first.id)
    window.conversations.open(second.id)
    assert not line.isVisible()


def test_going_on_with_another_model_makes_it_the_chat_s(qtbot, open_window, tmp_path):
    (tmp_path / "other").mkdir()
    window = open_window()
    ask(qtbot, window)
    with qtbot.waitSignal(window.host.loaded):
        window.load(str(tmp_path / "other"))
    assert window.chat.model_line.isVisible()
    ask(qtbot, window)
    assert not window.chat.model_line.isVisible()
    assert window.chat.conversation.model == str(tmp_path / "other")


def test_each_answer_says_who_wrote_it_once_there_are_several(qtbot, open_window, tmp_path):
    """Also while it is being written, and after a restart."""
    gate = Gate()
    engine = FakeEngine(scripts=[["One."], ["Two", gate, "."]])
    (tmp_path / "other").mkdir()
    window = open_window(engine, data_dir=tmp_path / "data")
    ask(qtbot, window)
    (first,) = answers(window)
    assert not first.writer.isVisible()
    with qtbot.waitSignal(window.host.loaded):
        window.load(str(tmp_path / "other"))
    assert not first.writer.isVisible()
    qtbot.keyClicks(window.chat.composer.entry, "And?")
    qtbot.keyClick(window.chat.composer.entry, Qt.Key.Key_Return)
    qtbot.waitUntil(gate.reached.is_set)
    assert [answer.writer.text() for answer in answers(window)] == ["Starter", "other"]
    assert all(answer.writer.isVisible() for answer in answers(window))
    gate.opened.set()
    qtbot.waitUntil(lambda: window.chat.conversation.path()[-1].finish == "stop")
    assert "**Answer by other:** Two." in window.chat.conversation.as_markdown()
    id_ = window.chat.conversation.id
    window.chat.new_chat()
    window.conversations.open(id_)
    assert [answer.writer.text() for answer in answers(window)] == ["Starter", "other"]


def test_an_answer_that_was_interrupted_says_who_wrote_it_too(qtbot, open_window, tmp_path):
    gate = Gate()
    window = open_window(FakeEngine(scripts=[["Half", gate]]), data_dir=tmp_path / "data")
    qtbot.keyClicks(window.chat.composer.entry, "Hello")
    qtbot.keyClick(window.chat.composer.entry, Qt.Key.Key_Return)
    qtbot.waitUntil(gate.reached.is_set)
    answer = window.chat.conversation.path()[-1]
    window.chat.interrupt()
    assert (answer.finish, answer.writer) == ("interrupted", "Starter")
    assert Receipt.from_json(answer.receipt) is None
    gate.opened.set()


def answers(window):
    return [widget for widget in window.chat.transcript.messages() if isinstance(widget, Answer)]
