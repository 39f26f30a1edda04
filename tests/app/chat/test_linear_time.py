"""The text of a model in a loop costs no more a letter, however much it is.

Work is counted where it can be: letters that are parsed, widgets that are laid out. Of pure functions, one is timed
against itself: eight times the text may take a little more than eight times as long, and not sixty-four times.
"""

import time

import pytest
from PySide6.QtGui import QGuiApplication, QTextCursor, QTextDocument

from app.chat.body import AnswerBody
from app.chat.emphasis import marked
from app.chat.find import MAX_MARKS, FindBar
from app.chat.inline import parts
from app.chat.markdown import (
    MAX_BLOCK_CHARACTERS,
    MAX_LINE_CHARACTERS,
    MAX_TAIL_CHARACTERS,
    MAX_VIEW_BLOCKS,
    MAX_VIEW_CHARACTERS,
    MarkdownView,
)
from app.chat.mathematics import legible
from app.chat.message import Question
from app.chat.transcript import Transcript
from app.conversations.conversation import Conversation, Message

LEAST, GROWTH, MOST_RATIO = 1000, 8, 24  # repetitions, times as many, times as long
LOOPS = {
    "backticks": "`",
    "more and more backticks": None,
    "opening formulas": r"\(",
    "displayed formulas": "$$a ",
    "money": "$5 and ",
    "fractions": r"$\frac{a}{",
    "asterisks": "是*“",
    "bold": "是**“是”**",
    "open brackets": "[",
    "tildes": "是~“",
}


def looped(piece, count):
    return piece * count if piece else "".join("`" * n + " " for n in range(round(count**0.5)))


@pytest.mark.parametrize(
    "function", [legible, marked, lambda text: list(parts(text))], ids=["math", "emphasis", "code"]
)
@pytest.mark.parametrize("name", LOOPS)
def test_reading_signs_takes_time_in_proportion(function, name):
    def fastest(count):
        text, times = looped(LOOPS[name], count), []
        for _ in range(3):
            began = time.perf_counter()
            function(text)
            times.append(time.perf_counter() - began)
        return min(times)

    assert fastest(GROWTH * LEAST) < MOST_RATIO * fastest(LEAST) + 0.05


LINES = {
    "rules": "---\n",
    "numbers": "1. item\n",
    "tasks": "- [x] done\n",
    "headings": "# a\n",
    "lines": "x\n",
    "links": "[a](https://b.c) ",
    "addresses": "https://a.b/c ",
    "one word": "a",
    "quotations": "> a\n\n",
    "nothing": "\n",
}


@pytest.fixture
def work(monkeypatch):
    """Letters that Qt's parser was given, and pieces of text that were coloured."""
    done = {"letters": 0, "coloured": 0}
    parse, merge = QTextDocument.setMarkdown, QTextCursor.mergeCharFormat

    def counted_parse(document, text, *features):
        done["letters"] += len(text)
        return parse(document, text, *features)

    def counted_merge(cursor, style):
        done["coloured"] += 1
        return merge(cursor, style)

    monkeypatch.setattr(QTextDocument, "setMarkdown", counted_parse)
    monkeypatch.setattr(QTextCursor, "mergeCharFormat", counted_merge)
    return done


@pytest.mark.parametrize("name", LINES)
def test_twice_as_long_an_answer_takes_twice_the_work_to_open(qtbot, work, name):
    def needed(count):
        before = dict(work)
        body = AnswerBody()
        qtbot.addWidget(body)
        body.append(LINES[name] * count)
        body.finish()
        for view in body.views():
            assert view.document().characterCount() <= MAX_BLOCK_CHARACTERS + 3 * MAX_VIEW_CHARACTERS
            assert view.document().blockCount() <= 5 * MAX_VIEW_BLOCKS
        return [work[kind] - before[kind] for kind in work]

    for once, twice in zip(needed(1600), needed(3200), strict=True):
        assert twice <= 2.5 * once + 10


def test_a_table_is_parsed_row_by_row(qtbot, monkeypatch):
    body, most = AnswerBody(), []
    qtbot.addWidget(body)
    parse = QTextDocument.setMarkdown
    monkeypatch.setattr(
        QTextDocument, "setMarkdown", lambda document, text, *f: (most.append(len(text)), parse(document, text, *f))
    )
    rows = "| a | b |\n" * 2000
    body.append("| a | b |\n|---|---|\n" + rows)
    assert sum(most) <= 2 * len(rows)
    assert max(most) <= 2000


def test_streaming_parses_no_more_than_the_tail(qtbot, work):
    view = MarkdownView()
    qtbot.addWidget(view)
    for _ in range(150):
        before = work["letters"]
        view.append_markdown("1. item `x` and [a](https://b.c)\n")
        assert work["letters"] - before <= 3 * MAX_TAIL_CHARACTERS


def test_finding_marks_no_more_places_than_can_be_seen(qtbot):
    transcript = Transcript(MarkdownView())
    qtbot.addWidget(transcript)
    transcript.resize(640, 400)
    transcript.show()
    bar = FindBar(transcript)
    qtbot.addWidget(bar)
    conversation = Conversation()
    _, answer = conversation.ask("?")
    answer.text, answer.finish = "a" * 20_000, "stop"
    transcript.show_path(conversation.path())
    bar.open_bar()
    bar.field.setText("a")
    assert bar.count.text().endswith("of 20,000")
    bar.step(-1)
    bar.step(-1)
    marks = [mark for view in transcript.messages()[-1].views() for mark in view.extraSelections()]
    assert 0 < len(marks) <= MAX_MARKS
    assert any(mark.format.fontUnderline() for mark in marks)
    bar.close_bar()


def test_a_question_has_no_line_that_takes_long_to_lay_out(qtbot):
    text = "word " + "x" * (3 * MAX_LINE_CHARACTERS + 5) + "\nlast"
    question = Question(Message("user", text))
    qtbot.addWidget(question)
    lines = question.view.toPlainText().split("\n")
    assert max(map(len, lines)) == MAX_LINE_CHARACTERS
    assert "".join(lines) == text.replace("\n", "")
    assert lines[-1] == "last"
    question.copy()
    assert QGuiApplication.clipboard().text() == text
