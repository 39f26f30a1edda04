import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel

from app.chat.message import BUBBLE_MARGINS
from app.chat.transcript import COLUMN_MARGIN, COLUMN_WIDTH, MAX_MADE_MESSAGES, PAGE_MESSAGES, Transcript
from app.conversations.conversation import Conversation

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
    conversation = Conversation()
    _, message = conversation.ask("Tell me a lot")
    transcript.show_path(conversation.path())
    answer = transcript.widget_of(message)
    answer.append(LONG)
    qtbot.waitUntil(lambda: at_bottom(transcript))
    return answer


def test_it_follows_the_answer_at_the_bottom(qtbot, transcript, answer):
    before = transcript.verticalScrollBar().maximum()
    answer.append(LONG)
    qtbot.waitUntil(lambda: transcript.verticalScrollBar().maximum() > before)
    assert at_bottom(transcript)
    assert not transcript.jump.isVisible()


def test_what_is_shown_without_messages_begins_at_its_top_and_an_answer_is_followed_all_the_same(qtbot, transcript):
    placeholder, bar = transcript.findChild(QLabel), transcript.verticalScrollBar()
    placeholder.setMinimumHeight(1000)
    qtbot.waitUntil(lambda: bar.maximum() > 0)
    assert bar.value() == 0
    bar.setValue(20)
    assert not transcript.jump.isVisible()  # there is no latest message to go to
    conversation = Conversation()
    _, message = conversation.ask("Tell me a lot")
    transcript.show_path(conversation.path())
    transcript.go_to_end()
    transcript.widget_of(message).append(LONG)
    qtbot.waitUntil(lambda: at_bottom(transcript))


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
    left = answer.mapTo(transcript, answer.rect().topLeft()).x()
    assert abs(left - (transcript.width() - COLUMN_WIDTH) // 2) <= 1


def test_nothing_moves_when_the_scroll_bar_comes(qtbot, transcript):
    transcript.resize(420, 300)
    conversation = Conversation()
    conversation.ask("Hi", None)
    transcript.show_path(conversation.path())
    answer = transcript.messages()[-1]
    qtbot.wait(20)
    assert not transcript.verticalScrollBar().isVisible()
    before = answer.x(), answer.width()
    answer.append(LONG)
    qtbot.waitUntil(transcript.verticalScrollBar().isVisible)
    assert (answer.x(), answer.width()) == before


def test_a_question_is_as_wide_as_its_text_and_wraps_when_long(qtbot, transcript):
    conversation = Conversation()
    _, between = conversation.ask("Hi")
    conversation.ask("many words " * 40, between.id)
    transcript.show_path(conversation.path())
    short, _, long, _ = transcript.messages()
    qtbot.waitUntil(lambda: short.view.width() < 60)
    assert long.view.width() <= 0.8 * long.width()
    for question in (short, long):  # the ground is as wide as the text, and ends where the column does
        ground = question.view.parentWidget()
        assert ground.width() == question.view.width() + BUBBLE_MARGINS[0] + BUBBLE_MARGINS[2]
        assert ground.geometry().right() == question.rect().right()
    assert long.view.height() > 3 * short.view.height()


@pytest.mark.usefixtures("answer")
def test_clearing_brings_the_placeholder_back(transcript):
    transcript.show_path([])
    assert transcript.messages() == []
    assert not transcript.jump.isVisible()


def talk(count) -> Conversation:
    """A conversation of `count` finished answers."""
    conversation = Conversation()
    for number in range(count):
        _, answer = conversation.ask(f"Question {number}", conversation.leaf)
        answer.text, answer.finish = f"Answer {number}. " * 20, "stop"
    return conversation


def test_what_is_shown_already_stays(transcript):
    conversation = talk(3)
    transcript.show_path(conversation.path())
    before = transcript.messages()
    conversation.ask("One more", conversation.leaf)
    transcript.show_path(conversation.path())
    assert transcript.messages()[:6] == before
    assert len(transcript.messages()) == 8
    transcript.show_path(conversation.path()[:2])
    assert transcript.messages() == before[:2]


def test_a_long_conversation_begins_with_its_end_and_grows_upwards(qtbot, transcript):
    conversation = talk(100)
    transcript.show_path(conversation.path())
    assert len(transcript.messages()) == PAGE_MESSAGES
    qtbot.waitUntil(lambda: at_bottom(transcript))
    first, bar = transcript.messages()[0], transcript.verticalScrollBar()
    bar.setValue(0)
    assert first.y() - bar.value() == COLUMN_MARGIN  # what was looked at stays in view
    while transcript.path()[0] is not transcript.messages()[0].message:
        made = transcript.messages()[0]
        bar.setValue(0)
        assert made is not transcript.messages()[0]
        assert len(transcript.messages()) <= MAX_MADE_MESSAGES
    assert transcript.path() == conversation.path()


def test_going_far_back_makes_what_is_around_and_the_rest_as_the_reader_scrolls_down(qtbot, transcript):
    path = talk(100).path()
    transcript.show_path(path)
    qtbot.waitUntil(lambda: at_bottom(transcript))
    transcript.go_to(path[3])
    assert len(transcript.messages()) <= PAGE_MESSAGES
    qtbot.waitUntil(transcript.jump.isVisible)
    bar, seen = transcript.verticalScrollBar(), []

    def at_the_end():
        bar.triggerAction(bar.SliderAction.SliderToMaximum)
        seen.extend(w.message for w in transcript.messages() if w.message not in seen)
        return transcript.messages()[-1].message is path[-1]

    qtbot.waitUntil(at_the_end)
    assert seen == path
    assert len(transcript.messages()) <= MAX_MADE_MESSAGES
    assert transcript.path() == path


def test_what_is_being_typed_is_not_let_go(qtbot, transcript):
    path = talk(100).path()
    transcript.show_path(path)
    qtbot.waitUntil(lambda: at_bottom(transcript))
    question = transcript.messages()[-2]
    question.edit()
    while transcript.messages()[0].message is not path[0]:
        transcript.verticalScrollBar().setValue(0)
    assert transcript.messages()[-1] is question  # only the answer below it went
    assert question.editor


def test_the_way_back_from_far_up_leads_to_the_end(qtbot, transcript):
    path = talk(100).path()
    transcript.show_path(path)
    transcript.go_to(path[3])
    qtbot.waitUntil(transcript.jump.isVisible)
    qtbot.mouseClick(transcript.jump, Qt.MouseButton.LeftButton)
    assert transcript.messages()[-1].message is path[-1]
    qtbot.waitUntil(lambda: at_bottom(transcript))
    assert transcript.path() == path


def test_what_is_added_while_the_end_is_not_made_is_there_later(transcript):
    conversation = talk(100)
    transcript.show_path(conversation.path())
    transcript.go_to(conversation.path()[3])
    conversation.ask("One more", conversation.leaf)
    transcript.show_path(conversation.path())
    assert transcript.path() == conversation.path()
    transcript.go_to_end()
    assert transcript.messages()[-2].text == "One more"


def test_a_branch_in_the_part_that_is_not_made_yet(transcript):
    conversation = talk(100)
    path = conversation.path()
    transcript.show_path(path)
    transcript.show_path(path[:20])
    assert transcript.path() == path[:20]
    transcript.show_path(path)
    assert transcript.path() == path


def test_however_narrow_it_is_its_messages_take_no_more_room(qtbot, transcript):
    conversation = Conversation()
    _, answer = conversation.ask("I just got a dog named Archibald!")
    answer.text, answer.finish = "Oh, that's cool! I love dogs.", "stop"
    transcript.show_path(conversation.path())
    for width in range(500, 150, -7):
        transcript.resize(width, 600)
        qtbot.waitUntil(lambda: transcript.widget().width() == transcript.viewport().width())


def test_any_message_can_be_gone_to(qtbot, transcript):
    conversation = talk(100)
    path = conversation.path()
    transcript.show_path(path)
    qtbot.waitUntil(lambda: at_bottom(transcript))
    transcript.go_to(path[30])
    widget = transcript.widget_of(path[30])

    def in_view():
        top = widget.mapTo(transcript.viewport(), widget.rect().topLeft()).y()
        return 0 <= top < transcript.viewport().height() / 2

    qtbot.waitUntil(in_view)
