"""The text of an answer: prose, code blocks and tables, one under the other, growing as the answer streams."""

from collections.abc import Iterable
from itertools import groupby

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.chat.code import CodeBlock, CodeView
from app.chat.markdown import MarkdownView, TextView, grow_at_once
from app.chat.segments import Code, CodeBegins, CodeEnds, Piece, Prose, Rows, Segmenter, TableBegins, TableEnds
from app.chat.table import Table

SPACING = 8


class AnswerBody(QWidget):
    """Markdown that arrives in pieces; `source` is all of it."""

    link_clicked = Signal(QUrl)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_StaticContents)
        self.source = ""
        self._segmenter = Segmenter()
        self._open: MarkdownView | CodeBlock | Table | None = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(SPACING)
        grow_at_once(self._layout)

    def append(self, text: str) -> None:
        """Show more of the answer."""
        self.source += text
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

    def _add_all(self, pieces: Iterable[Piece]) -> None:
        for kind, run in groupby(pieces, type):
            if kind is Rows:  # all at once: they are laid out together
                self._open.append("".join(rows.text for rows in run))
            else:
                for piece in run:
                    self._add(piece)

    def _add(self, piece: Piece) -> None:
        match piece:
            case Prose(text):
                if self._open or text.strip():  # blank lines after code are no paragraph
                    self._append_prose(text)
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
        if not self._open.source.strip():
            self._layout.removeWidget(self._open)
            self._open.hide()
            self._open.deleteLater()

    def _put_linked(self, block: MarkdownView | Table) -> None:
        block.link_clicked.connect(self.link_clicked)
        self._put(block)

    def _put(self, block: MarkdownView | CodeBlock | Table) -> None:
        self._open = block
        self._layout.addWidget(block)
