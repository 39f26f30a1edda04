"""The output of the commands: texts, JSON, lines for programs, and progress on a terminal.

All of it passes here, because much of it was written by others: control characters would otherwise move the cursor,
rename the window or hide what was said before.
"""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Protocol

from engine.errors import FlashbulbError, GatedError
from engine.text import text_of, to_line, without_secrets

INTERRUPTED_STATUS = 130  # of the process, as shells have it after Ctrl-C
MAX_LINE_CHARACTERS = 2000  # characters of an error
DIM_CODE, PLAIN_CODE = "\x1b[2m", "\x1b[0m"  # as terminals take it
FIRST_PICTURE = 0x2400  # where Unicode's pictures of control characters begin
DELETE, DELETE_PICTURE = 0x7F, "␡"
UNSHOWN_MARK = "\ufffd"
DIRECTION_CHARACTERS = (
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    0x200E,
    0x200F,
    0x061C,
)  # the direction of what follows
SHOWN_CHARACTERS = (
    {code: chr(FIRST_PICTURE + code) for code in range(32) if chr(code) not in "\n\t"}
    | {DELETE: DELETE_PICTURE}
    | dict.fromkeys((*range(0x80, 0xA0), *DIRECTION_CHARACTERS), UNSHOWN_MARK)
)


# ------------------------------------------------------------------------------------------------- texts
def printable(text: str) -> str:
    """A text whose control characters are seen instead of obeyed. Lines and tabs stay."""
    return text.translate(SHOWN_CHARACTERS)


def one_line(text: str) -> str:
    """A text for a person on one line, without secrets."""
    words = printable(without_secrets(" ".join(text.split())))
    return words if len(words) <= MAX_LINE_CHARACTERS else f"{words[:MAX_LINE_CHARACTERS]}…"


def say(text: str = "", end: str = "\n") -> None:
    """Print to standard output, at once."""
    print(printable(text), end=end, flush=True)


def note(text: str) -> None:
    """Print to standard error, after what standard output was given before."""
    sys.stdout.flush()
    print(printable(text), file=sys.stderr, flush=True)


class Aside:
    """Reasoning before an answer, dimmed on standard error: on a terminal only, where nothing else reads it."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._begun = False

    def say(self, text: str) -> None:
        """Print more of it, at once."""
        if text and self._shown:
            self._begun = True
            print(f"{DIM_CODE}{printable(text)}{PLAIN_CODE}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """End its last line. Harmless when repeated."""
        if self._begun:
            self._begun = False
            print(file=sys.stderr, flush=True)


def fail(message: str) -> None:
    """Say what went wrong, in one line on standard error."""
    note(f"flashbulb: {one_line(message)}")


def never_stumble() -> None:
    """Print what a terminal's encoding lacks in another way, instead of ending."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # not everything that takes their place can be told
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def signed(value: float, digits: int) -> str:
    """A number with its sign, and none where it rounds to 0."""
    return f"{round(value, digits):+.{digits}f}" if round(value, digits) else f"{0:.{digits}f}"


def counted(number: int, one: str, several: str) -> str:
    """A number of things, as people count them."""
    return f"{number:,} {one if number == 1 else several}"


# ------------------------------------------------------------------------------------------- for programs
def print_json(report: object) -> None:
    """Print a report as one JSON object."""
    print(json.dumps(report, indent=2), flush=True)


class Say(Protocol):
    """Prints a step as a line of JSON."""

    def __call__(self, **line: object) -> None: ...


def in_lines(work: Callable[[Say], dict[str, object]]) -> None:
    """For a program that runs us: a line of JSON for each step, the last with what `work(say)` returns or the error."""

    def say_line(**line: object) -> None:
        print(to_line(line), flush=True)

    try:
        say_line(stage="done", **work(say_line))
    except FlashbulbError as error:
        say_line(stage="failed", error=text_of(error), page=error.page if isinstance(error, GatedError) else "")
        raise


class Progress:
    """A bar on standard error for work that takes longer than a second, on a terminal only."""

    WIDTH = 32

    def __init__(self, title: str, wanted: bool):
        self._title, self._wanted = title, wanted and sys.stderr.isatty()
        self._started, self._drawn = monotonic(), 0.0

    def __call__(self, share: float, note: str = "") -> None:
        """Draw the share that is done, from 0 to 1, with a word on what is being done."""
        now = monotonic()
        if not self._wanted or now - self._started < 1 or (now - self._drawn < 0.1 and share < 1):
            return
        self._drawn = now
        filled = round(self.WIDTH * share)
        left = f"{(now - self._started) * (1 - share) / share:.0f} s left" if share > 0 else ""
        bar = "█" * filled + "░" * (self.WIDTH - filled)
        words = one_line(f"{self._title} {bar} {100 * share:3.0f} % {left} {note}")
        print(f"\r{words}\033[K", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            print(file=sys.stderr)
