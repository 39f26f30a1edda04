"""The neurons that each layer needed, token by token: recorded from a model, or drawn from published statistics."""

from dataclasses import dataclass

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.planning.reuse import Reuse
from engine.sparsity.selectors import Selector

Ids = NDArray[np.int32]
Floats = NDArray[np.float64]
Drawn = tuple[NDArray[np.float32], int, Ids]  # for a token: chances, how many are read, others
NO_TOKEN = np.iinfo(np.int64).min // 2


@dataclass(frozen=True)
class Trace:
    """neurons: of a layer. tokens[t][layer]: sorted int32 ids that token t needs there."""

    neurons: int
    tokens: list[list[Ids]]

    @property
    def layers(self) -> int:
        """Layers that were recorded."""
        return len(self.tokens[0])

    def grouped(self, size: int) -> "Trace":
        """The same of groups of neurons, each as many neighbours on flash."""
        tokens = [[np.unique(ids // size).astype(np.int32) for ids in layers] for layers in self.tokens]
        return self if size == 1 else Trace(-(-self.neurons // size), tokens)


@dataclass(frozen=True)
class TraceStatistics:
    """Means over tokens, by layer and window: float arrays [layers, windows], as shares of a layer's neurons.

    resident: needed by the last `window` tokens together. loaded: needed by a token and by none of the `window` tokens
    before it. selected [layers]: needed by one token. run: mean length of the runs of neighbours among what the first
    of the windows loads.
    """

    windows: tuple[int, ...]
    selected: Floats
    resident: Floats
    loaded: Floats
    run: float

    def at(self, window: int) -> tuple[float, float, float]:
        """Selected, resident and loaded shares, means over the layers."""
        column = self.windows.index(window)
        selected, resident, loaded = self.selected, self.resident[:, column], self.loaded[:, column]
        return float(selected.mean()), float(resident.mean()), float(loaded.mean())


def statistics(trace: Trace, windows: tuple[int, ...]) -> TraceStatistics:
    """Measure a trace, from the token on at which the largest of the windows is full."""
    first = max(windows)
    if len(trace.tokens) <= first:
        raise ValueError(f"a trace of {len(trace.tokens)} tokens is too short for a window of {first}")
    shape, steps = (trace.layers, len(windows)), len(trace.tokens) - first
    selected, resident, loaded = np.zeros(trace.layers), np.zeros(shape), np.zeros(shape)
    last = np.full((trace.layers, trace.neurons), NO_TOKEN)
    bundles = runs = 0
    for t, layers in enumerate(trace.tokens):
        for i, active in enumerate(layers):
            ages = t - last[i, active]
            last[i, active] = t
            if t < first:
                continue
            selected[i] += len(active)
            resident[i] += [np.count_nonzero(last[i] > t - window) for window in windows]
            loaded[i] += [np.count_nonzero(ages > window) for window in windows]
            missing = active[ages > windows[0]]
            bundles += len(missing)
            runs += int(np.count_nonzero(np.diff(missing) > 1)) + (len(missing) > 0)
    scale = 1 / (steps * trace.neurons)
    return TraceStatistics(windows, selected * scale, resident * scale, loaded * scale, bundles / max(runs, 1))


def draw(reuse: Reuse, layers: int, neurons: int, tokens: int, run: float = 1.0, seed: int = 0) -> Trace:
    """A random trace whose neurons are used again as `reuse` says.

    run: mean number of neighbours on flash that fire together, as they do once neurons are ordered by co-activation
    (Ripple, arXiv 2410.19274); 1 for an order that knows nothing.
    """
    rng = np.random.default_rng(seed)
    probabilities = np.stack([_probabilities(reuse, neurons, rng) for _ in range(layers)])
    group = np.stack([_groups(neurons, run, rng) for _ in range(layers)]) if run > 1 else None
    drawn = []
    for _ in range(tokens):
        chance = rng.random((layers, neurons), np.float32)
        if group is not None:
            chance, p = np.take_along_axis(chance, group, 1), np.take_along_axis(probabilities, group, 1)
        else:
            p = probabilities
        drawn.append([np.flatnonzero(row).astype(np.int32) for row in chance < p])
    return Trace(neurons, drawn)


def _probabilities(reuse: Reuse, neurons: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """The rate at which each neuron fires. Groups take their first neuron's, which is drawn like any other."""
    live = rng.random(neurons) < reuse.live
    a, b = reuse.mean * reuse.spread, (1 - reuse.mean) * reuse.spread
    return np.where(live, rng.beta(a, b, neurons), 0).astype(np.float32)


def _groups(neurons: int, run: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """The first neuron of each neuron's group: int64 [neurons], group sizes geometric with mean `run`."""
    starts = rng.random(neurons) < 1 / run
    starts[0] = True
    firsts: NDArray[np.int64] = np.maximum.accumulate(np.where(starts, np.arange(neurons), 0))
    return firsts


@dataclass
class RecordedSelection:
    """A selection that keeps what it selected, for `Trace`."""

    selection: Selector
    tokens: list[NDArray[np.int64]]

    def active(self, x: mx.array) -> NDArray[np.bool_]:
        return self.selection.active(x)

    def select(self, x: mx.array) -> NDArray[np.int64]:
        self.tokens.append(self.selection.select(x))
        return self.tokens[-1]

    def guess(self, x: mx.array, shift: float) -> NDArray[np.int64]:
        return self.selection.guess(x, shift)


@dataclass(frozen=True)
class Agreement:
    """The quality of guesses before attention, by the shift of the predictor's threshold in logits: of the neurons that
    have to be read, the share that is guessed, and how many others are guessed with them, for each. Equally long."""

    shift: tuple[float, ...]
    right: tuple[float, ...]
    wrong: tuple[float, ...]

    def at(self, shift: float) -> tuple[float, float]:
        """right and wrong, linear between the shifts that are known."""
        return float(np.interp(shift, self.shift, self.right)), float(np.interp(shift, self.shift, self.wrong))


class ReplayedSelection:
    """Selects what a trace says, token after token and from the start again at its end.

    selection: what would select without a trace; it is computed all the same, so that a token costs what it costs.
    agreement: of guesses, which are drawn from what the trace will say, with a `window` of tokens in memory. Tokens
    that are verified together are so many of the trace; those that are refused are not selected again.
    """

    def __init__(self, selection: Selector, tokens: list[Ids], agreement: Agreement | None = None, window: int = 1):
        self.selection, self.tokens, self.at = selection, tokens, 0
        self._agreement, self._window = agreement, window
        self._drawn: list[Drawn] | None = None

    def active(self, x: mx.array) -> NDArray[np.bool_]:
        active = np.zeros_like(self.selection.active(x))
        for each in active.reshape(-1, active.shape[-1]):
            each[self.tokens[self.at % len(self.tokens)]] = True
            self.at += 1
        return active

    def select(self, x: mx.array) -> NDArray[np.int64]:
        self.selection.active(x)
        self.at += 1
        return self.tokens[(self.at - 1) % len(self.tokens)].astype(np.int64)

    def guess(self, x: mx.array, shift: float) -> NDArray[np.int64]:
        self.selection.guess(x, shift)
        if self._agreement is None:
            return np.empty(0, np.int64)
        if self._drawn is None:  # all at once, for the first token: the others' time is measured
            self._drawn = _draw_guesses(self.tokens, self._agreement, self._window)
        right, wrong = self._agreement.at(shift)
        needed, (chance, new, others) = self.tokens[self.at % len(self.tokens)], self._drawn[self.at % len(self.tokens)]
        return np.sort(np.concatenate([needed[chance < right], others[: round(wrong * new)]])).astype(np.int64)


def _draw_guesses(tokens: list[Ids], agreement: Agreement, window: int) -> list[Drawn]:
    """By token: a chance for each neuron that it needs, how many have to be read, and others to guess wrongly."""
    rng, most, drawn = np.random.default_rng(0), max(agreement.wrong), []
    for at, needed in enumerate(tokens):
        recent = np.concatenate([tokens[(at - age) % len(tokens)] for age in range(1, window + 1)])
        new = len(np.setdiff1d(needed, recent))
        others = rng.integers(0, needed[-1] + 1, round(2 * most * new)).astype(needed.dtype)
        others = np.setdiff1d(others, np.concatenate([recent, needed]))
        drawn.append((rng.random(len(needed), np.float32), new, rng.permutation(others)))
    return drawn
