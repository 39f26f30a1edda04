"""The recent past of decoding: the last tokens, and a minute of flash traffic. No Qt, constant memory."""

from collections import deque

from engine.statistics import TokenStatistics, means

MAX_TOKENS = 60
SPAN_S = 60
BIN_S = 0.5
BINS = round(SPAN_S / BIN_S)


class RecentTokens:
    """Filled with the cost of each token as it comes, read by the panel. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self.tokens: deque[TokenStatistics] = deque(maxlen=MAX_TOKENS)
        self.latest: TokenStatistics | None = None
        self._steps: deque[tuple[float, TokenStatistics]] = deque(maxlen=MAX_TOKENS)
        self._bytes: dict[int, float] = {}
        self._means: dict[str, float] | None = None  # until the next token
        self._answer = (0.0, 0.0)  # bytes and reads of the latest answer, its prompt too
        self._answer_began: float | None = None
        self._prefilling = False

    def add(self, time: float, statistics: TokenStatistics, prefill: bool = False) -> None:
        """Take what was finished at `time`. The prompt's cost counts as flash traffic, but is not that of a token."""
        self.latest = statistics
        self._steps.append((time, statistics))
        self._add_to_answer(time, statistics, prefill)
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
        """Bytes and reads a second, by the clock, in the second up to the latest step; zeros when that is long ago.

        The same quantity as `traffic`, which has it by half seconds. A slow step holds until the next one is due.
        """
        if not self._steps:
            return 0.0, 0.0
        end, step = self._steps[-1]
        if now - end > max(1.5, 2 * step.total_ms / 1000):
            return 0.0, 0.0
        read = reads = 0.0
        for time, step in reversed(self._steps):
            inside = _share_inside(time - step.total_ms / 1000, time, end - 1, end)
            read, reads = read + inside * step.bytes_read, reads + inside * step.reads
        return read, reads

    def traffic(self, now: float) -> list[float]:
        """Bytes a second in each half second of the last minute and in the present one, oldest first."""
        last = int(now / BIN_S)
        return [self._bytes.get(b, 0.0) / BIN_S for b in range(last - BINS, last + 1)]

    def answer_rate(self) -> tuple[float, float]:
        """Bytes and reads a second, by the clock, over all of the latest answer and its prompt; zeros before the first.

        Over a second at least, as `rate` is.
        """
        if self._answer_began is None:
            return 0.0, 0.0
        seconds = max(1.0, self._steps[-1][0] - self._answer_began)
        return self._answer[0] / seconds, self._answer[1] / seconds

    def quiet(self, now: float) -> bool:
        """True if the last minute has nothing in it."""
        return not self._steps or now - self._steps[-1][0] > SPAN_S + 2 * BIN_S

    def _add_to_answer(self, time: float, statistics: TokenStatistics, prefill: bool) -> None:
        if self._answer_began is None or (prefill and not self._prefilling):
            self._answer, self._answer_began = (0.0, 0.0), time - statistics.total_ms / 1000
        self._prefilling = prefill
        self._answer = self._answer[0] + statistics.bytes_read, self._answer[1] + statistics.reads

    def _spread(self, end: float, statistics: TokenStatistics) -> None:
        # A slow token's reads belong to the whole time that it took, not to the moment that it was ready.
        start = end - statistics.total_ms / 1000
        bins = range(int(start / BIN_S), int(end / BIN_S) + 1)
        for index in bins:
            self._bytes[index] = self._bytes.get(index, 0.0) + statistics.bytes_read * _overlap(index, start, end)
        oldest = bins[-1] - BINS - 1
        while self._bytes and (first := next(iter(self._bytes))) < oldest:
            del self._bytes[first]


def _overlap(index: int, start: float, end: float) -> float:
    """The share of the time from `start` to `end` that falls into bin `index`."""
    return _share_inside(start, end, index * BIN_S, (index + 1) * BIN_S)


def _share_inside(start: float, end: float, first: float, last: float) -> float:
    """The share of the time from `start` to `end` that lies between `first` and `last`."""
    if end <= start:
        return float(first <= end <= last)
    return max(0.0, min(end, last) - max(start, first)) / (end - start)
