"""A person's steps in the window to chat, and what then is shown."""

from PySide6.QtCore import Qt

from app.chat.notice import Notice
from app.host.engine_host import State


def type_and_send(qtbot, window, text):
    qtbot.keyClicks(window.chat.composer.entry, text)
    qtbot.keyClick(window.chat.composer.entry, Qt.Key.Key_Return)


def wait_until_ready(qtbot, window):
    qtbot.waitUntil(lambda: window.host.state is State.READY)


def last_answer(window):
    return window.chat.transcript.messages()[-1]


def shown_notice(qtbot, parent):
    notice = parent.findChild(Notice)
    qtbot.waitUntil(notice.message.isVisible)
    return notice
