"""No slip of the hand loses a chat: what edits text only edits text, and what deletes needs the list's focus."""

import pytest
import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QApplication, QLineEdit, QPlainTextEdit, QTextEdit, QWidget

from tests.helpers.chatting import type_and_send, wait_until_ready

# Text-editing keys of both platforms, in Qt's names: there Ctrl is a Mac's Cmd, and Meta its Ctrl.
MAC = (
    "Ctrl+Backspace", "Alt+Backspace", "Alt+Del", "Ctrl+Del", "Meta+H", "Meta+D", "Meta+K", "Meta+Backspace",
    "Shift+Backspace", "Shift+Del", "Ctrl+Shift+Backspace", "Alt+Shift+Backspace",
)  # fmt: skip
LINUX = (
    "Ctrl+Backspace", "Ctrl+Del", "Shift+Del", "Ctrl+H", "Ctrl+D", "Ctrl+U", "Alt+D", "Alt+Backspace",
    "Shift+Backspace", "Ctrl+Shift+Backspace", "Ctrl+Shift+Del", "Backspace", "Del",
)  # fmt: skip
DELETING = (
    QKeySequence.StandardKey.Delete, QKeySequence.StandardKey.DeleteCompleteLine,
    QKeySequence.StandardKey.DeleteEndOfLine, QKeySequence.StandardKey.DeleteEndOfWord,
    QKeySequence.StandardKey.DeleteStartOfWord, QKeySequence.StandardKey.Backspace, QKeySequence.StandardKey.Cut,
)  # fmt: skip
KEYS_OF_THEIR_OWN = ("Cut", "F20")  # of keyboards that have such keys, which no test can press
EDITING = tuple(dict.fromkeys((*MAC, *LINUX)))


def press(qtbot, widget: QWidget, keys: str) -> None:
    combination = QKeySequence(keys)[0]
    qtbot.keyClick(widget, combination.key(), combination.keyboardModifiers())


@pytest.fixture
def window(qtbot, open_window):
    """A window with two chats, and every field in it open."""
    window = open_window()
    for text in ("First", "Second"):
        window.new_chat.trigger()
        type_and_send(qtbot, window, text)
        wait_until_ready(qtbot, window)
    qtbot.waitUntil(lambda: len(window.sidebar.model.heads()) == 2)
    window.parameters.trigger()
    window.find_in_chat.trigger()
    window.edit_question.trigger()
    window.rename.trigger()
    return window


def editing_keys() -> tuple[str, ...]:
    """Those above, and what this system has beside them; only an application knows it."""
    here = [keys.toString() for standard in DELETING for keys in QKeySequence.keyBindings(standard)]
    return tuple(dict.fromkeys((*EDITING, *(keys for keys in here if keys not in KEYS_OF_THEIR_OWN))))


def chats(window) -> int:
    QApplication.processEvents()
    return len(window.sidebar.model.heads())


def fields(window) -> list[QWidget]:
    found = [w for w in window.findChildren(QWidget) if isinstance(w, QLineEdit | QPlainTextEdit | QTextEdit)]
    return [w for w in found if w.isVisible() and not w.isReadOnly()]


def test_all_fields_are_open(window):
    named = {field.accessibleName() for field in fields(window)}
    assert {"Search chats", "Title", "Find in this chat", "System prompt", "Message"} <= named
    assert len(fields(window)) > 6


def test_no_text_editing_key_loses_a_chat_in_any_field(qtbot, window):
    shown = window.chat.conversation.id
    for field in fields(window):
        for keys in editing_keys():
            if not shiboken6.isValid(field) or not field.isVisible():
                break  # a key of the list's own editor may end it
            field.setFocus()
            press(qtbot, field, keys)
            assert chats(window) == 2, keys
            assert window.chat.conversation.id == shown, keys


def test_ctrl_backspace_edits_what_is_written(qtbot, open_window):
    window = open_window()
    qtbot.keyClicks(window.chat.composer.entry, "one two three")
    press(qtbot, window.chat.composer.entry, "Ctrl+Backspace")
    assert window.chat.composer.entry.toPlainText() == "one two "


def test_no_key_of_the_window_deletes(window):
    """Nor does any key of it edit text where it matters on either platform."""
    assert window.delete.shortcuts() == []
    keys = {keys.toString() for action in window.findChildren(QAction) for keys in action.shortcuts()}
    assert not keys & {keys for keys in editing_keys() if "Backspace" in keys or "Del" in keys}


@pytest.mark.parametrize("keys", [keys for keys in EDITING if "+" in keys])
def test_the_list_deletes_with_its_own_keys_only(qtbot, window, keys):
    window.sidebar.list.setFocus()
    press(qtbot, window.sidebar.list, keys)
    assert chats(window) == 2


@pytest.mark.parametrize("keys", ["Backspace", "Del"])
def test_the_list_deletes_one_chat_a_press_and_undo_brings_it_back(qtbot, window, keys):
    window.sidebar.list.setFocus()
    press(qtbot, window.sidebar.list, keys)
    qtbot.waitUntil(lambda: len(window.sidebar.model.heads()) == 1)
    assert window.undelete.isEnabled()
    window.sidebar.list.setFocus()
    press(qtbot, window.sidebar.list, "Ctrl+Z")
    qtbot.waitUntil(lambda: len(window.sidebar.model.heads()) == 2)
    assert not window.undelete.isEnabled()
    for keys_again in ("Ctrl+Z", "Ctrl+Shift+Backspace"):  # with nothing left to undo
        window.sidebar.list.setFocus()
        press(qtbot, window.sidebar.list, keys_again)
        window.undelete.trigger()
        assert chats(window) == 2


def test_a_key_that_is_held_deletes_one_chat(qtbot, window):
    from PySide6.QtGui import QKeyEvent

    window.sidebar.list.setFocus()
    for repeats in (False, True, True):
        event = QKeyEvent(QKeyEvent.Type.KeyPress, Qt.Key.Key_Delete, Qt.KeyboardModifier.NoModifier, "", repeats)
        QApplication.sendEvent(window.sidebar.list, event)
    qtbot.waitUntil(lambda: len(window.sidebar.model.heads()) == 1)
    assert chats(window) == 1
