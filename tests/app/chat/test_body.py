import pytest

from app.chat.body import AnswerBody
from app.chat.markdown import MAX_VIEW_BLOCKS, MarkdownView
from app.chat.table import Table

HEAD = "| number | square |\n| --- | --- |\n"


@pytest.fixture
def body(qtbot):
    body = AnswerBody()
    qtbot.addWidget(body)
    return body


def test_a_table_has_a_block_of_its_own_from_its_second_line_on(body):
    for character in "Before.\n" + HEAD.strip():
        body.append(character)
    assert [type(block) for block in body.blocks()] == [MarkdownView]
    body.append("\n")
    assert [type(block) for block in body.blocks()] == [MarkdownView, Table]
    assert body.plain_text().split() == ["Before.", "number", "square"]
    for character in "| 2 | 4 |\n\nAfter.":
        body.append(character)
    assert [type(block) for block in body.blocks()] == [MarkdownView, Table, MarkdownView]
    assert body.plain_text().split() == ["Before.", "number", "square", "2", "4", "After."]


def test_an_answer_may_begin_with_a_table(body):
    for character in HEAD:
        body.append(character)
    assert [type(block) for block in body.blocks()] == [Table]


def test_an_answer_that_ended_in_a_table_goes_on_in_it(body):
    body.append(HEAD + "| 2 | 4")
    body.finish()
    body.append(" |\n| 3 | 9 |")
    body.finish()
    assert [type(block) for block in body.blocks()] == [Table]
    assert body.plain_text().split() == ["number", "square", "2", "4", "3", "9"]


def test_a_long_paragraph_whose_last_line_is_a_head_loses_nothing(body):
    words = "word " * 400
    body.append(words)
    body.append("\n| " + "head " * 100 + "| two |\n")
    body.append("|---|---|\n| 1 | 2 |\n")
    view, table = body.blocks()
    assert view.toPlainText().split() == words.split()
    assert table.views()[0].toPlainText().split() == ["head"] * 100 + ["two", "1", "2"]


def test_a_long_list_goes_on_in_another_view(body):
    items = [f"- item {n}\n" for n in range(4 * MAX_VIEW_BLOCKS)]
    for piece in items:
        body.append(piece[:4])
        body.append(piece[4:])
    body.finish()
    assert len(body.blocks()) > 1
    assert body.plain_text().split() == "".join(items).replace("-", "").split()
