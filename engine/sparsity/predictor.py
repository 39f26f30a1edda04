"""The predictor: a low-rank guess of which neurons a token will activate (paper, section 3.1).

Its input is the FFN's own input, that is the output of the same layer's attention, normed.
"""

from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import numpy as np

from engine.cpu import product


@dataclass
class Predictor:
    """score = up (down x) + bias; a neuron is predicted active where sigmoid(score) > threshold.

    down: [rank, hidden]; up: [neurons, rank]; bias: [neurons]; threshold: a probability.
    """

    down: mx.array
    up: mx.array
    bias: mx.array
    threshold: float

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    def active(self, x: mx.array) -> mx.array:
        """bool [..., neurons] for x [..., hidden]."""
        logit = float(np.log(self.threshold / (1 - self.threshold)))
        return product(product(x, self.down), self.up) + self.bias > logit


def load_predictors(path: Path, thresholds: list[float], dtype: mx.Dtype) -> list[Predictor]:
    """Predictors by layer from predictor.safetensors, computed in `dtype`."""
    weights = mx.load(str(path))
    return [
        Predictor(*(weights[f"layers.{i}.{part}"].astype(dtype) for part in ("down", "up", "bias")), threshold)
        for i, threshold in enumerate(thresholds)
    ]


def predictor_weights(predictors: list[Predictor], dtype: mx.Dtype) -> dict[str, mx.array]:
    """What predictor.safetensors holds: the inverse of `load_predictors`."""
    weights = {}
    for i, p in enumerate(predictors):
        weights |= {f"layers.{i}.{part}": getattr(p, part).astype(dtype) for part in ("down", "up", "bias")}
    return weights
