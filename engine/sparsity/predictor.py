"""The predictor: a low-rank guess of which neurons a token will activate (paper, section 3.1).

Its input is the FFN's own input, that is the output of the same layer's attention, normed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import mlx.core as mx
import numpy as np

from engine.arrays.packed import Resident, held_dtype
from engine.arrays.products import floats_of

PARTS = ("down", "up", "bias")


class Report(Protocol):
    """The part of a layer's report in the manifest that its predictor is described by."""

    @property
    def neurons(self) -> int: ...
    @property
    def rank(self) -> int: ...
    @property
    def threshold(self) -> float: ...
    @property
    def predictor(self) -> str: ...


@dataclass
class Predictor:
    """score = up (down x) + bias; a neuron is predicted active where sigmoid(score - shift) > threshold.

    down: [rank, hidden]; up: [neurons, rank]; bias: [neurons]; threshold: a probability. relu: whether down's outputs
    pass a ReLU, as in predictors that PowerInfer published. shift: of the threshold, in logits.
    """

    down: mx.array
    up: mx.array
    bias: mx.array
    threshold: float
    relu: bool = False
    shift: float = 0.0

    @property
    def rank(self) -> int:
        """Rows of the first matrix."""
        return self.down.shape[0]

    def active(self, x: mx.array, shift: float = 0.0) -> np.ndarray:
        """bool [..., neurons] for x [..., hidden], evaluated. shift: added to the predictor's own."""
        logit = float(np.log(self.threshold / (1 - self.threshold))) + self.shift + shift
        if not mx.metal.is_available():
            scores: np.ndarray = self._scores(floats_of(x).reshape(-1, x.shape[-1])) > logit
            return scores.reshape(*x.shape[:-1], -1)
        inner = x @ self.down.T
        return np.array((mx.maximum(inner, 0) if self.relu else inner) @ self.up.T + self.bias > logit)

    def _scores(self, x: np.ndarray) -> np.ndarray:
        """Without a GPU: it takes a third of the time when nothing goes back to MLX in between."""
        inner = self._down.times(x)
        if self.relu:
            np.maximum(inner, 0, out=inner)
        scores = self._up.times(inner)
        scores += self._bias
        return scores

    @cached_property
    def _down(self) -> Resident:
        return Resident(self.down)

    @cached_property
    def _up(self) -> Resident:
        return Resident(self.up)

    @cached_property
    def _bias(self) -> np.ndarray:
        return floats_of(self.bias)


def load_predictors(path: Path, reports: Sequence[Report], dtype: mx.Dtype, shift: float = 0.0) -> list[Predictor]:
    """Predictors by layer from predictor.safetensors, computed in `dtype`. reports: by layer, the manifest's.

    shift: added to every threshold, in logits.
    """
    weights: Any = mx.load(str(path))
    predictors = []
    for i, report in enumerate(reports):
        stored = (weights[name] for name in weight_names(i))
        down, up, bias = (weight.astype(held_dtype(weight.dtype, dtype)) for weight in stored)
        predictors.append(Predictor(down, up, bias, report.threshold, is_relu(report), shift))
    return predictors


def weight_names(layer: int) -> tuple[str, ...]:
    """The names of a layer's down, up and bias in predictor.safetensors."""
    return tuple(f"layers.{layer}.{part}" for part in PARTS)


def weight_shapes(layers: Sequence[Report], width: int) -> dict[str, tuple[int, ...]]:
    """The shapes of predictor.safetensors' weights, by name. layers: the manifest's reports."""
    shapes: dict[str, tuple[int, ...]] = {}
    for i, report in enumerate(layers):
        of_parts = ((report.rank, width), (report.neurons, report.rank), (report.neurons,))
        shapes |= dict(zip(weight_names(i), of_parts, strict=True))
    return shapes


def is_relu(report: Report) -> bool:
    """True where a layer's report in the manifest is of an imported predictor, whose kind has a ReLU."""
    return report.predictor == "imported"
