"""Texts of a model as rules of a grammar: letters, and the tokens that steer, which no letters make."""

import json
import re
from collections.abc import Sequence
from os.path import commonprefix

from engine.tokens.tokenizer import Tokenizer

ANYTHING = "/(?s:.+)/"  # of text; no token that steers is any


class Marks:
    """Writes what a tokenizer's tokens spell as rules."""

    def __init__(self, tokenizer: Tokenizer):
        self._ids = {name: i for name, i in tokenizer.added.items() if i in tokenizer.steering and name}
        longest_first = sorted(self._ids, key=len, reverse=True)
        self._pattern = re.compile(f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})")

    def parts(self, text: str) -> Sequence[int | str]:
        """A text's letters, and ids of the tokens that steer in it, in turn."""
        return [self._ids.get(part, part) for part in self._pattern.split(text) if part]

    def common(self, first: str, second: str) -> str:
        """The common beginning of two texts, without a part of a token that steers."""
        firsts, seconds = ([part for part in self._pattern.split(text) if part] for text in (first, second))
        same = commonprefix([firsts, seconds])  # noqa: RUF071 (of texts, not of paths)
        rest = [part for parts in (firsts, seconds) for part in parts[len(same) : len(same) + 1]]
        letters = commonprefix(rest) if len(rest) == 2 and not self._ids.keys() & set(rest) else ""  # noqa: RUF071
        return "".join(same) + letters

    def expression(self, text: str) -> str:
        """The text itself."""
        return " ".join(literal(part) if isinstance(part, str) else f"<[{part}]>" for part in self.parts(text))

    def until(self, name: str, end: str, length: str = "*") -> list[str]:
        """Rules of this name for any text up to an end, and for that. length: as regular expressions have it."""
        parts = self.parts(end)
        if not isinstance(parts[0], str):
            return [f"{name}: {name.upper()} {self.expression(end)}", f"{name.upper()}: /(?s:.{length})/"]
        whole, mark, rest = _as_regex(parts[0]), _as_regex(parts[0].strip()), self.expression(end[len(parts[0]) :])
        return [
            f"{name}: {name}_text {rest}",
            f"{name}_text[lazy]: {name.upper()}",
            f"{name.upper()}: /(?s:.{length}){whole}/ & ~/(?s:.*){mark}(?s:.+)/",
        ]

    def without(self, name: str, mark: str) -> list[str]:
        """Rules of this name for any text in which a mark does not begin."""
        parts = self.parts(mark)
        if not isinstance(parts[0], str):
            return [f"{name}: {ANYTHING}"]
        return [f"{name}: {name.upper()}", f"{name.upper()}: {ANYTHING} & ~/(?s:.*){_as_regex(parts[0])}(?s:.*)/"]


def literal(text: str) -> str:
    """A text as rules have it; it may be empty."""
    return json.dumps(text, ensure_ascii=False)


def _as_regex(text: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else f"\\x{{{ord(letter):X}}}" for letter in text)
