"""The words that the engine says to a person: English, and what a translation of it needs. No secret is ever said."""

import json
import re
import reprlib
from collections.abc import Iterable
from functools import reduce
from typing import Any, Self

PARTS_KEY = "texts"  # of a line: by key, the parts of those of its values that are texts
HIDDEN_MARK = "…"
SECRETS = (  # what looks like one, wherever it stands, and what is left of it
    (re.compile(r"\bhf_\w{6,}"), f"hf_{HIDDEN_MARK}"),
    (re.compile(r"(?i)\b(bearer|authorization\W+\w+)\s+[^\s'\",]+"), rf"\1 {HIDDEN_MARK}"),
    (re.compile(r"(?<=://)[^/?#\s'\"]*@"), f"{HIDDEN_MARK}@"),
    (re.compile(r"(?i)([?&][\w.-]*(?:token|signature|secret|password|credential|key|policy|auth)[\w.-]*=)[^&\s'\"]+"),
     rf"\1{HIDDEN_MARK}"),
)  # fmt: skip
MIN_SECRET_CHARACTERS = 4  # characters: what is shorter would be found everywhere
known_secrets: set[str] = set()  # of this process
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 120


def keep_secret(secret: str) -> None:
    """From now on, nothing that is said holds it."""
    if len(secret.strip()) >= MIN_SECRET_CHARACTERS:
        known_secrets.add(secret.strip())


def without_secrets(text: str) -> str:
    """A text with tokens, passwords and signatures left out: those that are known, and what looks like one."""
    for secret in known_secrets:
        text = text.replace(secret, HIDDEN_MARK)
    for pattern, rest in SECRETS:
        text = pattern.sub(rest, text)
    return text


class Text(str):
    """English, made of a template and the values that stand for its {names}; equal to the string that it reads as.

    The template is a literal where it is written, so that it is found there and translated. A value is a string, or a
    text itself, which a translation translates too. Secrets in a value are left out.
    """

    __slots__ = ("template", "values")
    template: str
    values: dict[str, str]

    def __new__(cls, template: str, /, **values: object) -> Self:
        """The text that a template reads as with its values."""
        kept = {name: _without_secrets(text_of(value)) for name, value in values.items()}
        text = super().__new__(cls, template.format(**kept))
        text.template, text.values = template, kept
        return text

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, str]]:  # copies and pickles are made of the same parts
        return (self.template,), self.values


def _without_secrets(value: str) -> str:
    return value if isinstance(value, Text) else without_secrets(value)


def text_of(said: object) -> str:
    """A text, or the one that an error was raised with; of anything else, what it reads as."""
    held = said.args[0] if isinstance(said, Exception) and said.args else said
    return held if isinstance(held, Text) else str(said)


def joined(template: str, texts: Iterable[str]) -> str:
    """Several as one. template: of two, such as "{before} or {next}"; at least one is needed."""
    return reduce(lambda before, following: Text(template, before=before, next=following), texts)


# --------------------------------------------------------------------------------------- to another process
def to_line(line: dict[str, Any]) -> str:
    """A line of JSON. Its texts are plain strings there, and their parts stand beside them."""
    parts = {key: _packed(value) for key, value in line.items() if isinstance(value, Text)}
    return json.dumps(line | {PARTS_KEY: parts} if parts else line)


def from_line(line: str | bytes) -> object:
    """The line that `to_line` was given. Raises ValueError for what is no JSON."""
    found = json.loads(line)
    if isinstance(found, dict) and isinstance(parts := found.pop(PARTS_KEY, None), dict):
        found |= {key: _unpacked(packed) for key, packed in parts.items()}
    return found


def _packed(text: str) -> list[Any] | str:
    return [text.template, {n: _packed(v) for n, v in text.values.items()}] if isinstance(text, Text) else text


def _unpacked(packed: list[Any] | str) -> str:
    if isinstance(packed, str):
        return packed
    template, values = packed
    return Text(template, **{name: _unpacked(value) for name, value in values.items()})


def readable(count: float) -> str:
    """Bytes for people: 3 figures, decimal units."""
    if count == 1:
        return "1 byte"
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 999.5 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "bytes" or count >= 999.5 else f"{count:.3g} {unit}"


def shown(value: object) -> str:
    """Something that a file or a server says, quoted, its control characters escaped, cut to what fits a message."""
    return _short.repr(value)
