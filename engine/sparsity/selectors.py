"""Selectors say which neurons a token needs. `select` takes an FFN's input and evaluates it."""

from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from engine.arrays.products import product
from engine.models.activations import Activation
from engine.sparsity.predictor import Predictor


def _neurons(active: np.ndarray) -> np.ndarray:
    """Sorted int64 ids of the neurons that any token of `active`, bool [..., neurons], needs."""
    return np.flatnonzero(active.reshape(-1, active.shape[-1]).any(axis=0))


@dataclass
class ExactSelection:
    """The true active set, from the decisive parts of all bundles, held in memory.

    inputs: each [neurons, hidden]; bias: [neurons], of the first.
    """

    activation: Activation
    inputs: list[mx.array]
    bias: mx.array

    def active(self, x: mx.array) -> np.ndarray:
        """bool [..., neurons] for x [..., hidden], evaluated."""
        first, *others = (product(x, part) for part in self.inputs)
        return np.array(self.activation.active(first + self.bias, *others))

    def select(self, x: mx.array) -> np.ndarray:
        return _neurons(self.active(x))


@dataclass
class PredictedSelection:
    """What the predictor says: some false positives, few false negatives."""

    predictor: Predictor

    def guess(self, x: mx.array, shift: float) -> np.ndarray:
        """Sorted ids that x may need, with the threshold shifted by so many logits."""
        return _neurons(self.predictor.active(x, shift))

    def active(self, x: mx.array) -> np.ndarray:
        return self.predictor.active(x)

    def select(self, x: mx.array) -> np.ndarray:
        return _neurons(self.active(x))
