"""Rest: how long a model stays in memory while nobody asks for it."""

import threading
import time
from collections.abc import Callable

USUAL_REST_S = 600.0  # after the last answer, until the model is unloaded


class Rest:
    """The seconds without a request after which one model is unloaded: the usual ones, until a request says others,
    which then hold for those that say nothing. Any thread may look."""

    def __init__(self, seconds: float = USUAL_REST_S, clock: Callable[[], float] = time.monotonic):
        self._seconds, self._clock = seconds, clock
        self._ends = clock() + seconds

    def begin(self, seconds: float | None = None) -> None:
        """Somebody has asked: the rest begins anew. seconds: of it, from now on; None for as many as before."""
        self._seconds = self._seconds if seconds is None else seconds
        self._ends = self._clock() + self._seconds

    @property
    def left_s(self) -> float | None:
        """The seconds that are left; None where the model stays for good."""
        left = self._ends - self._clock()
        return max(0.0, left) if left < threading.TIMEOUT_MAX else None

    @property
    def is_over(self) -> bool:
        """True once it is time to unload the model."""
        return self.left_s == 0
