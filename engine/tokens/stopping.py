"""Stopping an answer before a stop string."""

from collections.abc import Sequence


class StoppingText:
    """Holds back what may be the start of a stop string, and ends before one."""

    def __init__(self, stop: Sequence[str]):
        self._stop = tuple(s for s in stop if s)
        self._held, self._stopped = "", False

    def add(self, text: str) -> bool:
        """Take a piece of text; True if a stop string is complete. What stands before it can still be taken."""
        self._held += text
        found = [at for at in (self._held.find(s) for s in self._stop) if at >= 0]
        if found:
            self._held, self._stopped = self._held[: min(found)], True
        return self._stopped

    def take(self, last: bool) -> str:
        """The text that can be shown now; all of it at the end of the answer."""
        kept = 0 if last or self._stopped else self._ambiguous()
        ready, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        return ready

    def _ambiguous(self) -> int:
        """Length of the longest end of the held text that a stop string starts with."""
        lengths = [n for s in self._stop for n in range(1, len(s)) if self._held.endswith(s[:n])]
        return max(lengths, default=0)
