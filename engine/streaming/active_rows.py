"""Rows of a linear that stay on flash, of which a token takes the active ones: those whose product is multiplied with
something else than zero. The others are zeros here, whatever they would be: the model says the same to the bit.

Which are active is known once the gate beside it is multiplied. A token that needs them waits for them; rows that were
used most stay in a pool. Prompts need nearly all: these stream the linear in blocks, as any other.
"""

from collections.abc import Iterable

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module
from numpy.typing import NDArray

from engine.memory.pool import Integers
from engine.models.sparse_ffn import Activation
from engine.streaming.bundles import LayerBundles, Part
from engine.streaming.linears import LinearProduct, StreamedLinear


class ActiveLinear(Module):
    """Takes the place of a linear whose outputs are multiplied with mostly zeros: `linear(x, factors)`, x [..., in];
    factors and result [..., out]. Where factors are zero for all of x, so is the result.

    whole: the same linear, streamed in blocks. bundles: a row each.
    """

    def __init__(self, whole: StreamedLinear, product: LinearProduct, bundles: LayerBundles):
        super().__init__()
        self.bundles, self._product = bundles, product
        self.whole = whole

    def __call__(self, x: mx.array, factors: mx.array) -> mx.array:
        """The product with the active rows."""
        current = self.bundles.passes.current
        if current.is_prompt:
            return self.whole(x)
        current.check()
        ids = self._ids(np.array(factors != 0).reshape(-1, factors.shape[-1]))
        if len(ids) > self.bundles.pool.capacity:
            return self.whole(x)
        return self._with_zeros(x, self.bundles.bring(ids))

    def _ids(self, active: NDArray[np.bool_]) -> Integers:
        """Those that any token needs, sorted, of bool [tokens, rows]."""
        return self.bundles.note(active) if len(active) > 1 else np.flatnonzero(active[0])

    def _with_zeros(self, x: mx.array, parts: Iterable[Part]) -> mx.array:
        y = mx.zeros((*x.shape[:-1], self.bundles.source.bundles), x.dtype)
        for part in parts:
            found = self._product(x, part.slab, part.row_numbers)
            self.bundles.read_by(found)
            y[..., mx.array(part.ids)] = found.astype(y.dtype)
        return y


class SparselyGated(Module):
    """Takes the place of an FFN `down(activation(gate(x)) * up(x))`, of which the activation makes most neurons zero:
    `ffn(x)`, x and result [..., width]. up: an `ActiveLinear`, or, while it is in memory, the model's own."""

    def __init__(self, gate: Module, up: Module, down: Module, activation: Activation):
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = gate, up, down
        self._activation = activation

    def __call__(self, x: mx.array) -> mx.array:
        """The FFN's output for x."""
        hidden = self._activation(self.gate_proj(x))
        up = self.up_proj
        y: mx.array = self.down_proj(hidden * (up(x, hidden) if isinstance(up, ActiveLinear) else up(x)))
        return y
