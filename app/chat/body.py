"""The text of an answer: prose and code blocks, one under the other, growing as the answer streams."""

from PySide6.QtCore import QUrl, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.chat.code import CodeBlock
from app.chat.markdown import MarkdownView
from app.chat.segments import Code, CodeBegins, CodeEnds, Prose, Segmenter

SPACING = 8


class AnswerBody(QWidget):
    """Markdown that arrives in pieces; `source` is all of it."""

    link_clicked = Signal(QUrl)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.source = ""
        self._segmenter = Segmenter()
        self._open: MarkdownView | CodeBlock | None = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(SPACING)

    def append(self, text: str) -> None:
        """Show more of the answer."""
        self.source += text
        for piece in self._segmenter.feed(text):
            self._add(piece)

    def finish(self) -> None:
        """The answer is complete, for now: more can be appended to one that is continued."""
        for piece in self._segmenter.finish():
            self._add(piece)

    def blocks(self) -> list[MarkdownView | CodeBlock]:
        return [self._layout.itemAt(i).widget() for i in range(self._layout.count())]

    def plain_text(self) -> str:
        """What can be read, without marks."""
        return "\n".join(b.text if isinstance(b, CodeBlock) else b.toPlainText() for b in self.blocks())

    def _add(self, piece) -> None:
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

    def _append_prose(self, text: str) -> None:
        if isinstance(self._open, MarkdownView) and self._open.full:
            text, self._open = self._open.give_up_tail() + text, None
        if not isinstance(self._open, MarkdownView):
            view = MarkdownView()
            view.setAccessibleName(self.tr("Answer"))
            view.link_clicked.connect(self.link_clicked)
            self._put(view)
        self._open.append_markdown(text)

    def _put(self, block: MarkdownView | CodeBlock) -> None:
        self._open = block
        self._layout.addWidget(block)
