"""Code in colour, a few milliseconds at a time so that the window never waits for it."""

import time
from collections.abc import Iterator
from functools import cache
from typing import Any

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QColor, QPalette, QTextDocument, QTextLayout

from app.widgets.colours import colours

SLICE_S = 0.004
Token = tuple[int, Any, str]
KINDS = (  # the first that fits; the names are Pygments' own
    ("Comment", "code_comment"),
    ("Keyword", "code_keyword"),
    ("Operator.Word", "code_keyword"),
    ("Literal.String", "code_string"),
    ("Literal.Number", "code_number"),
    ("Name.Function", "code_name"),
    ("Name.Class", "code_name"),
    ("Name.Builtin", "code_name"),
    ("Name.Decorator", "code_name"),
    ("Name.Tag", "code_keyword"),
    ("Name.Attribute", "code_name"),
    ("Generic.Deleted", "code_string"),
    ("Generic.Inserted", "code_number"),
)


@cache
def lexer_for(language: str) -> Any:
    """Pygments' lexer for a language's name; None if it knows none."""
    from pygments.lexers import get_lexer_by_name  # here because it takes a while, and many answers have no code
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def tokens(language: str, code: str) -> Iterator[Token]:
    """Position, kind and text of each of the code's parts; none of a language that nobody knows."""
    if lexer := lexer_for(language):
        yield from lexer.get_tokens_unprocessed(code)


class Highlighter(QObject):
    """Colours a document of plain code."""

    def __init__(self, document: QTextDocument, parent: QObject):
        super().__init__(parent)
        self._document = document
        self._tokens: Iterator[Token] = iter(())
        self._shades: dict[str, QColor] = {}
        self._spans: list[QTextLayout.FormatRange] = []  # of the line that we are in
        self._block, self._column = document.begin(), 0
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._work)

    def start(self, language: str, palette: QPalette) -> None:
        """Colour the whole document, from now on in slices."""
        if not language:
            return
        shades = colours(palette)
        self._shades = {kind: getattr(shades, name) for kind, name in KINDS}
        self._tokens = tokens(language, self._document.toPlainText())
        self._block, self._column, self._spans = self._document.begin(), 0, []
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()

    @property
    def busy(self) -> bool:
        return self._timer.isActive()

    def _work(self) -> None:
        until = time.perf_counter() + SLICE_S
        for _, kind, text in self._tokens:
            self._token(str(kind).removeprefix("Token."), text)
            if time.perf_counter() > until:
                return
        self._end_line()
        self._timer.stop()

    def _token(self, kind: str, text: str) -> None:
        shade = next((shade for prefix, shade in self._shades.items() if kind.startswith(prefix)), None)
        for number, part in enumerate(text.split("\n")):
            if number:
                self._end_line()
            length = len(part.encode("utf-16-le", "surrogatepass")) // 2  # as Qt counts
            if shade is not None and length:
                span = QTextLayout.FormatRange()
                span.start, span.length = self._column, length
                span.format.setForeground(shade)
                self._spans.append(span)
            self._column += length

    def _end_line(self) -> None:
        if self._spans and self._block.isValid():
            self._block.layout().setFormats(self._spans)
            self._document.markContentsDirty(self._block.position(), self._block.length())
        self._block, self._column, self._spans = self._block.next(), 0, []
