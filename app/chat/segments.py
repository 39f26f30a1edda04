"""Markdown as it streams in, parted into prose and code blocks. No Qt."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})([^`]*)$")
MAYBE_FENCE = re.compile(r"[ \t]*(`{0,2}|~{0,2}|`{3,}[^`]*|~{3,}.*)$")


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


class Segmenter:
    """Feed it text as it comes; it yields what is certain, and holds back a line that may become a fence."""

    def __init__(self):
        self._held = ""
        self._fence = ""  # what closes the code block that we are in
        self._indent = ""
        self._fresh = True  # whether what is held begins a line

    def feed(self, text: str) -> Iterator[Prose | CodeBegins | Code | CodeEnds]:
        """Take more text."""
        *lines, self._held = (self._held + text).split("\n")
        for line in lines:
            yield from self._line(line)
        if self._held and not (self._fresh and self._may_be_fence(self._held)):
            yield self._piece(self._held)
            self._held, self._fresh = "", False

    def finish(self) -> Iterator[Prose | CodeBegins | Code | CodeEnds]:
        """There is no more text."""
        held, self._held = self._held, ""
        if held and self._closes(held):
            yield self._end()
        elif held:
            yield self._piece(held)
        if self._fence:
            yield self._end()

    def _line(self, line: str):
        """A line, or the rest of one, that has ended."""
        fresh, self._fresh = self._fresh, True
        if fresh and self._fence and self._closes(line):
            yield self._end()
        elif fresh and not self._fence and (match := FENCE.match(line)):
            self._indent, self._fence, info = match.groups()
            yield CodeBegins(info.strip().split(" ")[0].strip("{}."))
        else:
            yield self._piece(line + "\n")

    def _end(self) -> CodeEnds:
        self._fence = ""
        return CodeEnds()

    def _piece(self, text: str) -> Prose | Code:
        if not self._fence:
            return Prose(text)
        return Code(text.removeprefix(self._indent) if self._fresh or text.endswith("\n") else text)

    def _closes(self, line: str) -> bool:
        return bool(self._fence) and line.strip().startswith(self._fence) and not line.strip().strip(self._fence[0])

    def _may_be_fence(self, line: str) -> bool:
        if self._fence:
            return not line.strip().strip(self._fence[0])
        return bool(MAYBE_FENCE.match(line))
