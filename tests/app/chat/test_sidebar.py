"""The list of chats at the keyboard, and what it shows of them."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit

from app.chat.conversations_model import ANSWERING_ROLE, PREVIEW_ROLE
from app.host.engine_host import State
from tests.helpers.chatting import last_answer, type_and_send, wait_until_ready
from tests.helpers.fake_engine import FakeEngine, Gate

CONTROL, SHIFT, ALT = (
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
)


@pytest.fixture
def engine():
    return FakeEngine(scripts=[["A **warm** loaf."], ["About soup."]])


@pytest.fixture
def window(qtbot, open_window, engine):
    """With two chats; the later one is open."""
    window = open_window(engine)
    for text in ("Tell me about *bread*", "Tell me about soup"):
        window.chat.new_chat()
        type_and_send(qtbot, window, text)
        wait_until_ready(qtbot, window)
    qtbot.waitUntil(lambda: len(window.sidebar.model.heads()) == 2)
    return window


@pytest.mark.parametrize("modifier", [CONTROL, SHIFT, ALT, CONTROL | SHIFT])
@pytest.mark.parametrize("key", [Qt.Key.Key_Delete, Qt.Key.Key_Backspace])
def test_delete_with_other_keys_deletes_nothing(qtbot, window, key, modifier):
    window.sidebar.list.setFocus()
    with qtbot.assertNotEmitted(window.sidebar.list.delete_asked):
        qtbot.keyClick(window.sidebar.list, key, modifier)


@pytest.mark.parametrize("key", [Qt.Key.Key_Delete, Qt.Key.Key_Backspace])
def test_delete_in_the_list_deletes_the_chosen_chat(qtbot, window, key):
    window.sidebar.list.setFocus()
    qtbot.keyClick(window.sidebar.list, key)
    qtbot.waitUntil(lambda: [head.title for head in window.sidebar.model.heads()] == ["Tell me about bread"])


def test_titles_and_previews_are_words_without_marks(qtbot, window):
    bread = window.sidebar.model.index(2)
    assert bread.data() == "Tell me about bread"
    qtbot.waitUntil(lambda: window.sidebar.model.index(2).data(PREVIEW_ROLE) == "A warm loaf.")


def test_a_title_is_changed_without_covering_what_stands_below(qtbot, window):
    list_ = window.sidebar.list
    window.sidebar.rename(window.chat.conversation.id)
    editor = list_.findChild(QLineEdit)
    row = list_.visualRect(list_.currentIndex())
    assert row.top() <= editor.y()
    assert editor.height() < row.height() / 2 + 4


def test_the_chat_that_answers_is_marked_and_only_it_can_be_stopped(qtbot, window, engine):
    gate = Gate()
    engine.scripts.append(["One", gate, "two"])
    type_and_send(qtbot, window, "And more?")
    qtbot.waitUntil(gate.reached.is_set)
    answering = window.chat.conversation
    model = window.sidebar.model
    index = model.index_of(answering.id)
    assert index.data(ANSWERING_ROLE)
    assert "an answer is being written" in index.data(Qt.ItemDataRole.AccessibleTextRole)
    window.chat.new_chat()
    composer = window.chat.composer
    composer.set_draft("next")
    assert not composer.button.isEnabled()
    assert composer.button.toolTip() == composer.meter.label.text() == "An answer is being written in another chat"
    window.stop.trigger()
    assert window.host.state is State.ANSWERING
    window.sidebar.opened.emit(answering.id, None, "")
    assert composer.button.accessibleName() == "Stop"
    qtbot.mouseClick(composer.button, Qt.MouseButton.LeftButton)
    wait_until_ready(qtbot, window)
    assert last_answer(window).message.finish == "cancelled"
    assert not model.index_of(answering.id).data(ANSWERING_ROLE)


def test_what_was_searched_for_is_marked_where_it_leads(qtbot, window):
    window.sidebar.field.setText("warm")
    qtbot.waitUntil(lambda: len(window.sidebar.model.heads()) == 1)
    qtbot.keyClick(window.sidebar.field, Qt.Key.Key_Return)
    qtbot.waitUntil(window.chat.find_bar.isVisible)
    assert window.chat.find_bar.field.text() == "warm"
    marks = [
        mark.cursor.selectedText()
        for widget in window.chat.transcript.messages()
        for view in widget.views()
        for mark in view.extraSelections()
    ]
    assert marks == ["warm"]


def test_words_of_a_title_are_marked_in_the_messages_as_well(qtbot, window):
    window.sidebar.field.setText("bread")
    qtbot.waitUntil(lambda: len(window.sidebar.model.heads()) == 1)
    qtbot.keyClick(window.sidebar.field, Qt.Key.Key_Return)
    qtbot.waitUntil(window.chat.find_bar.isVisible)
    assert window.chat.find_bar.field.text().casefold() == "bread"
    assert "1 of" in window.chat.find_bar.count.text()
