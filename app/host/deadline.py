"""The time that may be waited at the end: one for all that ends together. What has not ended then is left behind."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

CLOSING_S = 2.0  # a window that closes never takes longer


class Deadline:
    """So many seconds from now."""

    _shared: ClassVar["Deadline | None"] = None

    def __init__(self, seconds: float = CLOSING_S):
        self._end = time.monotonic() + seconds

    @classmethod
    def of_the_end(cls) -> "Deadline":
        """The one of everything that is ending together just now, or else one of its own."""
        return cls._shared or cls()

    @property
    def seconds_left(self) -> float:
        """Never less than 0."""
        return max(0.0, self._end - time.monotonic())

    @property
    def ms_left(self) -> int:
        """As Qt counts."""
        return round(1000 * self.seconds_left)

    def join(self, thread: threading.Thread) -> bool:
        """Wait for a thread. Returns whether it has ended; one that has not is left behind."""
        thread.join(self.seconds_left)
        return not thread.is_alive()


@contextmanager
def ending_together() -> Iterator[Deadline]:
    """A block in which whatever ends waits no longer than until one deadline."""
    Deadline._shared = Deadline()
    try:
        yield Deadline._shared
    finally:
        Deadline._shared = None
