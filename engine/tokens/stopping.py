"""Detokenizing as tokens come, and stopping at stop strings."""

from collections.abc import Sequence

SEEN_BEFORE = 8  # tokens of a continued answer that the detokenizer sees, to know whether a space belongs before a word


class StoppingText:
    """Detokenizes as tokens come, and holds back what may be the start of a stop string."""

    def __init__(self, tokenizer, stop: tuple[str, ...], before: Sequence[int] = ()):
        self._detokenizer, self._stop = tokenizer.detokenizer, tuple(s for s in stop if s)
        self._detokenizer.reset()
        for token in before:
            self._detokenizer.add_token(token)
        _ = self._detokenizer.last_segment  # which was shown before
        self._held, self._stopped = "", False

    def add(self, token: int) -> bool:
        """Take a token; True if a stop string is complete. The text before it can still be taken."""
        self._detokenizer.add_token(token)
        return self._append(self._detokenizer.last_segment)

    def take(self, last: bool) -> str:
        """The text that can be shown now; all of it at the end of the answer."""
        if last and not self._stopped:
            self._detokenizer.finalize()
            self._append(self._detokenizer.last_segment)
        kept = 0 if last or self._stopped else self._ambiguous()
        ready, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        return ready

    def _append(self, text: str) -> bool:
        self._held += text
        found = [at for at in (self._held.find(s) for s in self._stop) if at >= 0]
        if found:
            self._held, self._stopped = self._held[: min(found)], True
        return self._stopped

    def _ambiguous(self) -> int:
        """Length of the longest end of the held text that a stop string starts with."""
        lengths = [n for s in self._stop for n in range(1, len(s)) if self._held.endswith(s[:n])]
        return max(lengths, default=0)
