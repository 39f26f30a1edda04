"""The text of an answer: prose, code blocks and tables, one under the other, growing as the answer streams."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.chat.code import CodeBlock, CodeView
from app.chat.markdown import MarkdownView, TextView, grow_at_once
from app.chat.segments import Code, CodeBegins, CodeEnds, Prose, Rows, Segment, Segmenter, TableBegins, TableEnds
from app.chat.table import Table

BLOCK_SPACING = 8  # pixels
PORTION_LETTERS, PORTION_LINES = 1400, 100  # of prose that is parsed at once, at most
Block = MarkdownView | CodeBlock | Table


class AnswerBody(QWidget):
    """Markdown that arrives in pieces; `markdown` is all of it."""

    link_clicked = Signal(QUrl)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_StaticContents)
        self.markdown = ""
        self._segmenter = Segmenter()
        self._open: Block | None = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(BLOCK_SPACING)
        grow_at_once(self._layout)

    def append(self, text: str) -> None:
        """Show more of the answer."""
        self.markdown += text
        self._add_all(self._segmenter.feed(text))

    def finish(self) -> None:
        """The answer is complete, for now: more can be appended to one that is continued."""
        self._add_all(self._segmenter.finish())

    def blocks(self) -> list[Block]:
        widgets = (item.widget() for i in range(self._layout.count()) if (item := self._layout.itemAt(i)))
        return [widget for widget in widgets if isinstance(widget, Block)]

    def views(self) -> list[TextView | CodeView]:
        """The views that show its text, from the top."""
        return [view for block in self.blocks() for view in block.views()]

    def plain_text(self) -> str:
        """Its text as it is read, without marks."""
        return "\n".join(view.toPlainText() for view in self.views())

    def _add_all(self, segments: Iterable[Segment]) -> None:
        for kind, run in groupby(segments, type):
            if kind in (Rows, Prose):  # all at once: they are laid out together
                text = "".join(segment.text for segment in run if isinstance(segment, Rows | Prose))
                self._add_rows(text) if kind is Rows else self._add_prose(text)
            else:
                for segment in run:
                    self._add(segment)

    def _add(self, segment: Segment) -> None:
        match segment:
            case CodeBegins(language):
                self._put(CodeBlock(language))
            case Code(text):
                assert isinstance(self._open, CodeBlock)
                self._open.append(text)
            case CodeEnds():
                assert isinstance(self._open, CodeBlock)
                self._open.close_block()
                self._open = None
            case TableBegins(head, delimiters):
                self._take_back(head)
                self._put_linked(Table(head + delimiters))
            case TableEnds():
                self._open = None

    def _add_rows(self, text: str) -> None:
        assert isinstance(self._open, Table)
        self._open.append(text)

    def _add_prose(self, text: str) -> None:
        for portion in portions(text):
            if self._open or portion.strip():  # blank lines after code are no paragraph
                self._append_prose(portion)

    def _append_prose(self, text: str) -> None:
        view = self._open
        if isinstance(view, MarkdownView) and view.full:
            text, view = view.give_up_tail() + text, None
        if not isinstance(view, MarkdownView):
            view = MarkdownView()
            view.setAccessibleName(self.tr("Answer"))
            self._put_linked(view)
        view.append_markdown(text)

    def _take_back(self, head: str) -> None:
        """Take back from the prose what turns out to be a table's head."""
        assert isinstance(self._open, MarkdownView)
        self._open.take_back(head)
        if not self._open.markdown.strip():
            self._layout.removeWidget(self._open)
            self._open.hide()
            self._open.deleteLater()

    def _put_linked(self, block: MarkdownView | Table) -> None:
        block.link_clicked.connect(self.link_clicked)
        self._put(block)

    def _put(self, block: Block) -> None:
        self._open = block
        self._layout.addWidget(block)


def portions(text: str) -> Iterator[str]:
    """A text in pieces that are not too long to be parsed at once."""
    start = 0
    while start < len(text):
        portion = text[start : start + PORTION_LETTERS]
        *lines, rest = portion.split("\n", PORTION_LINES)
        portion = portion.removesuffix(rest) if len(lines) == PORTION_LINES else portion
        yield portion
        start += len(portion)
