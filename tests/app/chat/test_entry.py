"""Enter, Send and leaving while an input method composes: nothing is sent too early, and nothing is lost."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QInputMethodEvent
from PySide6.QtWidgets import QApplication, QLineEdit

from tests.helpers.chatting import type_and_send, wait_until_ready
from tests.helpers.fake_engine import FakeEngine

ENTER = Qt.Key.Key_Return


def compose(field, text):
    field.setFocus()
    QApplication.sendEvent(field, QInputMethodEvent(text, []))


@pytest.fixture
def window(qtbot, open_window):
    window = open_window(FakeEngine(scripts=[["你好。"], ["你好。"]]))
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    return window


def test_enter_takes_what_is_composed_and_the_next_one_sends(qtbot, window):
    entry, sent = window.chat.composer.entry, []
    window.chat.composer.submitted.connect(sent.append)
    compose(entry, "你好")
    qtbot.keyClick(entry, ENTER)
    assert sent == []
    assert entry.toPlainText() == "你好"
    qtbot.keyClick(entry, ENTER)
    assert sent == ["你好"]
    wait_until_ready(qtbot, window)


def test_the_button_sends_what_is_composed_along(qtbot, window):
    entry, sent = window.chat.composer.entry, []
    window.chat.composer.submitted.connect(sent.append)
    entry.setPlainText("说")
    compose(entry, "你好")
    qtbot.mouseClick(window.chat.composer.button, Qt.MouseButton.LeftButton)
    assert sent == ["说你好"]
    wait_until_ready(qtbot, window)


def test_what_is_composed_alone_can_be_sent(qtbot, window):
    compose(window.chat.composer.entry, "你好")
    assert window.chat.composer.button.isEnabled()


def test_leaving_the_field_keeps_what_is_composed(qtbot, window):
    entry = window.chat.composer.entry
    compose(entry, "你好")
    window.sidebar.field.setFocus()
    assert entry.toPlainText() == "你好"
    assert window.chat.conversation.draft == "你好"


def test_a_changed_question_is_sent_with_what_is_composed(qtbot, window):
    question = window.chat.transcript.messages()[0]
    question.edit()
    editor, sent = question.editor, []
    question.resent.connect(lambda _, text: sent.append(text))
    compose(editor.entry, "你")
    qtbot.keyClick(editor.entry, ENTER)
    assert sent == []
    compose(editor.entry, "好")
    qtbot.mouseClick(editor.send, Qt.MouseButton.LeftButton)
    assert sent == ["Hi你好"]
    wait_until_ready(qtbot, window)


def test_a_search_opens_nothing_while_it_is_composed(qtbot, window):
    field = window.sidebar.field
    compose(field, "你好")
    with qtbot.assertNotEmitted(window.sidebar.opened):
        qtbot.keyClick(field, ENTER)
    assert field.text() == "你好"


def test_find_does_not_go_on_while_something_is_composed(qtbot, window):
    window.chat.find_bar.open_bar()
    field = window.chat.find_bar.field
    compose(field, "你好")
    with qtbot.assertNotEmitted(field.stepped):
        qtbot.keyClick(field, ENTER)
    assert field.text() == "你好"
    window.chat.find_bar.close_bar()


def test_a_title_is_not_taken_while_it_is_composed(qtbot, window):
    qtbot.waitUntil(lambda: bool(window.sidebar.model.heads()))
    window.sidebar.rename(window.chat.conversation.id)
    editor = window.sidebar.list.findChild(QLineEdit)
    editor.setText("")
    compose(editor, "你好")
    qtbot.keyClick(editor, ENTER)
    assert editor.isVisible()
    assert editor.text() == "你好"
    qtbot.keyClick(editor, ENTER)
    qtbot.waitUntil(lambda: window.chat.conversation.title == "你好")
