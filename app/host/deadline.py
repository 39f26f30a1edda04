"""The time that may be waited at the end: one for everything that ends together."""

import threading
import time

CLOSING_S = 2.0  # a window that closes never takes longer


class Deadline:
    """So many seconds from now."""

    def __init__(self, seconds: float = CLOSING_S):
        self._end = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """Never less than 0."""
        return max(0.0, self._end - time.monotonic())

    def join(self, thread: threading.Thread) -> bool:
        """Wait for a thread. Returns whether it has ended; one that has not is left behind."""
        thread.join(self.seconds_left)
        return not thread.is_alive()
