"""The recent past of decoding: the last tokens, and a minute of flash traffic. No Qt, constant memory."""

from collections import deque

from engine.statistics import TokenStatistics, means

TOKENS = 60
SECONDS = 60
BIN_SECONDS = 0.5
BINS = round(SECONDS / BIN_SECONDS)


class RecentTokens:
    """Filled with the cost of each token as it comes, read by the panel. Times are seconds of one monotonic clock."""

    def __init__(self):
        self.tokens: deque[TokenStatistics] = deque(maxlen=TOKENS)
        self.latest: TokenStatistics | None = None
        self._steps: deque[tuple[float, TokenStatistics]] = deque(maxlen=TOKENS)
        self._bytes: dict[int, float] = {}
        self._means: dict[str, float] | None = None  # until the next token

    def add(self, time: float, statistics: TokenStatistics, prefill: bool = False) -> None:
        """Take what was finished at `time`. The prompt's cost counts as flash traffic, but is not that of a token."""
        self.latest = statistics
        self._steps.append((time, statistics))
        if not prefill:
            self.tokens.append(statistics)
            self._means = None
        self._spread(time, statistics)

    def means(self) -> dict[str, float]:
        """Means over the recent tokens, as the engine defines them; empty before the first."""
        if self._means is None:
            self._means = means(list(self.tokens))
        return self._means

    def rate(self, now: float) -> tuple[float, float]:
        """Bytes and reads a second over the last second or so of work; zeros when there was none lately."""
        read = reads = seconds = 0.0
        for time, step in reversed(self._steps):
            duration = step.total_ms / 1000
            if seconds >= 1 or now - time > max(1.5, 2 * duration):
                break
            read, reads, seconds = read + step.bytes_read, reads + step.reads, seconds + duration
        return (read / seconds, reads / seconds) if seconds else (0.0, 0.0)

    def traffic(self, now: float) -> list[float]:
        """Bytes a second in each half second of the last minute, oldest first."""
        last = int(now / BIN_SECONDS)
        return [self._bytes.get(b, 0.0) / BIN_SECONDS for b in range(last - BINS, last)]

    def quiet(self, now: float) -> bool:
        """Whether the last minute has nothing in it."""
        return not self._steps or now - self._steps[-1][0] > SECONDS + 2 * BIN_SECONDS

    def _spread(self, end: float, statistics: TokenStatistics) -> None:
        # A slow token's reads belong to the whole time that it took, not to the moment that it was ready.
        start = end - statistics.total_ms / 1000
        bins = range(int(start / BIN_SECONDS), int(end / BIN_SECONDS) + 1)
        for index in bins:
            self._bytes[index] = self._bytes.get(index, 0.0) + statistics.bytes_read * _overlap(index, start, end)
        oldest = bins[-1] - BINS - 1
        while self._bytes and (first := next(iter(self._bytes))) < oldest:
            del self._bytes[first]


def _overlap(index: int, start: float, end: float) -> float:
    """The share of the time from `start` to `end` that falls into bin `index`."""
    if end <= start:
        return 1.0
    inside = min(end, (index + 1) * BIN_SECONDS) - max(start, index * BIN_SECONDS)
    return max(0.0, inside) / (end - start)
