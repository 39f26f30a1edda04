import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication, QTextDocument
from PySide6.QtWidgets import QApplication

from app.chat.links import LinkQuestion, ask_to_open
from app.chat.markdown import FEATURES, HEADING_MARGIN, MAX_TAIL_CHARACTERS, RULE_MARGIN, MarkdownView, finished_length
from app.widgets.colours import colours

SOURCE = """# A heading

A paragraph with *emphasis*, `code` and <b>no HTML</b>.

- one
- two

```python
x = 1

y = 2
```

1. first
2. second

> A quotation

The **end**."""


@pytest.fixture
def view(qtbot):
    view = MarkdownView()
    qtbot.addWidget(view)
    view.resize(400, 100)
    return view


def plain_document(source):
    document = QTextDocument()
    document.setMarkdown(source, FEATURES)
    return document


def plain(source):
    return plain_document(source).toPlainText()


@pytest.mark.parametrize(
    ("source", "finished"),
    [
        ("", ""),
        ("one line", ""),
        ("one\n", ""),
        ("one\n\n", "one\n\n"),
        ("one\n\ntwo", "one\n\n"),
        ("one\n  ", ""),
        ("one\n\n```\ncode\n\nmore", "one\n\n"),
        ("```\ncode\n\n```\n\nafter", "```\ncode\n\n```\n\n"),
        ("````\n```\n\n````\n\nx", "````\n```\n\n````\n\n"),
        ("~~~\n```\n\n~~~\n\nx", "~~~\n```\n\n~~~\n\n"),
        ("```\n``` not a close\n\nx", ""),
        ("- one\n\n", ""),
        ("- one\n\n- two\n\n", ""),
        ("- one\n\n  more of it\n\n1", ""),
        ("- one\n\n- two\n\nother", "- one\n\n- two\n\n"),
        ("- one\n\n*", ""),
        ("- one\n\n**bold**\n", "- one\n\n"),
        ("before\n\n1. one\n\n", "before\n\n"),
    ],
)
def test_blocks_are_finished_at_a_blank_line_outside_code(source, finished):
    assert source[: finished_length(source)] == finished


@pytest.mark.parametrize("step", [1, 3, 17, 1000])
def test_streamed_in_pieces_it_reads_like_the_whole(view, step):
    for start in range(0, len(SOURCE), step):
        view.append_markdown(SOURCE[start : start + step])
    assert view.toPlainText() == plain(SOURCE)
    streamed = _formats(view.document())
    view.finish()
    assert view.toPlainText() == plain(SOURCE)
    assert _formats(view.document()) == streamed
    assert view.markdown == SOURCE


def test_a_list_that_streams_in_below_a_table_has_no_empty_item(view):
    for piece in "| A | B |\n|---|---|\n| 1 | 2 |\n\n1. one\n2. two\n":
        view.append_markdown(piece)
    blocks = [view.document().findBlockByNumber(n) for n in range(view.document().blockCount())]
    assert [block.text() for block in blocks if block.textList()] == ["one", "two"]


def test_a_list_with_blank_lines_stays_one_list(view):
    source = "1. one\n\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nend"
    for character in source:
        view.append_markdown(character)
    assert view.toPlainText().split() == plain(source).split()
    assert view.document().begin().textList() == view.document().begin().next().textList()


@pytest.mark.parametrize(
    "source",
    [
        "word " * 1000,
        "- an item of a list\n" * 200,
        "1. an item\n" * 200,
        "滑动窗口" * 1000,
    ],
)
def test_a_long_block_is_finished_in_parts_and_reads_the_same(view, source):
    for start in range(0, len(source), 40):
        view.append_markdown(source[start : start + 40])
        assert len(view._tail) <= MAX_TAIL_CHARACTERS + 40
    assert view.toPlainText().split() == plain(source).split()
    assert view.document().blockCount() == plain_document(source).blockCount()


