"""Words in texts: how they are folded, looked for, and shown with what is around them. No widgets."""

import unicodedata
from dataclasses import dataclass

from app.conversations.conversation import Head

SNIPPET_LENGTH = 120  # characters
BEFORE_HIT_LENGTH = 24  # characters shown before what was found
INDEXED_LENGTH = 3  # letters: the index knows so many in a row, and more


@dataclass(frozen=True)
class Hit:
    """A conversation that was found, with the text around what was found in it (in its title, if `message` is None)."""

    head: Head
    message: str | None
    before: str
    found: str
    after: str


def fold(text: object) -> str:
    """Text as it is searched: without case and accents."""
    return "".join(map(_folded, text)) if isinstance(text, str) else ""


def hit(head: Head, message: str | None, text: str, words: list[str]) -> Hit:
    """The place around the first of the words that stands in the text."""
    text = " ".join(text.split())
    lengths = [len(_folded(character)) for character in text]
    folded = fold(text)
    at, word = min(((folded.find(w), w) for w in words if w in folded), default=(0, ""))
    start = _position(lengths, at)
    end = _position(lengths, at + len(word))
    first = max(0, start - BEFORE_HIT_LENGTH)
    before = ("…" if first else "") + text[first:start]
    return Hit(head, message, before, text[start:end], text[end : end + SNIPPET_LENGTH])


def condition(words: list[str]) -> tuple[str, tuple[str, ...]]:
    """The SQL for messages that hold all the words, and its values. Shorter words are looked for in what is left."""
    quoted = [f'"{word.replace(chr(34), chr(34) * 2)}"' for word in words if len(word) >= INDEXED_LENGTH]
    short = [f"%{_escaped(word)}%" for word in words if len(word) < INDEXED_LENGTH]
    clauses = ["search MATCH ?"] * bool(quoted) + ["s.text LIKE ? ESCAPE '\\'"] * len(short)
    return " AND ".join(clauses), (*([" ".join(quoted)] if quoted else []), *short)


def _folded(character: str) -> str:
    if character.isascii():
        return character.lower()
    parts = unicodedata.normalize("NFKD", character).casefold()
    return "".join(part for part in parts if not unicodedata.combining(part))


def _position(lengths: list[int], folded_position: int) -> int:
    """The character that stands at a position of the folded text."""
    passed = 0
    for index, length in enumerate(lengths):
        if passed >= folded_position:
            return index
        passed += length
    return len(lengths)


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
