"""Training a predictor for one layer, in numpy, in bounded memory (paper, section 3.1 and appendix B).

It starts from the best low-rank factorisation of the up projection for the inputs seen, read as a probability: a
neuron's pre-activation is its low-rank estimate plus an error of known spread. That is a predictor already; how many
false positives it has at each rank chooses the rank. A few passes of class-balanced logistic regression then move the
errors to where they cost least.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

RECALL = 0.97  # asked for on text that was not trained on; leaves room for other texts to reach 0.95
BATCH_TOKENS = 512
PIECE_NEURONS = 1024  # neurons of the up projection at a time
MIN_ERROR = 0.2  # of a neuron's spread
LOGIT_OF_UNIT = 1.702  # sigmoid(1.702 z) is within 0.01 of the normal distribution function
MAX_SCORE, SCORE_BINS = 30, 6000  # scores are counted from -30 to 30, in hundredths
CACHED_NUMBERS = 1 << 15  # numbers that are updated at a time
NEARLY_BEST_RATIO = 1.25  # a rank is enough that has so many times the false positives of the largest
FEW_FALSE_POSITIVES = 0.005  # false positives that no larger rank is worth


class Matrix(Protocol):
    """Rows [neurons, hidden], float32, that are there once they are sliced."""

    def __len__(self) -> int: ...
    def __getitem__(self, neurons: slice, /) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class LayerActivity:
    """The activity of one layer on a text. inputs: float32 [tokens, hidden]; active: bits [tokens, neurons / 8].

    held_out: bool [tokens], those that are not trained on but choose rank and threshold.
    """

    inputs: np.ndarray
    active: np.ndarray
    neurons: int
    held_out: np.ndarray

    def rows(self, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs, and active as bool, of some tokens."""
        flags = np.unpackbits(self.active[which], axis=1, count=self.neurons).view(bool)
        return self.inputs[which], flags

    def batches(self, which: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Inputs and active neurons of some tokens, batch after batch."""
        for start in range(0, len(which), BATCH_TOKENS):
            yield self.rows(which[start : start + BATCH_TOKENS])

    @property
    def density(self) -> float:
        """Share of neurons that were active."""
        active = sum(
            int(np.bitwise_count(self.active[i : i + BATCH_TOKENS]).sum())
            for i in range(0, len(self.active), BATCH_TOKENS)
        )
        return active / (len(self.active) * self.neurons)

    def use(self, window: int) -> tuple[float, float]:
        """The use of neurons, see `use_of`."""
        return use_of(self.active, self.neurons, window)


def use_of(active: NDArray[np.uint8], count: int, window: int) -> tuple[float, float]:
    """Shares of `count` neurons, or groups of them: those that `window` consecutive tokens need together, and those
    that a token needs and none of the `window` tokens before it did (paper, section 3.1). active: bits
    [tokens, count / 8]."""
    together = newly = 0
    for start in range(window, len(active), BATCH_TOKENS):
        block = active[start - window : start + BATCH_TOKENS]
        now, before = block[window:], block[: len(block) - window].copy()
        for age in range(1, window):
            before |= block[age : age + len(before)]
        together += int(np.bitwise_count(before).sum())
        newly += int(np.bitwise_count(now & ~before).sum())
    scale = max(1, len(active) - window) * count
    return together / scale, newly / scale


@dataclass(frozen=True)
class Quality:
    """A threshold (a probability), and what it gives on held-out tokens: shares of active and of inactive neurons."""

    threshold: float
    recall: float
    false_positives: float


@dataclass(frozen=True)
class TrainedPredictor:
    """A predictor's float32 weights, see `Predictor`, and how good they are."""

    down: np.ndarray
    up: np.ndarray
    bias: np.ndarray
    quality: Quality
    relu: bool = False

    @classmethod
    def of(cls, weights: list[np.ndarray], quality: Quality) -> "TrainedPredictor":
        """weights: down, up and bias."""
        down, up, bias = weights
        return cls(down, up, bias, quality)


def ranks_for(width: int) -> list[int]:
    """Ranks to choose from for a hidden width: the paper's 128 to 1024 for 4096, relatively more for small ones."""
    largest = min(max(width // 4, 128), max(width // 2, 1))
    ranks = [largest]
    while ranks[0] // 2 >= max(width // 32, 32):
        ranks.insert(0, ranks[0] // 2)
    return ranks


def train_predictor(
    activity: LayerActivity, up: "Matrix", up_bias: np.ndarray, ranks: list[int], epochs: int = 4, seed: int = 0
) -> TrainedPredictor:
    """A predictor for a layer whose neurons are active where `up` x + `up_bias` is positive.

    up: [neurons, hidden] float32, the gate's rows where the FFN is gated: an array, or whatever gives one when sliced.
    up_bias: [neurons]. ranks: to choose from, rising. epochs: 0 leaves it at the factorisation.
    """
    training, held_out = np.flatnonzero(~activity.held_out), np.flatnonzero(activity.held_out)
    factors = _probabilistic_factors(activity, training, up, up_bias, ranks[-1])
    factorised = _smallest_nearly_best(factors, activity, held_out, ranks)
    del factors
    if not epochs:
        return factorised
    weights = [w.copy() for w in (factorised.down, factorised.up, factorised.bias)]
    for _ in _logistic_regression(weights, activity, training, epochs, seed):
        trained = TrainedPredictor.of(weights, measure(weights, activity, held_out))
        if trained.quality.false_positives >= factorised.quality.false_positives:
            return factorised  # inputs are spread as a factorisation supposes, and errors lie where they cost least
    return trained


def _smallest_nearly_best(
    factors: "_Factors", activity: LayerActivity, held_out: np.ndarray, ranks: list[int]
) -> TrainedPredictor:
    """From the largest of the ranks down, for as long as false positives are about as few as there."""
    enough, chosen = FEW_FALSE_POSITIVES, None
    for rank in reversed(ranks):
        weights = _truncated(factors, rank)
        quality = measure(weights, activity, held_out)
        if chosen is None:
            enough = max(NEARLY_BEST_RATIO * quality.false_positives, FEW_FALSE_POSITIVES)
        elif quality.false_positives > enough:
            break
        chosen = TrainedPredictor.of(weights, quality)
    assert chosen is not None, "there are ranks"
    return chosen


@dataclass
class _Factors:
    """down [hidden, rank] and low_rank [neurons, rank], best directions first; spread and centre by neuron."""

    down: np.ndarray
    low_rank: np.ndarray
    spread: np.ndarray
    centre: np.ndarray
    mean: np.ndarray


def _probabilistic_factors(
    activity: LayerActivity, training: np.ndarray, up: "Matrix", up_bias: np.ndarray, rank: int
) -> _Factors:
    """The best estimates of `up` x from `rank` numbers, given how the inputs are distributed."""
    mean, covariance = _moments(activity, training)
    root = np.linalg.cholesky(covariance)
    del covariance
    pieces = [slice(start, start + PIECE_NEURONS) for start in range(0, len(up), PIECE_NEURONS)]
    # The right singular vectors of (up root) by variance explained; the eigenproblem is only hidden x hidden.
    gram = np.zeros_like(root)
    for piece in pieces:
        weighted = up[piece] @ root
        gram += weighted.T @ weighted
    _, vectors = np.linalg.eigh(gram)
    basis = vectors[:, ::-1][:, :rank]
    low_rank, spread, centre = np.empty((len(up), rank), np.float32), np.empty(len(up)), np.empty(len(up))
    for piece in pieces:
        rows = up[piece]
        weighted = rows @ root
        low_rank[piece], spread[piece] = weighted @ basis, np.sqrt((weighted**2).sum(axis=1)) + 1e-6
        centre[piece] = rows @ mean + up_bias[piece]
    return _Factors(np.linalg.solve(root.T, basis).astype(np.float32), low_rank, spread, centre, mean)


def _moments(activity: LayerActivity, training: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance, made safely positive, of the inputs that are trained on; float32."""
    width = activity.inputs.shape[1]
    total, squares = np.zeros(width), np.zeros((width, width))
    for start in range(0, len(training), BATCH_TOKENS):
        x = activity.inputs[training[start : start + BATCH_TOKENS]]
        total += x.sum(axis=0)
        squares += x.T @ x
    mean = total / len(training)
    squares -= np.outer(total, mean)
    squares /= max(len(training) - 1, 1)
    squares[np.diag_indices(width)] += 1e-4 * np.trace(squares) / width + 1e-12
    return mean.astype(np.float32), squares.astype(np.float32)


def _truncated(factors: _Factors, rank: int) -> list[np.ndarray]:
    """[down, up, bias] such that sigmoid(up (down x) + bias) is the probability of a positive pre-activation."""
    down, low_rank = np.ascontiguousarray(factors.down[:, :rank].T), factors.low_rank[:, :rank]
    error = np.sqrt(np.maximum(factors.spread**2 - (low_rank**2).sum(axis=1), 0))
    # Where the rank is nearly full the error vanishes; scores need not be more certain than the tail of a sigmoid.
    scale = LOGIT_OF_UNIT / np.maximum(error, MIN_ERROR * factors.spread)
    bias = (factors.centre - low_rank @ (down @ factors.mean)) * scale
    return [down, (low_rank * scale[:, None]).astype(np.float32), bias.astype(np.float32)]


def _logistic_regression(
    weights: list[np.ndarray], activity: LayerActivity, training: np.ndarray, epochs: int, seed: int
) -> Iterator[int]:
    """Adam on the binary cross entropy, in place; active neurons weigh more, as they are few and missing one costs.

    Yields after each epoch.
    """
    rng = np.random.default_rng(seed)
    moments = [np.zeros((2, *w.shape), np.float32) for w in weights]
    rates = [0.02 * np.abs(w).mean() for w in weights]
    batches = max(1, len(training) // BATCH_TOKENS)
    for epoch in range(epochs):
        order = rng.permutation(training)
        for batch in range(batches):
            x, active = activity.rows(np.sort(order[batch * BATCH_TOKENS : (batch + 1) * BATCH_TOKENS]))
            gradients = _gradients(weights, x, active)
            step = epoch * batches + batch
            for weight, gradient, moment, rate in zip(weights, gradients, moments, rates, strict=True):
                _adam(weight, gradient, moment, rate * (1 - step / (epochs * batches)), step + 1)
        yield epoch


def _gradients(weights: list[np.ndarray], x: np.ndarray, active: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of down, up and bias. What is as large as tokens times neurons exists once, and is changed in place."""
    down, up, bias = weights
    inner = x @ down.T
    slope = inner @ up.T
    slope += bias
    np.clip(slope, -30, 30, out=slope)
    np.negative(slope, out=slope)
    np.exp(slope, out=slope)
    slope += 1
    np.reciprocal(slope, out=slope)
    flat, those = slope.reshape(-1), np.flatnonzero(active)
    flat[those] = (flat[those] - 1) * np.float32(np.sqrt(max(1.0, active.size / max(len(those), 1))))
    slope /= len(x)
    return (slope @ up).T @ x, slope.T @ inner, slope.sum(axis=0)


def _adam(weight: np.ndarray, gradient: np.ndarray, moments: np.ndarray, rate: float, step: int) -> None:
    """One step, number `step`, in place and in pieces that stay in the processor's cache."""
    flat = [array.reshape(-1) for array in (weight, gradient, *moments)]
    for start in range(0, weight.size, CACHED_NUMBERS):
        w, g, first, second = (array[start : start + CACHED_NUMBERS] for array in flat)
        first += np.float32(0.1) * (g - first)
        second += np.float32(0.01) * (g * g - second)
        spread = np.sqrt(second / np.float32(1 - 0.99**step)) + np.float32(1e-10)
        w -= np.float32(rate / (1 - 0.9**step)) * first / spread


def measure(weights: list[np.ndarray], activity: LayerActivity, held_out: np.ndarray, relu: bool = False) -> Quality:
    """The quality of [down, up, bias] with the highest threshold that finds enough of what is active in the held-out
    tokens.

    relu: down's outputs pass a ReLU.
    """
    down, up, bias = weights
    everyone, positive = np.zeros(SCORE_BINS, np.int64), np.zeros(SCORE_BINS, np.int64)
    for x, active in activity.batches(held_out):
        inner = x @ down.T
        score = (np.maximum(inner, 0) if relu else inner) @ up.T
        score += bias + MAX_SCORE
        score *= np.float32(SCORE_BINS / (2 * MAX_SCORE))
        place = np.clip(score, 0, SCORE_BINS - 1, out=score).astype(np.int32)
        everyone += np.bincount(place.reshape(-1), minlength=SCORE_BINS)
        positive += np.bincount(place[active], minlength=SCORE_BINS)
    negative = everyone - positive
    found = positive[::-1].cumsum()[::-1] / max(positive.sum(), 1)  # recall with the threshold at each bin's left edge
    extra = negative[::-1].cumsum()[::-1] / max(negative.sum(), 1)
    at = int(np.flatnonzero(found >= RECALL)[-1]) if positive.sum() else SCORE_BINS - 1
    logit = 2 * MAX_SCORE * at / SCORE_BINS - MAX_SCORE
    return Quality(float(1 / (1 + np.exp(-logit))), float(found[at]), float(extra[at]))
