import pytest
from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QTextDocument

from app.chat.markdown import FEATURES, MarkdownView, finished_length

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


def plain(source):
    document = QTextDocument()
    document.setMarkdown(source, FEATURES)
    return document.toPlainText()


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
    assert view.source == SOURCE


def test_finishing_heals_a_list_that_was_split(view):
    source = "1. one\n\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nend"
    for character in source:
        view.append_markdown(character)
    view.finish()
    assert view.toPlainText() == plain(source)


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


def test_only_web_and_mail_links_open(view, monkeypatch):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    for target in ("https://example.org", "file:///etc/passwd", "mailto:a@example.org", "ssh://host"):
        view.anchorClicked.emit(QUrl(target))
    assert [url.scheme() for url in opened] == ["https", "mailto"]


def _formats(document):
    """Of each block: its text, heading level, quotation, whether it is code or in a list."""
    blocks, block = [], document.begin()
    while block.isValid():
        style = block.blockFormat()
        blocks.append((block.text(), style.headingLevel(), style.leftMargin(), bool(block.textList())))
        block = block.next()
    return blocks