def test_pictures_become_links_and_formulas_legible(view):
    view.append_markdown("![a cat](https://example.org/cat.png) is $x^2$, not `$x^2$` and `![no](pic)`")
    assert view.toPlainText() == "a cat is x², not $x^2$ and ![no](pic)"


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize(("source", "count"), [("Above\n\n---\n\nBelow", 1), ("---\n\nx\n\n***\n", 2), ("x\n---", 0)])
def test_a_rule_is_a_line_from_side_to_side(view, source, count, step):
    for start in range(0, len(source), step):
        view.append_markdown(source[start : start + step])
    view.finish()
    view.show()
    picture, line = view.grab().toImage(), colours(view.palette()).hairline
    across = [y for y in range(picture.height()) if all(picture.pixelColor(x, y) == line for x in range(400))]
    assert len(across) == count
    assert all(y >= RULE_MARGIN for y in across)


@pytest.mark.parametrize("step", [1, 1000])
def test_a_heading_stands_nearer_to_what_follows(view, step):
    source = "# One\n\nAbove\n\n## Two\n\nBelow"
    for start in range(0, len(source), step):
        view.append_markdown(source[start : start + step])
    view.show()
    layout = view.document().documentLayout()
    first, above, heading, below = (
        layout.blockBoundingRect(view.document().findBlockByNumber(n)) for n in range(view.document().blockCount())
    )
    assert first.top() < HEADING_MARGIN / 2
    assert heading.top() - above.bottom() >= HEADING_MARGIN > below.top() - heading.bottom()


def test_a_done_task_has_a_tick(view):
    view.append_markdown("- [x] done\n- [ ] to do\n- else\n")
    assert view.toPlainText() == "☑\u00a0done\n☐\u00a0to do\nelse".replace("\u00a0", " ")
    first, last = view.document().begin(), view.document().lastBlock()
    assert first.textList() is None
    assert last.textList() is not None


def test_code_in_a_line_stands_on_a_ground_of_either_appearance(view, set_scheme):
    view.append_markdown("Use `ls` here")
    view.finish()
    for scheme in (Qt.ColorScheme.Light, Qt.ColorScheme.Dark):
        set_scheme(scheme)
        QApplication.processEvents()
        pieces = view.document().begin().begin()
        pieces += 1
        assert pieces.fragment().text() == "ls"
        assert pieces.fragment().charFormat().background().color() == colours(view.palette()).track


def test_headings_without_a_blank_line_stay_headings(view):
    for _ in range(600):
        view.append_markdown("# a\n")
    levels = {view.document().findBlockByNumber(n).blockFormat().headingLevel() for n in range(600)}
    assert levels == {1}


def test_finished_blocks_are_left_alone(view):
    view.append_markdown("First.\n\nSecond")
    first = view.document().begin()
    view.append_markdown(" goes on")
    assert view.document().begin() == first
    assert view.toPlainText() == "First.\nSecond goes on"


def test_it_is_as_tall_as_its_content(view):
    view.show()
    view.append_markdown("one")
    one = view.height()
    view.append_markdown("\n\ntwo\n\nthree")
    assert view.height() > 2 * one
    assert view.verticalScrollBar().maximum() == 0


def test_nothing_is_fetched(view, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    assert view.loadResource(2, QUrl.fromLocalFile(str(secret))) is None
    view.append_markdown(f"![picture]({secret.as_uri()})")
    view.finish()


@pytest.mark.parametrize(
    ("target", "opens"),
    [("https://example.org", True), ("file:///etc/passwd", False), ("mailto:a@example.org", True), ("ssh://h", False)],
)
def test_a_link_says_where_it_leads_and_asks(view, monkeypatch, target, opens):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    view.link_clicked.connect(lambda url: ask_to_open(url, view))
    view.show()
    view.anchorClicked.emit(QUrl(target))
    question = view.findChild(LinkQuestion)
    assert question.informativeText() == target
    assert opened == []
    if opens:
        question.open_button.click()
        assert opened == [QUrl(target)]
    else:
        assert question.open_button is None
        question.copy_button.click()
        assert QGuiApplication.clipboard().text() == target
        assert opened == []


def _formats(document):
    """Of each block: its text, heading level, quotation, whether it is code or in a list."""
    blocks, block = [], document.begin()
    while block.isValid():
        style = block.blockFormat()
        blocks.append((block.text(), style.headingLevel(), style.leftMargin(), bool(block.textList())))
        block = block.next()
    return blocks
