"""The list of what the keyboard can do, and that the keys do it."""

import re

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QApplication

from app.widgets.shortcuts import ShortcutsDialog, is_rare

HIGHEST = 640  # pixels: fits the smallest screen that a Mac has, with room for menu bar and Dock


@pytest.fixture
def shortcuts(open_window):
    """The window, and the dialog that its Help menu opens."""
    window = open_window()
    window.shortcuts.trigger()
    dialog = QApplication.activeModalWidget()
    yield window, dialog
    dialog.close()


def native(keys):
    return QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)


def listed(dialog):
    return [keys for _, rows in dialog.groups for _, keys in rows]


def test_every_key_of_every_action_is_listed(shortcuts):
    window, dialog = shortcuts
    assert isinstance(dialog, ShortcutsDialog)
    text = "\n".join(listed(dialog))
    numbered = set(window.numbered[1:-1])  # of these, the first and the last stand for all
    missing = [
        (action.text(), native(keys))
        for action in window.findChildren(QAction)
        if action not in numbered
        for keys in action.shortcuts()
        if native(keys) not in text and not is_rare(keys)
    ]
    assert not missing


USUAL = ("N", "F", "Shift+F", ",", ".", "R", "B", "1", "9", "+", "-", "0")


def test_only_keys_that_every_keyboard_has_are_listed(shortcuts):
    keys = ", ".join(listed(shortcuts[1])).split(", ")
    assert not {"New", "Zoom In", "Zoom Out"} & set(keys)
    assert "F11" in keys


@pytest.mark.parametrize("keys", [*(f"Ctrl+{key}" for key in USUAL), "Return", "Shift+Return"])
def test_the_usual_ones_are_there(shortcuts, keys):
    assert native(keys) in {key for entry in listed(shortcuts[1]) for key in re.split(r", | … ", entry)}


def test_it_fits_a_small_screen(shortcuts):
    assert shortcuts[1].height() <= HIGHEST


@pytest.mark.parametrize(
    ("key", "modifiers", "what"),
    [
        (Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier, lambda w: w.chat.find_bar.isVisible()),
        (Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier, lambda w: not w.sidebar.isVisible()),
        (Qt.Key.Key_Equal, Qt.KeyboardModifier.ControlModifier, lambda w: w.settings["general.text_size"] == 110),
        (Qt.Key.Key_Minus, Qt.KeyboardModifier.ControlModifier, lambda w: w.settings["general.text_size"] == 90),
        (Qt.Key.Key_Comma, Qt.KeyboardModifier.ControlModifier, lambda w: w.settings_window.isVisible()),
        (Qt.Key.Key_W, Qt.KeyboardModifier.ControlModifier, lambda w: not w.isVisible()),
    ],
)
def test_the_keys_do_it(qtbot, open_window, key, modifiers, what):
    window = open_window()
    qtbot.keyClick(window.chat.composer.entry, key, modifiers)
    qtbot.waitUntil(lambda: what(window))
    window.usual_size.trigger()
