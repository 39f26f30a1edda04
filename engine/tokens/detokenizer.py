"""Text as tokens come: whole characters only, and nothing of special tokens."""

from collections.abc import Sequence

from engine.tokens.tokenizer import Tokenizer

INCOMPLETE_MARK = "\N{REPLACEMENT CHARACTER}"  # as which the bytes of half a character are decoded
MAX_HELD_TOKENS = 8  # tokens that wait to be a whole character: none has more than 4 bytes, so these never will be


class Detokenizer:
    """Decodes tokens one by one. before: ids that stand before them, on which it depends whether a word has a space.

    The text of a token is the difference that it makes to the text of the tokens just before it, as spaces and bytes of
    one character are shared among tokens.
    """

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int] = ()):
        self._tokenizer = tokenizer
        self._tokens = [token for token in before if token not in tokenizer.special]
        self._shown = len(self._tokens)  # of them, kept for the spaces of the next ones

    def add(self, token: int) -> str:
        """The text that a token completes: empty where it is special, or a part of a character."""
        if token in self._tokenizer.special:
            return ""
        self._tokens.append(token)
        before = self._decode(self._tokens[: self._shown])
        text = self._decode(self._tokens)
        waits = text.endswith(INCOMPLETE_MARK) and len(self._tokens) - self._shown < MAX_HELD_TOKENS
        if waits or len(text) <= len(before):
            return ""
        self._tokens, self._shown = self._tokens[self._shown :], len(self._tokens) - self._shown
        return text[len(before) :]

    def flush(self) -> str:
        """The text of what waits to be a whole character, and will not be: something else follows."""
        waiting, self._tokens = self._tokens[self._shown :], self._tokens[: self._shown]
        return self._decode([*self._tokens, *waiting])[len(self._decode(self._tokens)) :] if waiting else ""

    def _decode(self, tokens: Sequence[int]) -> str:
        return self._tokenizer.decode(tokens) if tokens else ""
