import pytest
from PySide6.QtCore import QMimeData, Qt

from app.chat.composer import Composer
from app.chat.entry import MAX_LINES


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
    assert composer.button.toolTip() == "Write a message first"


def test_it_grows_with_the_text_up_to_a_limit(composer):
    one = composer.entry.height()
    composer.entry.setPlainText("a\nb\nc")
    three = composer.entry.height()
    composer.entry.setPlainText("\n".join("x" * 100))
    most = composer.entry.height()
    assert one < three < most <= MAX_LINES * composer.entry.fontMetrics().lineSpacing()
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


def test_the_meter_says_how_full_the_context_is(composer):
    composer.meter.set_used(412, 2048)
    assert composer.meter.label.text() == "412 of 2,048 tokens"
    assert "oldest messages" in composer.meter.toolTip()
    composer.meter.set_used(1800, 2048)
    assert composer.meter.label.text() == "1,800 of 2,048 tokens, nearly full"
    composer.meter.set_used(1800, 2048, 400)
    assert composer.meter.label.text() == "about 2,200 of 2,048 tokens: older messages will be left out"
    composer.meter.say("Loading the model…")
    assert not composer.meter.ring.isVisible()
