"""Selecting over prose, code and tables, and over messages, as a person does with the mouse and at the keyboard."""

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication, QMouseEvent
from PySide6.QtWidgets import QApplication

from app.chat.body import AnswerBody
from tests.helpers.chatting import last_answer, type_and_send, wait_until_ready
from tests.helpers.fake_engine import FakeEngine

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
ANSWER = """Before.

```python
x = 1
y = 2
```

After:

1. one
2. two
   - inner

> said

| a | b |
|---|---|
| 1 | 2 |

End 🎈 here."""
COPIED = """Before.

x = 1
y = 2

After:

1. one
2. two
  - inner

> said

a\tb
1\t2

End 🎈 here."""


@pytest.fixture
def body(qtbot):
    body = AnswerBody()
    qtbot.addWidget(body)
    body.append(ANSWER)
    body.finish()
    body.resize(640, 600)
    body.show()
    qtbot.waitExposed(body)
    return body


def drag(first, start, last, end):
    """From a point of one view to a point of another, as Qt delivers it: all of it to the first."""
    source = first.viewport()
    to = QPointF(source.mapFromGlobal(last.viewport().mapToGlobal(end)))
    for kind, at, button, held in (
        (QEvent.Type.MouseButtonPress, QPointF(start), LEFT, LEFT),
        (QEvent.Type.MouseMove, to / 2, NONE, LEFT),
        (QEvent.Type.MouseMove, to, NONE, LEFT),
        (QEvent.Type.MouseButtonRelease, to, LEFT, NONE),
    ):
        where = QPointF(source.mapToGlobal(at.toPoint()))
        QApplication.sendEvent(source, QMouseEvent(kind, at, where, button, held, Qt.KeyboardModifier.NoModifier))


def copied(qtbot, view):
    QGuiApplication.clipboard().setText("nothing")
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_C, CONTROL)
    return QGuiApplication.clipboard().text()


def test_a_drag_goes_on_through_code_and_tables(qtbot, body):
    views = body.views()
    drag(views[0], QPoint(0, 2), views[-1], views[-1].viewport().rect().bottomRight())
    assert copied(qtbot, views[0]) == COPIED


def test_a_drag_may_go_upwards(qtbot, body):
    views = body.views()
    drag(views[-1], views[-1].viewport().rect().bottomRight(), views[1], QPoint(0, 2))
    assert copied(qtbot, views[-1]) == COPIED.removeprefix("Before.\n\n")


def test_a_drag_that_comes_back_selects_in_one_view_again(qtbot, body):
    views = body.views()
    drag(views[0], QPoint(0, 2), views[1], QPoint(5, 5))
    drag(views[0], QPoint(0, 2), views[0], views[0].viewport().rect().bottomRight())
    assert copied(qtbot, views[0]) == "Before."
    assert not views[1].textCursor().hasSelection()


def test_a_click_ends_the_selection_everywhere(qtbot, body):
    views = body.views()
    views[0].selectAll()
    assert all(view.textCursor().hasSelection() for view in views)
    qtbot.mouseClick(views[1].viewport(), LEFT, pos=QPoint(2, 2))
    assert not any(view.textCursor().hasSelection() for view in views)


def test_select_all_selects_the_answer(qtbot, body):
    qtbot.keyClick(body.views()[1], Qt.Key.Key_A, CONTROL)
    assert copied(qtbot, body.views()[1]) == COPIED


def test_keys_with_shift_lead_from_view_to_view_and_back(qtbot, body):
    first, code = body.views()[:2]
    first.setFocus()
    qtbot.keyClick(first, Qt.Key.Key_End, SHIFT | CONTROL)
    assert copied(qtbot, first) == "Before."
    qtbot.keyClick(first, Qt.Key.Key_Right, SHIFT)  # into the code
    qtbot.keyClick(first, Qt.Key.Key_End, SHIFT)
    assert copied(qtbot, first) == "Before.\n\nx = 1"
    for _ in range(3):
        qtbot.keyClick(first, Qt.Key.Key_Left, SHIFT)
    assert copied(qtbot, first) == "Before.\n\nx "
    qtbot.keyClick(first, Qt.Key.Key_Home, SHIFT)
    qtbot.keyClick(first, Qt.Key.Key_Left, SHIFT)
    assert not code.textCursor().hasSelection()
    assert copied(qtbot, first) == "Before."


def test_part_of_an_item_has_no_mark(qtbot, body):
    view = body.views()[2]
    cursor = view.textCursor()
    cursor.setPosition(view.toPlainText().index("ne"))
    cursor.setPosition(view.toPlainText().index("two") + 3, cursor.MoveMode.KeepAnchor)
    view.setTextCursor(cursor)
    assert copied(qtbot, view) == "ne\n2. two"


def test_a_selection_goes_over_messages(qtbot, open_window):
    window = open_window(FakeEngine(scripts=[["First *answer*."], ["- one\n- two"]]))
    for text in ("Hi", "A list"):
        type_and_send(qtbot, window, text)
        wait_until_ready(qtbot, window)
    views = window.chat.transcript.views()
    drag(views[0], QPoint(0, 2), views[-1], views[-1].viewport().rect().bottomRight())
    assert copied(qtbot, views[0]) == "Hi\n\nFirst answer.\n\nA list\n\n- one\n- two"
    views[-1].setFocus()
    qtbot.keyClick(views[-1], Qt.Key.Key_A, CONTROL)
    assert copied(qtbot, views[-1]) == "- one\n- two"


def test_a_message_s_menu_copies_edits_and_answers_again(qtbot, open_window):
    window = open_window(FakeEngine(scripts=[["See [this](https://example.org)."], ["Again."]]))
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    question, answer = window.chat.transcript.messages()

    def choose(widget, name, *arguments):
        menu = widget.menu_for(*arguments)
        next(action for action in menu.actions() if action.text() == name).trigger()
        menu.deleteLater()

    choose(answer, "Copy Link", answer.views()[0], "https://example.org")
    assert QGuiApplication.clipboard().text() == "https://example.org"
    choose(answer, "Copy Message", None)
    assert QGuiApplication.clipboard().text() == "See [this](https://example.org)."
    choose(question, "Edit…", None)
    assert question.editor
    choose(answer, "Answer Again", None)
    wait_until_ready(qtbot, window)
    assert last_answer(window).text == "Again."
