"""Code spans, and what stands between them: nothing inside of one is anything but text. No Qt; one pass over a text."""

import re
from bisect import bisect_right
from collections.abc import Iterator

BACKTICKS = re.compile(r"`+")
BLANK_LINE = re.compile(r"(\n[ \t]*(?:\n[ \t]*)+)")  # no span goes on after one


def parts(markdown: str) -> Iterator[tuple[str, bool]]:
    """Pieces of a text in their order, and whether each is a code span, signs included."""
    for number, paragraph in enumerate(BLANK_LINE.split(markdown)):
        yield from [(paragraph, False)] if number % 2 else _parts(paragraph)


def _parts(paragraph: str) -> Iterator[tuple[str, bool]]:
    runs = [(match.start(), match.end()) for match in BACKTICKS.finditer(paragraph)]
    starts: dict[int, list[int]] = {}  # of the runs, by their length
    for start, end in runs:
        starts.setdefault(end - start, []).append(start)
    done = 0
    for start, end in runs:
        alike = starts[end - start]
        later = bisect_right(alike, start)
        if start >= done and later < len(alike):
            close = alike[later] + end - start
            yield paragraph[done:start], False
            yield paragraph[start:close], True
            done = close
    yield paragraph[done:], False
