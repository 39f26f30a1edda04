"""The use of the time that flash takes, token by token: decided by trying, as drives, processors and models differ."""

from collections import deque
from enum import Enum
from statistics import median

TRIES_PER_WAY = 3  # tokens of each way before a choice
RETRY_TOKENS = 16  # tokens after which another way is tried again, for one token
MEDIAN_TOKENS = 5  # tokens of a way whose median counts: one that something else held up must not decide


class Way(Enum):
    """NONE waits for what is read. AHEAD reads during attention what the layer will probably need: what of that is
    wrong takes rows from what is used. BESIDE computes what is in memory while the rest is read. BOTH does both."""

    NONE = 0
    AHEAD = 1
    BESIDE = 2
    BOTH = 3


class Overlap:
    """`way` is what the present token does. Without `wanted` it is always NONE."""

    def __init__(self, wanted: bool = False):
        self.wanted = wanted
        self.way = Way.NONE
        self._seconds: dict[Way, deque[float]] = {way: deque(maxlen=MEDIAN_TOKENS) for way in Way}
        self._token = 0

    @property
    def ahead(self) -> bool:
        """True where reads are begun before what they are for is reached."""
        return self.way in (Way.AHEAD, Way.BOTH)

    @property
    def beside(self) -> bool:
        """True where computing goes on beside reads."""
        return self.way in (Way.BESIDE, Way.BOTH)

    def begin(self) -> None:
        """A token begins: choose how it is computed."""
        if not self.wanted:
            return
        tried, ways = self._token, list(Way)
        self._token += 1
        if tried < TRIES_PER_WAY * len(ways):
            self.way = ways[tried % len(ways)]
            return
        self.way = fastest = self._fastest
        if tried % RETRY_TOKENS == 0:
            others = [way for way in ways if way is not fastest]
            self.way = others[tried // RETRY_TOKENS % len(others)]

    @property
    def found(self) -> Way | None:
        """The way that tokens take least time with; None until each was tried, or where none is wanted."""
        return self._fastest if self._token >= TRIES_PER_WAY * len(Way) else None

    @property
    def _fastest(self) -> Way:
        return min(Way, key=lambda way: median(self._seconds[way] or [0.0]))

    def end(self, seconds: float) -> None:
        """It is over, and took this long."""
        self._seconds[self.way].append(seconds)
