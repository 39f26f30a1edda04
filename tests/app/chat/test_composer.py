import pytest
from PySide6.QtCore import QMimeData, Qt

from app.chat.composer import EMPTY_REASON, MOST_LINES, Composer


@pytest.fixture
def composer(qtbot):
    composer = Composer()
    composer.set_ready()
    qtbot.addWidget(composer)
    composer.resize(400, 100)
    composer.show()
    return composer


def test_enter_sends_and_shift_enter_starts_a_line(qtbot, composer):
    sent = []
    composer.submitted.connect(sent.append)
    qtbot.keyClicks(composer.entry, "one")
    qtbot.keyClick(composer.entry, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClicks(composer.entry, "two")
    assert sent == []
    qtbot.keyClick(composer.entry, Qt.Key.Key_Return)
    assert sent == ["one\ntwo"]
    assert composer.entry.toPlainText() == ""


def test_blank_text_is_not_sent(qtbot, composer):
    with qtbot.assertNotEmitted(composer.submitted):
        qtbot.keyClicks(composer.entry, "   ")
        qtbot.keyClick(composer.entry, Qt.Key.Key_Enter)
    assert not composer.button.isEnabled()
    assert composer.button.toolTip() == EMPTY_REASON


def test_it_grows_with_the_text_up_to_a_limit(composer):
    one = composer.entry.height()
    composer.entry.setPlainText("a\nb\nc")
    three = composer.entry.height()
    composer.entry.setPlainText("\n".join("x" * 100))
    most = composer.entry.height()
    assert one < three < most <= MOST_LINES * composer.entry.fontMetrics().lineSpacing()
    composer.entry.clear()
    assert composer.entry.height() == one


def test_pasted_text_is_plain(composer):
    source = QMimeData()
    source.setHtml("<b>bold</b>")
    source.setText("bold")
    composer.entry.insertFromMimeData(source)
    assert composer.entry.toPlainText() == "bold"
    assert "font-weight:700" not in composer.entry.toHtml()


def test_the_button_stops_while_an_answer_comes(qtbot, composer):
    composer.entry.setPlainText("next question")
    composer.set_answering()
    with qtbot.assertNotEmitted(composer.submitted), qtbot.waitSignal(composer.stop_asked):
        qtbot.mouseClick(composer.button, Qt.MouseButton.LeftButton)
        qtbot.keyClick(composer.entry, Qt.Key.Key_Return)
    assert composer.entry.toPlainText() == "next question"


def test_tab_leaves_the_field_for_the_button(qtbot, composer):
    composer.entry.setPlainText("text")
    composer.entry.setFocus()
    qtbot.keyClick(composer.entry, Qt.Key.Key_Tab)
    assert composer.focusWidget() is composer.button
