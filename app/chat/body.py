"""The text of an answer: prose, code blocks and tables, one under the other, growing as the answer streams."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.chat.code import CodeBlock, CodeView
from app.chat.markdown import MarkdownView, TextView, grow_at_once
from app.chat.segments import Code, CodeBegins, CodeEnds, Prose, Rows, Segment, Segmenter, TableBegins, TableEnds
from app.chat.table import Table

SPACING = 8
PORTION_LETTERS, PORTION_LINES = 1400, 100  # of prose that is parsed at once, at most


class AnswerBody(QWidget):
    """Markdown that arrives in pieces; `markdown` is all of it."""

    link_clicked = Signal(QUrl)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_StaticContents)
        self.markdown = ""
        self._segmenter = Segmenter()
        self._open: MarkdownView | CodeBlock | Table | None = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(SPACING)
        grow_at_once(self._layout)

    def append(self, text: str) -> None:
        """Show more of the answer."""
        self.markdown += text
        self._add_all(self._segmenter.feed(text))

    def finish(self) -> None:
        """The answer is complete, for now: more can be appended to one that is continued."""
        self._add_all(self._segmenter.finish())

    def blocks(self) -> list[MarkdownView | CodeBlock | Table]:
        return [self._layout.itemAt(i).widget() for i in range(self._layout.count())]

    def views(self) -> list[TextView | CodeView]:
        """What shows its text, from the top."""
        return [view for block in self.blocks() for view in block.views()]

    def plain_text(self) -> str:
        """What can be read, without marks."""
        return "\n".join(view.toPlainText() for view in self.views())

    def _add_all(self, segments: Iterable[Segment]) -> None:
        for kind, run in groupby(segments, type):
            if kind is Rows:  # all at once: they are laid out together
                self._open.append("".join(rows.text for rows in run))
            elif kind is Prose:
                self._add_prose("".join(prose.text for prose in run))
            else:
                for segment in run:
                    self._add(segment)

    def _add(self, segment: Segment) -> None:
        match segment:
            case CodeBegins(language):
                self._put(CodeBlock(language))
            case Code(text):
                self._open.append(text)
            case CodeEnds():
                self._open.close_block()
                self._open = None
            case TableBegins(head, delimiters):
                self._take_back(head)
                self._put_linked(Table(head + delimiters))
            case TableEnds():
                self._open = None

    def _add_prose(self, text: str) -> None:
        for portion in portions(text):
            if self._open or portion.strip():  # blank lines after code are no paragraph
                self._append_prose(portion)

    def _append_prose(self, text: str) -> None:
        if isinstance(self._open, MarkdownView) and self._open.full:
            text, self._open = self._open.give_up_tail() + text, None
        if not isinstance(self._open, MarkdownView):
            view = MarkdownView()
            view.setAccessibleName(self.tr("Answer"))
            self._put_linked(view)
        self._open.append_markdown(text)

    def _take_back(self, head: str) -> None:
        """What was prose is a table's head."""
        self._open.take_back(head)
        if not self._open.markdown.strip():
            self._layout.removeWidget(self._open)
            self._open.hide()
            self._open.deleteLater()

    def _put_linked(self, block: MarkdownView | Table) -> None:
        block.link_clicked.connect(self.link_clicked)
        self._put(block)

    def _put(self, block: MarkdownView | CodeBlock | Table) -> None:
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
