"""The reads that an order of neurons saves: a trace's in the model's own order, and in one that knows nothing."""

from dataclasses import dataclass

import numpy as np

from engine.bench.results import Row
from engine.bench.traces import NO_TOKEN, Trace

MAX_BYTES_RATIO = 1.35  # times the misses' bytes: what gaps may bring them to when they are read through
MAX_GAP_BUNDLES = 16  # bundles of the largest gap that is looked at
OWN_ORDER, RANDOM_ORDER = "the model's order", "a random order"


@dataclass(frozen=True)
class Reads:
    """Means over tokens, of one token. reads, bundles [MAX_GAP_BUNDLES + 1]: reads, and bundles that they bring, when
    gaps of up to so many bundles are read through."""

    reads: np.ndarray
    bundles: np.ndarray

    @property
    def widest(self) -> int:
        """The largest gap at which no more is read than is allowed."""
        return int(np.flatnonzero(self.bundles <= MAX_BYTES_RATIO * self.bundles[0])[-1])


def reads_by_order(trace: Trace, window: int, seed: int = 0) -> dict[str, Reads]:
    """The reads of a trace, whose ids are places in the model's own order, of what a full window does not hold."""
    rng = np.random.default_rng(seed)
    own = np.tile(np.arange(trace.neurons), (trace.layers, 1))
    places = {OWN_ORDER: own, RANDOM_ORDER: rng.permuted(own, axis=1)}
    last = np.full((trace.layers, trace.neurons), NO_TOKEN)
    distances = {name: np.zeros(trace.neurons, np.int64) for name in places}
    misses = 0
    for t, layers in enumerate(trace.tokens):
        for i, active in enumerate(layers):
            missing = active[t - last[i, active] > window]
            last[i, active] = t
            if t < window:
                continue
            misses += len(missing)
            for name, found in distances.items():
                found += np.bincount(np.diff(np.sort(places[name][i, missing])), minlength=trace.neurons)
    tokens = len(trace.tokens) - window
    return {name: _reads(misses / tokens, found / tokens) for name, found in distances.items()}


def _reads(misses: float, distances: np.ndarray) -> Reads:
    """distances[d]: how many misses lie d places behind the one before."""
    near = np.zeros(MAX_GAP_BUNDLES + 1)
    near[: len(distances) - 1] = distances[1 : MAX_GAP_BUNDLES + 2]
    return Reads(misses - near.cumsum(), misses + (near * np.arange(MAX_GAP_BUNDLES + 1)).cumsum())


def rows(found: dict[str, Reads], bundle_bytes: int) -> list[Row]:
    """For each order, without gaps and with the widest that is allowed."""
    unordered, lines = found[RANDOM_ORDER], []
    for name, order in found.items():
        for gap in sorted({0, order.widest}):
            reads, bundles = order.reads[gap], order.bundles[gap]
            note = (
                f"{reads:.0f} reads and {bundles * bundle_bytes / 1e6:.3f} MB a token, "
                f"{_times(reads, unordered.reads[0])} times a random order's reads at "
                f"{_times(bundles, unordered.bundles[0])} times the misses' bytes"
            )
            lines.append(Row(f"{name}, gaps of {gap}", bytes_read=bundles * bundle_bytes, reads=reads, note=note))
    return lines


def _times(value: float, unit: float) -> str:
    return f"{value / unit:.3f}" if unit else "0"
