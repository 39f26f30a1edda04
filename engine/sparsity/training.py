"""Training a predictor for one layer, in numpy, in bounded memory (paper, section 3.1 and appendix B).

It starts from the best low-rank factorisation of the up projection for the inputs seen, read as a probability: a
neuron's pre-activation is its low-rank estimate plus an error of known spread. A few passes of class-balanced logistic
regression then move the errors to where they cost least.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

RECALL = 0.97  # asked for on text that was not trained on; leaves room for other texts to reach 0.95
HELD_OUT = 5  # every fifth block of tokens chooses the threshold
BLOCK = 256
BATCH = 512
LEAST_ERROR = 0.2  # of a neuron's spread
LOGIT_OF_UNIT = 1.702  # sigmoid(1.702 z) is within 0.01 of the normal distribution function


@dataclass(frozen=True)
class LayerActivity:
    """What one layer saw on a text. inputs: float32 [tokens, hidden]; active: bits [tokens, neurons / 8]."""

    inputs: np.ndarray
    active: np.ndarray
    neurons: int

    def rows(self, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs, and active as bool, of some tokens."""
        flags = np.unpackbits(self.active[which], axis=1, count=self.neurons).view(bool)
        return self.inputs[which], flags


@dataclass(frozen=True)
class TrainedPredictor:
    """down [rank, hidden], up [neurons, rank], bias [neurons], float32; the rest was measured on held-out tokens."""

    down: np.ndarray
    up: np.ndarray
    bias: np.ndarray
    threshold: float
    recall: float
    false_positives: float


def train_predictor(
    activity: LayerActivity,
    up: np.ndarray,
    up_bias: np.ndarray,
    rank: int,
    epochs: int = 4,
    seed: int = 0,
    progress: Callable[[], None] = lambda: None,
) -> TrainedPredictor:
    """A predictor for a layer whose neurons are active where `up` x + `up_bias` is positive.

    up: [neurons, hidden], the gate's rows where the FFN is gated; up_bias: [neurons]; float32.
    """
    blocks = np.arange(len(activity.inputs)) // BLOCK
    training, held_out = np.flatnonzero(blocks % HELD_OUT != 0), np.flatnonzero(blocks % HELD_OUT == 0)
    weights = _probabilistic_factors(activity.inputs[training], up, up_bias, rank)
    _logistic_regression(weights, activity, training, epochs, seed, progress)
    logit, recall, false_positives = _choose_threshold(weights, activity, held_out)
    threshold = float(1 / (1 + np.exp(-np.clip(logit, -30, 30))))
    return TrainedPredictor(*weights, threshold, recall, false_positives)


def _probabilistic_factors(x: np.ndarray, up: np.ndarray, up_bias: np.ndarray, rank: int) -> list[np.ndarray]:
    """[down, up, bias] such that sigmoid(up (down x) + bias) is the probability of a positive pre-activation."""
    mean = x.mean(axis=0)
    covariance = np.cov(x, rowvar=False).astype(np.float32) + 1e-4 * np.eye(x.shape[1], dtype=np.float32)
    root = np.linalg.cholesky(covariance)
    # The right singular vectors of (up root) by variance explained; the eigenproblem is only hidden x hidden.
    weighted = up @ root
    _, vectors = np.linalg.eigh(weighted.T @ weighted)
    basis = vectors[:, ::-1][:, :rank]
    down = np.linalg.solve(root.T, basis).T.astype(np.float32)
    low_rank = weighted @ basis
    spread = np.sqrt((weighted**2).sum(axis=1)) + 1e-6
    error = np.sqrt(np.maximum(spread**2 - (low_rank**2).sum(axis=1), 0))
    # Where the rank is nearly full the error vanishes; scores need not be more certain than the tail of a sigmoid.
    scale = LOGIT_OF_UNIT / np.maximum(error, LEAST_ERROR * spread)
    bias = (up @ mean + up_bias - low_rank @ (down @ mean)) * scale
    return [down, (low_rank * scale[:, None]).astype(np.float32), bias.astype(np.float32)]


def _logistic_regression(
    weights: list[np.ndarray],
    activity: LayerActivity,
    training: np.ndarray,
    epochs: int,
    seed: int,
    progress: Callable[[], None],
) -> None:
    """Adam on the binary cross entropy, in place; active neurons weigh more, as they are few and missing one costs."""
    rng = np.random.default_rng(seed)
    first, second = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    steps = max(1, epochs * len(training) // BATCH)
    rates = [0.02 * np.abs(w).mean() for w in weights]
    order = np.concatenate([rng.permutation(training) for _ in range(epochs + 1)])
    for step in range(steps):
        x, active = activity.rows(np.sort(order[step * BATCH : (step + 1) * BATCH]))
        for i, gradient in enumerate(_gradients(weights, x, active)):
            first[i] += 0.1 * (gradient - first[i])
            second[i] += 0.01 * (gradient**2 - second[i])
            corrected = first[i] / (1 - 0.9 ** (step + 1))
            spread = np.sqrt(second[i] / (1 - 0.99 ** (step + 1))) + 1e-10
            weights[i] -= rates[i] * (1 - step / steps) * corrected / spread
        progress()


def _gradients(weights: list[np.ndarray], x: np.ndarray, active: np.ndarray) -> tuple[np.ndarray, ...]:
    down, up, bias = weights
    inner = x @ down.T
    score = inner @ up.T + bias
    slope = 1 / (1 + np.exp(-np.clip(score, -30, 30)))
    slope -= active
    slope[active] *= np.sqrt(max(1.0, active.size / max(active.sum(), 1)))
    slope /= len(x)
    return (slope @ up).T @ x, slope.T @ inner, slope.sum(axis=0)


def _choose_threshold(weights: list[np.ndarray], activity: LayerActivity, held_out: np.ndarray) -> tuple[float, ...]:
    """The highest logit with enough recall over the layer, and the recall and share of false positives it gives."""
    down, up, bias = weights
    edges = np.linspace(-30, 30, 6001)
    positive, negative = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
    for start in range(0, len(held_out), BATCH):
        x, active = activity.rows(held_out[start : start + BATCH])
        score = np.clip((x @ down.T) @ up.T + bias, -29.99, 29.99)
        positive += np.histogram(score[active], edges)[0]
        negative += np.histogram(score[~active], edges)[0]
    found = positive[::-1].cumsum()[::-1] / max(positive.sum(), 1)  # recall with the threshold at each left edge
    extra = negative[::-1].cumsum()[::-1] / max(negative.sum(), 1)
    at = int(np.flatnonzero(found >= RECALL)[-1]) if positive.sum() else len(edges) - 2
    return float(edges[at]), float(found[at]), float(extra[at])
