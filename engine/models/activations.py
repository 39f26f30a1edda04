"""Activations that leave most neurons exactly zero: what makes streaming neurons possible."""

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np

Array = Any  # of MLX or of numpy


@dataclass(frozen=True)
class Activation:
    """hidden = f(up x), or f(gate x) * (up x) where the FFN is gated. Works on MLX and numpy arrays alike.

    name: `relu`; `relu2`, its square; `fatrelu`, x where x > threshold (ProSparse); `drelu`, relu of gate and of up
    (TurboSparse). A neuron is active where its hidden value is not zero.
    """

    name: str = "relu"
    gated: bool = False
    threshold: float = 0.0

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of a bundle's parts, in their order. All but the last multiply the FFN's input."""
        return ("gate", "up", "down") if self.gated else ("up", "down")

    @property
    def decisive(self) -> int:
        """The number of parts, from the first, that say whether a neuron is active."""
        return 2 if self.name == "drelu" else 1

    def hidden(self, *inputs: Array) -> Array:
        """Hidden values of the pre-activations (up,) or (gate, up), each [..., neurons]."""
        first = self._f(inputs[0])
        if not self.gated:
            return first
        return first * (self._f(inputs[1]) if self.name == "drelu" else inputs[1])

    def active(self, *inputs: Array) -> Array:
        """bool [..., neurons]: which neurons the decisive pre-activations make active."""
        active = inputs[0] > self.threshold
        return active & (inputs[1] > self.threshold) if self.decisive == 2 else active

    def _f(self, x: Array) -> Array:
        maximum, where = (mx.maximum, mx.where) if isinstance(x, mx.array) else (np.maximum, np.where)
        if self.name == "fatrelu":
            return where(x > self.threshold, x, 0)
        positive = maximum(x, 0)
        return positive * positive if self.name == "relu2" else positive
