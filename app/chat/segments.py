"""Markdown as it streams in, parted into prose, code blocks and tables. No Qt."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})([^`]*)$")
FENCE_BEGINNING = re.compile(r"[ \t]*(`{0,2}|~{0,2}|`{3,}[^`]*|~{3,}.*)$")
DELIMITERS = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")  # below a table's head
DELIMITERS_BEGINNING = re.compile(r"[ \t|:-]*$")
BAR = re.compile(r"(?<!\\)\|")
BLOCK = re.compile(r"[ \t]*(#{1,6}(\s|$)|>|([-*+]|\d{1,9}[.)])(\s|$)|([-*_])([ \t]*\5){2,}[ \t]*$)")
BLOCK_BEGINNING = re.compile(r"[ \t]*([-*+#>_\d].*)?$")
MAX_COLUMNS = 64  # what has more is no table that anybody could read


@dataclass(frozen=True)
class Prose:
    text: str


@dataclass(frozen=True)
class CodeBegins:
    language: str


@dataclass(frozen=True)
class Code:
    text: str


@dataclass(frozen=True)
class CodeEnds:
    pass


@dataclass(frozen=True)
class TableBegins:
    """A line that was prose so far is the head of a table: the line below it, `delimiters`, says so."""

    head: str
    delimiters: str


@dataclass(frozen=True)
class Rows:
    text: str


@dataclass(frozen=True)
class TableEnds:
    pass


Segment = Prose | CodeBegins | Code | CodeEnds | TableBegins | Rows | TableEnds


class Segmenter:
    """Feed it text as it comes; it yields what is certain, and holds back a line that may become something else."""

    def __init__(self) -> None:
        self._held = ""
        self._fence = ""  # what closes the code block that we are in
        self._indent = ""
        self._fresh = True  # whether what is held begins a line
        self._given = ""  # of this line
        self._above = ""  # the line before it, where that may be a table's head
        self._in_table = False

    def feed(self, text: str) -> Iterator[Segment]:
        """Take more text."""
        *lines, self._held = (self._held + text).split("\n")
        for line in lines:
            yield from self._line(line)
        if self._held and not (self._fresh and self._may_turn(self._held)):
            yield self._segment(self._held)
            self._given += self._held
            self._held, self._fresh = "", False

    def finish(self) -> Iterator[Segment]:
        """There is no more text, for now."""
        held, self._held = self._held, ""
        if held and self._closes(held):
            yield self._end()
        elif held and self._is_delimiters(held):
            yield self._begin_table(held)
            self._fresh = False
        elif held:
            if self._in_table and BLOCK.match(held):
                yield from self._end_table()
            yield self._segment(held)
            self._given, self._fresh = self._given + held, False
        if self._fence:
            yield self._end()

    def _line(self, line: str) -> Iterator[Segment]:
        """A line, or the rest of one, that has ended."""
        fresh, self._fresh = self._fresh, True
        whole, self._given = self._given + line, ""
        if fresh and self._fence and self._closes(line):
            yield self._end()
        elif fresh and not self._fence and (match := FENCE.match(line)):
            yield from self._end_table()
            self._above = ""
            self._indent, self._fence, info = match.groups()
            yield CodeBegins(info.strip().split(" ")[0].strip("{}."))
        elif fresh and self._is_delimiters(line):
            yield self._begin_table(line)
        else:
            if fresh and self._in_table and (not line.strip() or BLOCK.match(line)):
                yield from self._end_table()
            yield self._segment(line + "\n")
            self._above = whole if self._may_be_head(whole) else ""

    def _end(self) -> CodeEnds:
        self._fence = ""
        return CodeEnds()

    def _begin_table(self, line: str) -> TableBegins:
        head, self._above, self._in_table = self._above, "", True
        return TableBegins(head + "\n", line + "\n")

    def _end_table(self) -> Iterator[TableEnds]:
        if self._in_table:
            self._in_table = False
            yield TableEnds()

    def _segment(self, text: str) -> Prose | Code | Rows:
        if self._in_table:
            return Rows(text)
        if not self._fence:
            return Prose(text)
        return Code(text.removeprefix(self._indent) if self._fresh or text.endswith("\n") else text)

    def _closes(self, line: str) -> bool:
        return bool(self._fence) and line.strip().startswith(self._fence) and not line.strip().strip(self._fence[0])

    def _may_turn(self, line: str) -> bool:
        """True if the rest of a line may make it another thing than it looks like."""
        if self._fence:
            return not line.strip().strip(self._fence[0])
        ends = BLOCK_BEGINNING.match(line) if self._in_table else self._above and DELIMITERS_BEGINNING.match(line)
        return bool(ends or FENCE_BEGINNING.match(line))

    def _may_be_head(self, line: str) -> bool:
        return not (self._fence or self._in_table or BLOCK.match(line)) and bool(BAR.search(line))

    def _is_delimiters(self, line: str) -> bool:
        columns = _cells(line)
        return bool(self._above) and columns == _cells(self._above) <= MAX_COLUMNS and bool(DELIMITERS.match(line))


def _cells(line: str) -> int:
    """The number of a row's cells."""
    return len(BAR.split(line.strip().removeprefix("|").removesuffix("|")))
