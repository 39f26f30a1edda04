"""The dense FFN that all architectures share. A prepared model has a streamed one in its place."""

from collections.abc import Callable

import mlx.core as mx
import mlx.nn as nn

from engine.arrays.layers import added
from engine.errors import CheckpointError
from engine.models.activations import Activation


class Resident:
    """An FFN that has nothing to read before it can compute."""

    def anticipate(self, norm: Callable[[mx.array], mx.array], x: mx.array) -> None:
        """Before attention, of a layer that has it before its FFN: norm(x) is what the FFN's input would be if
        attention added nothing."""

    def begin(self, x: mx.array) -> bool:  # noqa: ARG002
        """Before attention, of a layer that has it beside its FFN: their input. True if flash is at work for it."""
        return False


class DenseFFN(Resident, nn.Module):
    """down(f(up x)), or down(f(gate x) * (up x)): one linear layer for each part of a bundle, under the part's name."""

    def __init__(self, width: int, neurons: int, activation: Activation, bias: bool = False):
        super().__init__()
        if activation.gated and bias:
            raise CheckpointError(
                "This model's gated FFN has biases (mlp_bias), and bundles of gate, up and down are streamed without. "
                "A model with mlp_bias false is needed."
            )
        self.activation = activation
        *inputs, down = activation.parts
        for part in inputs:
            self[part] = nn.Linear(width, neurons, bias=bias)
        self[down] = nn.Linear(neurons, width, bias=bias)

    def __call__(self, x: mx.array) -> mx.array:
        """The FFN's output for x [batch, length, width], in its shape."""
        *inputs, down = self._linears()
        return down(self.activation.hidden(*(linear(x) for linear in inputs)))

    def bundle_parts(self) -> tuple[mx.array, ...]:
        """The rows that make up the bundles, in the order of `activation.parts`, each [neurons, width]."""
        *inputs, down = self._linears()
        return (*(linear.weight for linear in inputs), down.weight.T)

    def biases(self) -> tuple[mx.array | None, mx.array | None]:
        """Bias of the bundles' first part [neurons] and of the down projection [width]."""
        first, *_, down = self._linears()
        return first.get("bias"), down.get("bias")

    def _linears(self) -> list[nn.Linear]:
        return [self[part] for part in self.activation.parts]


def in_parallel(x: mx.array, attend: Callable[[], mx.array], ffn: DenseFFN, normed: mx.array) -> mx.array:
    """x + attend() + ffn(normed): flash works while attention is computed."""
    reading = ffn.begin(normed)
    attended = attend()
    if reading:
        mx.async_eval(attended)
    return added(added(x, attended), ffn(normed))
