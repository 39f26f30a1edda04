"""Values of a row or a file that may hold anything, made what they should be: one that makes no sense hides no other.

No widgets.
"""

import json
from typing import TypeGuard

from app.conversations.conversation import Attachment, ToolCall

MAX_TIME_S = 7_258_118_400  # the year 2200, in seconds since the epoch: what is later is in another unit
UNIT_FACTOR = 1000  # from seconds to milliseconds, to microseconds, to nanoseconds
FINER_UNITS = 3
MAX_FIGURE = 2**53  # of a figure: floats tell it from its neighbours, and so does everybody


def text(value: object) -> str:
    """A text that can be stored and shown: half a surrogate pair, as a keyboard may leave behind, is no character."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def time(value: object) -> float:
    """Seconds since the epoch, also of a time in a smaller unit; 0 for what no calendar has."""
    if not _is_number(value) or not 0 <= value <= MAX_TIME_S * UNIT_FACTOR**FINER_UNITS:
        return 0.0
    seconds = float(value)
    while seconds > MAX_TIME_S:
        seconds /= UNIT_FACTOR
    return seconds


def parameters(content: object) -> dict[str, object]:
    """Values of settings by name; whoever uses one checks it."""
    return {text(name): _plain(value) for name, value in _entries(content) if _is_plain(value)}


def texts(content: object) -> dict[str, str]:
    """Texts by name."""
    return {text(name): text(value) for name, value in _entries(content) if isinstance(value, str)}


def receipt(content: object) -> dict[str, object]:
    """Figures and words by name; figures may stand together below a name of their own."""
    groups = {text(name): value for name, value in _entries(content) if isinstance(value, dict)}
    return parameters(content) | {name: figures(group) for name, group in groups.items()}


def figures(content: object) -> dict[str, float]:
    """Numbers by name that can be shown and added up."""
    return {text(name): value for name, value in _entries(content) if _is_figure(value)}


def tool_calls(content: object) -> tuple[ToolCall, ...]:
    """Calls of tools; of an entry that is none, nothing."""
    return tuple(ToolCall(named["name"], named["arguments"]) for named in _named(content, "name", "arguments"))


def attachments(content: object) -> tuple[Attachment, ...]:
    """Files that came with a question; of an entry that is none, nothing."""
    return tuple(Attachment(named["name"], named["text"]) for named in _named(content, "name", "text"))


def count(value: object) -> int:
    """A number of things; 0 for what is none."""
    return int(value) if _is_figure(value) and value >= 0 else 0


def seconds(value: object) -> float:
    """A length of time; 0 for what is none."""
    return float(value) if _is_figure(value) and value >= 0 else 0.0


def parsed(value: object) -> object:
    """A column of JSON; None where it is none."""
    try:
        return json.loads(text(value))
    except (ValueError, RecursionError):
        return None


def _named(content: object, *names: str) -> list[dict[str, str]]:
    """The entries of a list that have texts of these names."""
    entries = [texts(entry) for entry in content] if isinstance(content, list | tuple) else []
    return [entry for entry in entries if all(name in entry for name in names)]


def _entries(content: object) -> list[tuple[object, object]]:
    return list(content.items()) if isinstance(content, dict) else []


def _plain(value: object) -> object:
    return text(value) if isinstance(value, str) else value


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | bool) or _is_figure(value)


def _is_figure(value: object) -> TypeGuard[int | float]:
    return _is_number(value) and -MAX_FIGURE <= value <= MAX_FIGURE  # neither is true of what is no number at all


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
