"""Whether to compute while flash is read (resident neurons, and the next layer's ahead): decided by trying, as drives
and processors differ."""

TRIES = 4  # tokens of each way before a choice
EVERY = 64  # tokens after which the other way is tried again, for one token
FADING = 0.8  # of what earlier tokens took


class Overlap:
    """`active` says what the present token does. Without `wanted` it never is."""

    def __init__(self, wanted: bool = False):
        self.wanted = wanted
        self.active = wanted
        self._seconds: dict[bool, float] = {}
        self._token = 0

    def begin(self) -> None:
        """A token begins: choose how it is computed."""
        self._token += 1
        if not self.wanted:
            return
        if self._token <= 2 * TRIES:
            self.active = self._token % 2 == 1
        else:
            faster = self._seconds[True] <= self._seconds[False]
            self.active = faster if self._token % EVERY else not faster

    def end(self, seconds: float) -> None:
        """It is over, and took this long."""
        before = self._seconds.get(self.active, seconds)
        self._seconds[self.active] = FADING * before + (1 - FADING) * seconds
