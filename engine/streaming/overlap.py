"""The use of the time that flash takes, token by token: decided by trying, as drives, processors and models differ."""

from collections import deque
from collections.abc import Iterable
from enum import Enum
from statistics import median

TRIES_PER_WAY = 3  # tokens of each way before a choice
RETRY_TOKENS = 16  # tokens after which another way is tried again, for one token,
SOON_TOKENS = 4  # or these, where it was faster the last time
MEDIAN_TOKENS = 5  # whose median counts: one that something else held up must not decide


class Way(Enum):
    """NONE waits for what is read. AHEAD reads during attention what the layer will probably need: what of that is
    wrong takes rows from what is used. BESIDE computes what is in memory while the rest is read. BOTH does both."""

    NONE = 0
    AHEAD = 1
    BESIDE = 2
    BOTH = 3


class Overlap:
    """`way` is what the present token does. Without `wanted` it is always NONE.

    Another way is compared with tokens of the fastest that were just before it: what a token reads, and how fast the
    drive is, changes from second to second.
    """

    def __init__(self, wanted: bool = False):
        self.wanted = wanted
        self.way = Way.NONE
        self._first: dict[Way, list[float]] = {way: [] for way in Way}  # seconds, of tokens before a choice
        self._fastest: Way | None = None
        self._seconds = _last([])  # of the fastest way's tokens
        self._shares = {way: _last([]) for way in Way}  # of these, that a token of another way took
        self._token, self._next_try = 0, RETRY_TOKENS
        self._tried = Way.BOTH  # the last one that was tried again,
        self._was_faster = False  # and how that went

    @property
    def ahead(self) -> bool:
        """True where reads are begun before what they are for is reached."""
        return self.way in (Way.AHEAD, Way.BOTH)

    @property
    def beside(self) -> bool:
        """True where computing goes on beside reads."""
        return self.way in (Way.BESIDE, Way.BOTH)

    @property
    def found(self) -> Way | None:
        """The way that tokens take least time with; None until each was tried, or where none is wanted."""
        if self._fastest is None and self._token >= TRIES_PER_WAY * len(Way):
            self._choose()
        return self._fastest

    def begin(self) -> None:
        """A token begins: choose how it is computed."""
        if not self.wanted:
            return
        fastest, token, ways = self.found, self._token, list(Way)
        self._token += 1
        self.way = fastest or ways[token % len(ways)]
        if fastest and token >= self._next_try:
            self.way = self._tried = self._tried if self._was_faster else self._other_than(fastest)
            self._next_try, self._was_faster = token + RETRY_TOKENS, False

    def end(self, seconds: float) -> None:
        """It is over, and took this long."""
        if self._fastest is None:
            self._first[self.way].append(seconds)
        elif self.way is self._fastest:
            self._seconds.append(seconds)
        else:
            self._compare(seconds)

    def _choose(self) -> None:
        known = {way: median(self._first[way] or [0.0]) for way in Way}
        self._fastest = fastest = min(Way, key=known.__getitem__)
        self._seconds = _last(self._first[fastest])
        usual = known[fastest] or max(known.values())
        self._shares = {way: _last(each / usual for each in self._first[way]) for way in Way}

    def _other_than(self, fastest: Way) -> Way:
        others = [way for way in Way if way is not fastest]
        return min(others, key=lambda way: (way.value - self._tried.value - 1) % len(Way))

    def _compare(self, seconds: float) -> None:
        """Another way was tried; where it was faster, once more soon."""
        share = seconds / median(self._seconds or [seconds])
        self._shares[self.way].append(share)
        usual = median(self._shares[self.way])
        if usual < 1:
            self._take_as_fastest(self.way, usual)
        elif share < 1:
            self._was_faster, self._next_try = True, self._token - 1 + SOON_TOKENS

    def _take_as_fastest(self, way: Way, share: float) -> None:
        """share: of what the fastest took until now."""
        assert self._fastest is not None
        self._shares = {other: _last(each / share for each in shares) for other, shares in self._shares.items()}
        self._shares[self._fastest] = _last([1 / share])
        self._seconds = _last(each * share for each in self._seconds)
        self._fastest = way


def _last(values: Iterable[float]) -> deque[float]:
    return deque(values, maxlen=MEDIAN_TOKENS)
