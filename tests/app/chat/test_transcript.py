import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel

from app.chat.transcript import COLUMN_WIDTH, Transcript

LONG = "A line of text.\n\n" * 40


@pytest.fixture
def transcript(qtbot):
    transcript = Transcript(QLabel("Nothing yet"))
    qtbot.addWidget(transcript)
    transcript.resize(900, 400)
    transcript.show()
    qtbot.waitExposed(transcript)
    return transcript


def at_bottom(transcript):
    bar = transcript.verticalScrollBar()
    return bar.maximum() > 0 and bar.value() == bar.maximum()


@pytest.fixture
def answer(qtbot, transcript):
    """An answer longer than the view, which has been followed."""
    transcript.add_question("Tell me a lot")
    answer = transcript.add_answer()
    answer.append(LONG)
    qtbot.waitUntil(lambda: at_bottom(transcript))
    return answer


def test_it_follows_the_answer_at_the_bottom(qtbot, transcript, answer):
    before = transcript.verticalScrollBar().maximum()
    answer.append(LONG)
    qtbot.waitUntil(lambda: transcript.verticalScrollBar().maximum() > before)
    assert at_bottom(transcript)
    assert not transcript.jump.isVisible()


def test_it_stays_where_the_reader_went(qtbot, transcript, answer):
    bar = transcript.verticalScrollBar()
    bar.setValue(50)
    before = bar.maximum()
    answer.append(LONG)
    qtbot.waitUntil(lambda: bar.maximum() > before)
    assert bar.value() == 50
    assert transcript.jump.isVisible()


def test_the_button_leads_back_and_follows_again(qtbot, transcript, answer):
    transcript.verticalScrollBar().setValue(50)
    qtbot.mouseClick(transcript.jump, Qt.MouseButton.LeftButton)
    assert at_bottom(transcript)
    assert not transcript.jump.isVisible()
    before = transcript.verticalScrollBar().maximum()
    answer.append(LONG)
    qtbot.waitUntil(lambda: transcript.verticalScrollBar().maximum() > before)
    assert at_bottom(transcript)


@pytest.mark.usefixtures("answer")
def test_scrolling_back_by_hand_follows_again(transcript):
    bar = transcript.verticalScrollBar()
    bar.setValue(50)
    bar.setValue(bar.maximum())
    assert not transcript.jump.isVisible()


def test_the_column_is_centred_and_not_too_wide(transcript, answer):
    assert abs(answer.width() - COLUMN_WIDTH) <= 1
    left = answer.mapTo(transcript.viewport(), answer.rect().topLeft()).x()
    assert abs(left - (transcript.viewport().width() - COLUMN_WIDTH) // 2) <= 1


def test_a_question_is_as_wide_as_its_text_and_wraps_when_long(qtbot, transcript):
    short, long = transcript.add_question("Hi"), transcript.add_question("many words " * 40)
    qtbot.waitUntil(lambda: short.view.width() < 60)
    assert long.view.width() <= 0.8 * long.width()
    assert long.view.height() > 3 * short.view.height()


@pytest.mark.usefixtures("answer")
def test_clearing_brings_the_placeholder_back(transcript):
    transcript.clear()
    assert transcript.messages() == []
    assert not transcript.jump.isVisible()
