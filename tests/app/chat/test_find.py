"""Finding in the conversation that is shown, as a person at the keyboard does."""

import pytest
from PySide6.QtCore import Qt

from app.chat.transcript import PAGE_MESSAGES
from app.conversations.conversation import Conversation
from app.host.engine_host import State
from tests.helpers.chatting import last_answer, type_and_send, wait_until_ready
from tests.helpers.fake_engine import FakeEngine, Gate

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
ANSWER = ["Some **bread**, and\n\n```python\nbread = 1\n```\n\nmore: Brot, 麵包, BREAD."]


@pytest.fixture
def window(qtbot, open_window):
    window = open_window(FakeEngine(scripts=[list(ANSWER)]))
    type_and_send(qtbot, window, "What about bread?")
    wait_until_ready(qtbot, window)
    return window


def find(qtbot, window, words):
    qtbot.keyClick(window.chat.composer.entry, Qt.Key.Key_F, CONTROL)
    assert window.chat.find_bar.isVisible()
    window.chat.find_bar.field.setText(words)


def marks(window):
    """Text and whether it is underlined, for every mark."""
    return [
        (mark.cursor.selectedText(), mark.format.fontUnderline())
        for widget in window.chat.transcript.messages()
        for view in widget.views()
        for mark in view.extraSelections()
    ]


def long_conversation(count, words="Nothing here."):
    """`count` turns; the first and the last question have a word of their own."""
    conversation, parent = Conversation(), None
    for number in range(count):
        text = f"Turn {number}" + (" with a needle" if number in (0, count - 1) else "")
        _, answer = conversation.ask(text, parent)
        answer.text, answer.finish, parent = words, "stop", answer.id
    conversation.leaf = parent
    return conversation


def test_every_place_is_marked_and_counted(qtbot, window):
    find(qtbot, window, "bread")
    assert window.chat.find_bar.count.text() == "1 of 4"
    assert marks(window) == [("bread", True), ("bread", False), ("bread", False), ("BREAD", False)]


def test_keys_lead_on_and_back_and_round(qtbot, window):
    find(qtbot, window, "bread")
    bar = window.chat.find_bar
    qtbot.keyClick(bar.field, Qt.Key.Key_Return)
    assert bar.count.text() == "2 of 4"
    window.find_next.trigger()
    qtbot.mouseClick(bar.next, Qt.MouseButton.LeftButton)
    assert [underlined for _, underlined in marks(window)] == [False, False, False, True]
    qtbot.keyClick(bar.field, Qt.Key.Key_Return)
    assert bar.count.text() == "1 of 4"
    qtbot.keyClick(bar.field, Qt.Key.Key_Return, SHIFT)
    assert bar.count.text() == "4 of 4"
    qtbot.mouseClick(bar.previous, Qt.MouseButton.LeftButton)
    assert bar.count.text() == "3 of 4"


def test_escape_puts_bar_and_marks_away(qtbot, window):
    find(qtbot, window, "bread")
    qtbot.keyClick(window.chat.find_bar.field, Qt.Key.Key_Escape)
    assert not window.chat.find_bar.isVisible()
    assert marks(window) == []
    assert window.chat.composer.entry.hasFocus()


def test_what_is_not_there_is_said(qtbot, window):
    find(qtbot, window, "cake")
    assert window.chat.find_bar.count.text() == "not found"
    assert not window.chat.find_bar.next.isEnabled()
    qtbot.keyClick(window.chat.find_bar.field, Qt.Key.Key_Return)
    assert marks(window) == []


def test_other_scripts_are_found(qtbot, window):
    find(qtbot, window, "麵包")
    assert marks(window) == [("麵包", True)]


def test_what_is_being_written_is_found_and_escape_does_not_stop_it(qtbot, open_window):
    gates = Gate(), Gate()
    window = open_window(FakeEngine(scripts=[["one word", gates[0], " and another word", gates[1]]]))
    type_and_send(qtbot, window, "Hi")
    qtbot.waitUntil(gates[0].reached.is_set)
    qtbot.waitUntil(lambda: last_answer(window).text == "one word")
    find(qtbot, window, "word")
    assert window.chat.find_bar.count.text() == "1 of 1"
    gates[0].opened.set()
    qtbot.waitUntil(lambda: window.chat.find_bar.count.text() == "1 of 2")
    qtbot.keyClick(window.chat.find_bar.field, Qt.Key.Key_Escape)
    assert not window.chat.find_bar.isVisible()
    assert window.host.state is State.ANSWERING
    gates[1].opened.set()
    wait_until_ready(qtbot, window)


def test_it_leads_to_messages_that_were_not_made_yet(qtbot, open_window):
    window = open_window()
    conversation = long_conversation(2 * PAGE_MESSAGES)
    window.chat.show_conversation(conversation)
    assert len(window.chat.transcript.messages()) == PAGE_MESSAGES
    find(qtbot, window, "needle")
    bar = window.chat.find_bar
    qtbot.waitUntil(lambda: bar.count.text() == "2 of 2")
    qtbot.keyClick(bar.field, Qt.Key.Key_Return)
    assert bar.count.text() == "1 of 2"
    first = window.chat.transcript.messages()[0]
    assert first.message is conversation.path()[0]
    qtbot.waitUntil(lambda: window.chat.transcript.verticalScrollBar().value() < first.height())
    assert marks(window) == [("needle", True)]
    qtbot.keyClick(bar.field, Qt.Key.Key_Return)
    assert bar.count.text() == "2 of 2"
    assert window.chat.transcript.messages()[-1].message is conversation.path()[-1]


def test_a_place_out_of_sight_is_scrolled_to(qtbot, open_window):
    window = open_window(FakeEngine(scripts=[["start\n\n" + "A line.\n\n" * 80 + "the end"]]))
    type_and_send(qtbot, window, "Go")
    wait_until_ready(qtbot, window)
    bar = window.chat.transcript.verticalScrollBar()
    qtbot.waitUntil(lambda: 0 < bar.maximum() == bar.value())
    find(qtbot, window, "start")
    qtbot.waitUntil(lambda: bar.value() < 200)
    window.chat.find_bar.field.setText("the end")
    qtbot.waitUntil(lambda: bar.value() > bar.maximum() - 200)


def test_another_conversation_is_looked_through_as_it_is_shown(qtbot, window):
    find(qtbot, window, "needle")
    assert window.chat.find_bar.count.text() == "not found"
    window.chat.show_conversation(long_conversation(3))
    qtbot.waitUntil(lambda: window.chat.find_bar.count.text() == "1 of 2")
