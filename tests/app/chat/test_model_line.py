"""A chat remembers its model."""

from PySide6.QtCore import Qt

from tests.helpers.fake_engine import FakeEngine


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
