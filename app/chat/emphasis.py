"""Emphasis beside Chinese, Japanese and Korean, which have no spaces around it. No Qt; one pass over a text.

CommonMark takes `**` between a letter and a quotation mark for two asterisks: there, the end of a word is a space. Here
the rules are those of CommonMark, except that such a letter or sign beside the asterisks counts as a space would. Where
that makes a difference, a mark is put beside them that the parser takes for a space, and that is taken out again
afterwards.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from app.chat.scripts import is_east_asian

MARK = "\u1680"  # a space that nobody writes
DELIMITER_RUN = re.compile(
    r"\\.|(?<=\])\([^()\s]*\)|<[^<>\s]*>|(?P<run>\*+|_+|~+)", re.DOTALL
)  # what is escaped, and addresses, are passed over
PARAGRAPH_START = re.compile(r"\n(?=[ \t]*(?:[-*+>]|#{1,6}|\d{1,9}[.)])[ \t])|\n[ \t]*\n")  # where one may begin


@dataclass
class Run:
    """Some asterisks, underlines or tildes: where they stand in the text, how many are free yet, and what they may do.

    opens, closes: by the rules here. known_open, known_close: by CommonMark's.
    """

    start: int
    end: int
    sign: str
    free: int
    opens: bool
    closes: bool
    known_open: bool
    known_close: bool
    opened: bool = False
    closed: bool = False

    @property
    def mark_at(self) -> int | None:
        """The place where the parser needs a mark."""
        if self.opened and not self.closed and not self.known_open:
            return self.start
        return self.end if self.closed and not self.opened and not self.known_close else None


def marked(text: str, shape: str = "") -> str:
    """A text with marks where the parser needs them. shape: the same, with something else for what is in code spans."""
    if MARK in text or not any(map(is_east_asian, text)):
        return text
    pieces, done = [], 0
    for at in sorted(_places(shape or text)):
        pieces += [text[done:at], MARK]
        done = at
    return "".join([*pieces, text[done:]])


def _places(text: str) -> list[int]:
    runs = [run for paragraph in _paragraphs(text) for run in _paired(paragraph)]
    return [run.mark_at for run in runs if run.mark_at is not None]


def _paragraphs(text: str) -> Iterator[list[Run]]:
    start = 0
    for boundary in [match.end() for match in PARAGRAPH_START.finditer(text)] + [len(text)]:
        yield [_run(text, match) for match in DELIMITER_RUN.finditer(text, start, boundary) if match["run"]]
        start = boundary


def _run(text: str, match: re.Match[str]) -> Run:
    before, after = (
        text[match.start() - 1 : match.start()] if match.start() else "",
        text[match.end() : match.end() + 1],
    )
    sign = match[0][0]
    known = _rights(before, after, sign, _flanks(before, after), _flanks(after, before))
    east = (is_east_asian(before), is_east_asian(after))
    left = _flanks(before, after, *east)
    right = _flanks(after, before, *east[::-1])
    return Run(match.start(), match.end(), sign, len(match[0]), *_rights(before, after, sign, left, right), *known)


def _flanks(outside: str, inside: str, outside_east: bool = False, inside_east: bool = False) -> bool:
    """True if signs stand directly before a word (or after one, seen from behind)."""
    if not inside or inside.isspace():
        return False
    if not _is_punctuation(inside) or inside_east:
        return True
    return not outside or outside.isspace() or _is_punctuation(outside) or outside_east


def _rights(before: str, after: str, sign: str, left: bool, right: bool) -> tuple[bool, bool]:
    """True if signs may open, and close: underlines within a word do neither."""
    if sign != "_":
        return left, right
    return left and (not right or _is_punctuation(before)), right and (not left or _is_punctuation(after))


def _is_punctuation(character: str) -> bool:
    return bool(character) and unicodedata.category(character)[0] in "PS"


def _paired(runs: list[Run]) -> list[Run]:
    """CommonMark's way to find which runs belong together."""
    stack: list[Run] = []
    hopeless: dict[tuple[str, bool, int], int] = {}  # how much of the stack has nothing for closers of a kind
    for run in runs:
        kind = (run.sign, run.opens, run.end - run.start if run.sign == "~" else (run.end - run.start) % 3)
        while run.closes and run.free and (at := _opener(stack, run, hopeless.get(kind, 0))) is not None:
            used = 2 if run.free >= 2 and stack[at].free >= 2 else 1  # of tildes all, which are as many
            for side in (stack[at], run):
                side.free -= used
            stack[at].opened = run.closed = True
            del stack[at if not stack[at].free else at + 1 :]
            hopeless = {key: min(floor, len(stack)) for key, floor in hopeless.items()}
        if run.closes and run.free:
            hopeless[kind] = len(stack)
        if run.opens and run.free and (run.sign != "~" or run.free <= 2):
            stack.append(run)
    return runs


def _opener(stack: list[Run], closer: Run, floor: int) -> int | None:
    for at in range(len(stack) - 1, floor - 1, -1):
        opener = stack[at]
        if closer.sign == "~" and opener.free != closer.free:
            continue
        both = opener.closes or closer.opens
        lengths = (opener.end - opener.start, closer.end - closer.start)
        if opener.sign == closer.sign and not (both and sum(lengths) % 3 == 0 and any(n % 3 for n in lengths)):
            return at
    return None
