"""Selectors say which neurons a token needs."""

from dataclasses import dataclass
from typing import Protocol

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.arrays.packed import Resident
from engine.arrays.products import floats_of
from engine.models.activations import Activation
from engine.sparsity.predictor import Predictor


class Selector(Protocol):
    """A choice of neurons from an FFN's input x [..., width], which is evaluated."""

    def active(self, x: mx.array) -> NDArray[np.bool_]:
        """bool [..., neurons]: by token."""

    def select(self, x: mx.array) -> NDArray[np.int64]:
        """Sorted ids of the neurons that any token needs."""

    def guess(self, x: mx.array, shift: float) -> NDArray[np.int64]:
        """Sorted ids that may be needed, where x is only nearly the input. shift: how much surer than usual, in logits
        of a predictor's threshold."""


def _neurons(active: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Sorted ids of the neurons that any token of `active`, bool [..., neurons], needs."""
    return np.flatnonzero(active.reshape(-1, active.shape[-1]).any(axis=0))


@dataclass
class ExactSelection:
    """The true active set, from the decisive parts of all bundles, held in memory.

    inputs: each [neurons, hidden]; bias: [neurons], of the first.
    """

    activation: Activation
    inputs: list[Resident]
    bias: mx.array

    def active(self, x: mx.array) -> NDArray[np.bool_]:
        if mx.metal.is_available():
            first, *others = (part.times_mlx(x) for part in self.inputs)
            return np.array(self.activation.active(first + self.bias, *others))
        vectors = floats_of(x).reshape(-1, x.shape[-1])
        products = [part.times(vectors) for part in self.inputs]
        products[0] += floats_of(self.bias)
        active: NDArray[np.bool_] = self.activation.active(*products)
        return active.reshape(*x.shape[:-1], -1)

    def select(self, x: mx.array) -> NDArray[np.int64]:
        return _neurons(self.active(x))

    def guess(self, x: mx.array, shift: float) -> NDArray[np.int64]:  # noqa: ARG002 (there is no threshold to shift)
        return self.select(x)


@dataclass
class PredictedSelection:
    """The predictor's choice: some false positives, few false negatives."""

    predictor: Predictor

    def active(self, x: mx.array) -> NDArray[np.bool_]:
        return self.predictor.active(x)

    def select(self, x: mx.array) -> NDArray[np.int64]:
        return _neurons(self.active(x))

    def guess(self, x: mx.array, shift: float) -> NDArray[np.int64]:
        return _neurons(self.predictor.active(x, shift))
