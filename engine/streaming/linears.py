"""Linears that stay on flash: blocks of their rows pass through the ring, each multiplied while others are read.

Rows of `[out, in]` are products of their own, so that a linear that is multiplied block by block equals the whole one
to the bit. Every token needs every block: what is in the pool is a fixed part, the first blocks of each linear.
"""

from typing import Any

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module

from engine.arrays.aligned import Slab
from engine.arrays.packed import available
from engine.store.layout import Layout
from engine.streaming.bundles import LayerBundles, Part
from engine.streaming.slots import SlotLinear, form_of, in_slab


class StreamedLinear(Module):
    """Takes the place of a linear: `linear(x)`, x [..., in]; result [..., out]. layout: its matrix, in blocks of
    rows."""

    def __init__(self, linear: Module, layout: Layout, bundles: LayerBundles):
        super().__init__()
        self.bundles, self._layout = bundles, layout
        self._rows: int = _rows_of(linear)
        self._form: Any = form_of(linear)
        if "bias" in linear:
            self.bias: mx.array = linear["bias"]
        native = available() and "global_scale" not in linear
        self._native = SlotLinear(self._form, dict(layout.tensors)) if native else None

    def __call__(self, x: mx.array) -> mx.array:
        """The product, block after block; each is evaluated before its place in memory holds another."""
        self.bundles.passes.current.check()
        blocks = [self._multiply(x, part) for part in self.bundles.stream()]
        y = mx.concatenate(blocks, axis=-1)[..., : self._rows]
        return y + self.bias if "bias" in self else y

    def _multiply(self, x: mx.array, part: Part) -> mx.array:
        assert isinstance(part.rows, slice)  # blocks follow each other
        y = self._natively(x, part.slab, part.rows) if self._native else self._by_mlx(x, part.slab, part.rows)
        self.bundles.read_by(y)
        return y

    def _natively(self, x: mx.array, slab: Slab, rows: slice) -> mx.array:
        assert self._native is not None
        slots = mx.array(np.arange(rows.start, rows.stop)[:, None])  # of one slot, all vectors at once
        with in_slab([self._native], slab):
            products = self._native(x.reshape(1, -1, 1, x.shape[-1]), slots)  # [slots, vectors, 1, rows]
        return products.squeeze(-2).swapaxes(0, 1).reshape(*x.shape[:-1], -1)

    def _by_mlx(self, x: mx.array, slab: Slab, rows: slice) -> mx.array:
        views = self._layout.views(slab.matrix)
        return mx.concatenate([self._product(x, views, slot) for slot in range(rows.start, rows.stop)], axis=-1)

    def _product(self, x: mx.array, views: dict[str, mx.array], slot: int) -> mx.array:
        tensors = {name: view[slot] for name, view in views.items()}
        if self._form is None:
            return x @ tensors["weight"].T
        form = {"group_size": self._form.group_size, "bits": self._form.bits, "mode": self._form.mode}
        return mx.quantized_matmul(x, tensors["weight"], tensors["scales"], tensors.get("biases"), True, **form)


def _rows_of(linear: Any) -> int:
    return int(linear.weight.shape[0])
