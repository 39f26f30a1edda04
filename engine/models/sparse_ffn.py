"""FFNs of mlx-lm's whose gate or activation leaves neurons at exactly zero: what such a neuron is multiplied with need
not be known, and nothing is lost.

Gemma 3n: in its first layers the gate's output is cut off where the normal distribution of its mean and deviation says
that a given share of it lies below.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import mlx.core as mx
from mlx.nn.layers.activations import ReLU, ReLU2
from mlx.nn.layers.base import Module
from mlx_lm.models import gemma3n
from mlx_lm.models.switch_layers import SwitchMLP

Activation = Callable[[mx.array], mx.array]


@dataclass(frozen=True)
class SparseFFN:
    """An FFN `down(activation(gate(x)) * up(x))` at `path` in its model. active_share: of its neurons, those that the
    activation does not make zero, in the mean."""

    path: str
    active_share: float
    activation: Activation

    @property
    def gate(self) -> str:
        """The path of the linear that decides."""
        return f"{self.path}.gate_proj"

    @property
    def up(self) -> str:
        """The path of the linear of which the active rows alone are needed."""
        return f"{self.path}.up_proj"


def sparse_ffns(network: Module) -> Iterator[SparseFFN]:
    """All of a model's, in its order."""
    for path, module in reversed(network.named_modules()):  # mlx names the last first
        if type(module) is gemma3n.MLP and module.activation_sparsity > 0:
            yield SparseFFN(path, 1 - module.activation_sparsity, _cut_off(module.activation_sparsity))


def leaves_zeros(container: Any) -> bool:
    """True for a container of experts `fc2(activation(fc1(x)))` whose activation makes neurons exactly zero."""
    return type(container) is SwitchMLP and type(container.activation) in (ReLU, ReLU2)


def _cut_off(share: float) -> Activation:
    deviations: Any = math.sqrt(2.0) * mx.erfinv(mx.array(2 * share - 1))  # as mlx-lm has it, to the bit
    return partial(gemma3n.gelu_topk, std_multiplier=deviations)
