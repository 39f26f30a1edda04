import pytest

from app.chat.body import AnswerBody
from app.chat.markdown import MOST_BLOCKS

HEAD = "| number | square |\n| --- | --- |\n"


@pytest.fixture
def body(qtbot):
    body = AnswerBody()
    qtbot.addWidget(body)
    return body


def test_a_long_table_goes_on_in_another_view_and_loses_no_row(body):
    rows = [f"| {n} | {n * n} |\n" for n in range(MOST_BLOCKS)]
    for line in (HEAD, *rows):
        body.append(line)
    views = body.blocks()
    assert len(views) > 1
    assert all(view.document().blockCount() < 3 * MOST_BLOCKS for view in views)
    words = body.plain_text().split()
    assert [words.count(str(n * n)) > 0 for n in range(MOST_BLOCKS)] == [True] * MOST_BLOCKS
    assert body.source == HEAD + "".join(rows)


def test_a_long_list_goes_on_in_another_view(body):
    items = [f"- item {n}\n" for n in range(4 * MOST_BLOCKS)]
    for piece in items:
        body.append(piece[:4])
        body.append(piece[4:])
    body.finish()
    assert len(body.blocks()) > 1
    assert body.plain_text().split() == "".join(items).replace("-", "").split()
