"""Reasoning and tool calls in the window: folded, streamed, copied, found; and what helps where a template fails."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QTextDocument
from PySide6.QtWidgets import QLabel, QPushButton

from app.chat.markdown import MAX_TAIL_CHARACTERS
from app.chat.message import Answer
from app.chat.reasoning import Reasoning
from app.chat.receipt import Receipt
from app.conversations.conversation import Conversation
from app.host.engine_host import State
from engine.errors import TemplateError
from tests.helpers.fake_engine import FakeEngine, Gate, call_text, called, thought

LEFT = Qt.MouseButton.LeftButton


def ask(qtbot, window, text="Hello"):
    qtbot.keyClicks(window.chat.composer.entry, text)
    qtbot.keyClick(window.chat.composer.entry, Qt.Key.Key_Return)


def answer_of(window) -> Answer:
    return window.chat.transcript.messages()[-1]


def answered(qtbot, window) -> Answer:
    with qtbot.waitSignal(window.chat.answered):
        ask(qtbot, window)
    return answer_of(window)


def test_reasoning_streams_folded_and_can_be_read_while_it_does(qtbot, open_window):
    first, second = Gate(), Gate()
    window = open_window(FakeEngine(scripts=[[thought("One **bold**"), first, thought(" idea."), second, "So."]]))
    ask(qtbot, window)
    qtbot.waitUntil(lambda: answer_of(window).reasoning is not None)
    answer = answer_of(window)
    assert answer.reasoning.button.text() == "Thinking…"
    assert answer.receipt.text() == ""  # nothing of processing the message
    assert answer.views() == answer.body.views()
    qtbot.mouseClick(answer.reasoning.button, LEFT)
    assert answer.views()[0].toPlainText() == "One bold"
    first.opened.set()
    qtbot.waitUntil(lambda: answer.views()[0].toPlainText() == "One bold idea.")
    with qtbot.waitSignal(window.chat.answered):
        second.opened.set()
    assert answer.reasoning.button.text().startswith("Thought for")
    qtbot.mouseClick(answer.reasoning.button, LEFT)
    assert [view.toPlainText() for view in answer.views()] == ["So."]
    message = window.chat.conversation.path()[-1]
    assert (message.text, message.reasoning, message.reasoning_tokens) == ("So.", "One **bold** idea.", 2)
    assert message.reasoning_seconds >= 0


def test_the_line_says_how_long(qtbot):
    reasoning = Reasoning()
    qtbot.addWidget(reasoning)
    words = []
    for seconds in (0.0, 12.4, 150.0):
        reasoning.finish(seconds)
        words.append(reasoning.button.text().replace("\u00a0", " "))
    assert words == ["Thought for a moment", "Thought for 12 s", "Thought for 2 min"]


def test_an_answer_that_is_nothing_but_reasoning_says_why_it_ended(qtbot, open_window):
    window = open_window(FakeEngine(scripts=[[thought("Hm."), Gate()]]))
    ask(qtbot, window)
    qtbot.waitUntil(lambda: answer_of(window).reasoning is not None)
    with qtbot.waitSignal(window.chat.answered):
        window.chat.stop()
    assert "stopped" in answer_of(window).receipt.text()


def test_it_is_found_and_unfolded_and_copied(qtbot, open_window):
    window = open_window(FakeEngine(scripts=[[thought("A needle here."), "No nettle."]]))
    answer = answered(qtbot, window)
    window.chat.find_bar.open_bar()
    qtbot.keyClicks(window.chat.find_bar.field, "needle")
    qtbot.keyClick(window.chat.find_bar.field, Qt.Key.Key_Return)
    assert window.chat.find_bar.count.text() == "1 of 1"
    assert answer.reasoning.button.isChecked()
    view = answer.views()[0]
    assert view.extraSelections()
    view.selectAll()
    view.copy()
    assert QGuiApplication.clipboard().text() == "A needle here.\n\nNo nettle."
    qtbot.mouseClick(answer.copy_button, LEFT)
    assert QGuiApplication.clipboard().text() == "No nettle."
    window.chat.find_bar.close_bar()


def test_the_receipt_and_the_meter_count_it(qtbot, open_window):
    window = open_window(FakeEngine(scripts=[[thought("a"), thought("b"), "c"]]))
    answer = answered(qtbot, window)
    qtbot.mouseClick(answer.detail_button, LEFT)
    figures = answer.message.receipt
    assert (figures["reasoning_tokens"], figures["tokens"]) == (2, 3)
    assert figures["time_to_first_answer_s"] > figures["time_to_first_token_s"]
    rows = dict(Receipt.from_json(figures).rows())
    assert rows["Reasoning"] == "2 tokens of these"
    assert {"First token", "First answer token"} <= rows.keys()
    shown = {label.text() for label in answer.detail.findChildren(QLabel)}
    assert {"2 tokens of these", "First answer token"} <= shown
    meter = window.chat.composer.meter
    assert meter.label.text() == "7 of 512 tokens (2 reasoning)"  # 4 of the prompt, and 3
    qtbot.keyClicks(window.chat.composer.entry, "four words of text")
    assert meter.label.text() == "about 11 of 512 tokens (2 reasoning)"


def test_the_meter_counts_reasoning_while_it_is_written(qtbot, open_window):
    gate = Gate()
    window = open_window(FakeEngine(scripts=[[thought("a thought of some words"), gate, "c"]]))
    ask(qtbot, window)
    qtbot.waitUntil(lambda: window.chat.composer.meter.label.text() == "about 7 of 512 tokens (6 reasoning)")
    gate.opened.set()
    qtbot.waitUntil(lambda: window.chat.conversation.path()[-1].finish == "stop")


def test_the_next_question_hands_the_reasoning_to_the_engine(qtbot, open_window):
    engine = FakeEngine(scripts=[[thought("Why?"), "Hi."]])
    window = open_window(engine)
    answered(qtbot, window)
    answered(qtbot, window)
    assert engine.asked[1][1] == {"role": "assistant", "content": "Hi.", "reasoning": "Why?"}


@pytest.mark.parametrize("open_first", [False, True])
def test_four_thousand_tokens_of_reasoning_cost_no_more_a_frame_than_an_answer(qtbot, monkeypatch, open_first):
    conversation = Conversation()
    _, message = conversation.ask("Hm")
    answer = Answer(message)
    qtbot.addWidget(answer)
    letters = [0]
    parse = QTextDocument.setMarkdown

    def counted(document, text, *features):
        letters[0] += len(text)
        return parse(document, text, *features)

    monkeypatch.setattr(QTextDocument, "setMarkdown", counted)
    answer.append_reasoning("So ")
    if open_first:
        answer.reasoning.unfold()
    for number in range(1000):  # frames of four tokens
        before = letters[0]
        answer.append_reasoning(f"the user, {number}. " if number % 20 else "\n\nNext ")
        assert letters[0] - before <= (2 * MAX_TAIL_CHARACTERS if open_first else 0)
    before = letters[0]
    if not open_first:
        answer.reasoning.unfold()
        assert letters[0] - before <= 3 * len(answer.reasoning.text)  # once, all of it


def test_a_tool_call_is_a_block_and_no_prose(qtbot, open_window):
    gate = Gate()
    script = ["Let me see.", call_text('{"name": "weath'), gate, call_text('er"}'), called("weather", city="Reykjavík")]
    window = open_window(FakeEngine(scripts=[script]))
    ask(qtbot, window)
    qtbot.waitUntil(lambda: len(window.chat.transcript.messages()) == 2 and answer_of(window).calls != [])
    answer = answer_of(window)
    assert answer.calls[0].text == '{"name": "weath'
    with qtbot.waitSignal(window.chat.answered):
        gate.opened.set()
    (block,) = answer.calls
    assert block.text == '{\n  "city": "Reykjavík"\n}'
    assert block.view.accessibleName() == "Tool call: weather (not run)"
    assert answer.text == "Let me see."
    (call,) = answer.message.tool_calls
    assert (call.name, call.arguments) == ("weather", block.text)
    qtbot.mouseClick(block.copy_button, LEFT)
    assert QGuiApplication.clipboard().text() == block.text
    again = Answer(answer.message)  # as when the chat is opened later
    qtbot.addWidget(again)
    assert [shown.text for shown in again.calls] == [block.text]


def test_a_call_that_cannot_be_understood_stays_as_it_was_written(qtbot, open_window):
    script = [call_text("add(1"), "\n", call_text("add(2)"), called("add", n=2)]
    window = open_window(FakeEngine(scripts=[script]))
    answer = answered(qtbot, window)
    assert [(call.name, call.arguments) for call in answer.message.tool_calls] == [
        ("", "add(1"),
        ("add", '{\n  "n": 2\n}'),
    ]
    assert [block.text for block in answer.calls] == ["add(1", '{\n  "n": 2\n}']


def test_a_template_that_fails_offers_the_plain_format_and_goes_on_with_it(qtbot, open_window):
    engine = FakeEngine(scripts=[[TemplateError("The chat template fails in line 3.", 3)], ["Fine."], ["Again."]])
    window = open_window(engine)
    answer = answered(qtbot, window)
    assert answer.notice.message.text() == "The chat template fails in line 3."
    assert answer.notice.action.text() == "Use the Plain Format"
    assert engine.options[0].plain_format is False
    with qtbot.waitSignal(window.chat.answered):
        qtbot.mouseClick(answer.notice.action, LEFT)
    assert (answer.text, answer.notice) == ("Fine.", None)
    assert len(window.chat.conversation.path()) == 2
    answered(qtbot, window)
    assert [options.plain_format for options in engine.options] == [False, True, True]
    window.chat.new_chat()
    answered(qtbot, window)
    assert engine.options[-1].plain_format is False


def test_other_errors_offer_no_plain_format(qtbot, open_window):
    window = open_window(FakeEngine(scripts=[[ValueError("a bug")]]))
    answer = answered(qtbot, window)
    assert answer.notice.action.isHidden()
    assert window.host.state is State.READY
    assert all(isinstance(button, QPushButton) for button in (answer.notice.action, answer.notice.unfold))


# ---------------------------------------------------------------------------- how a model is asked
def choose(qtbot, box, words):
    """As with the keyboard: to the first entry, and down to the one that is wanted."""
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Home)
    while box.currentText() != words:
        qtbot.keyClick(box, Qt.Key.Key_Down)


def test_thinking_and_effort_are_told_to_a_template_that_knows_them(qtbot, open_window):
    engine = FakeEngine(controls=("enable_thinking", "reasoning_effort"))
    window = open_window(engine)
    qtbot.mouseClick(window.chat.composer.parameters_button, LEFT)
    form = window.chat.parameters.reasoning
    assert form.thinking.isVisible()
    assert form.effort.isVisible()
    answered(qtbot, window)
    choose(qtbot, form.thinking, "off")
    choose(qtbot, form.effort, "high")
    answered(qtbot, window)
    window.chat.new_chat()
    answered(qtbot, window)
    told = [(options.enable_thinking, options.reasoning_effort) for options in engine.options]
    assert told == [(None, None), (False, "high"), (None, None)]


def test_a_template_that_knows_nothing_of_it_has_no_switch(qtbot, open_window):
    window = open_window(FakeEngine())
    qtbot.mouseClick(window.chat.composer.parameters_button, LEFT)
    assert not window.chat.parameters.reasoning.isVisible()


def test_what_the_makers_advise_is_shown_as_such_and_nothing_is_passed(qtbot, open_window):
    engine = FakeEngine(advised={"temperature": 0.6, "presence_penalty": 1.5})
    window = open_window(engine)
    qtbot.mouseClick(window.chat.composer.parameters_button, LEFT)
    fields = window.chat.parameters.form.fields
    assert fields["temperature"].box.text() == "model's default 0.6"
    assert fields["presence_penalty"].box.text() == "model's default 1.5"
    assert fields["min_p"].box.text() == "Flashbulb's default 0"
    assert fields["top_p"].box.text() == "Flashbulb's default 0.9"
    answered(qtbot, window)
    for name, times in (("temperature", 1), ("min_p", 2), ("max_tokens", 1)):
        fields[name].box.setFocus()
        for _ in range(times):
            qtbot.keyClick(fields[name].box, Qt.Key.Key_Up)
    answered(qtbot, window)
    qtbot.keyClick(fields["temperature"].box, Qt.Key.Key_Down)
    answered(qtbot, window)
    told = [(options.temperature, options.min_p, options.top_p, options.max_tokens) for options in engine.options]
    assert told == [(None, None, None, 512), (0.0, 0.05, None, 576), (None, 0.05, None, 576)]
