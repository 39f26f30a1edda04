"""Linears that stay on flash: blocks of their rows pass through the ring, each multiplied while others are read.

Rows of `[out, in]` are products of their own, so that a linear that is multiplied block by block equals the whole one
to the bit. Every token needs every block: what is in the pool is a fixed part, the first blocks of each linear.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module

from engine.arrays.aligned import Slab
from engine.arrays.packed import Floats, available
from engine.arrays.products import floats_of
from engine.memory.pool import Integers
from engine.store.layout import Layout, SlotTensor
from engine.streaming.bundles import LayerBundles, Part
from engine.streaming.slots import SlotLinear, form_of


class LinearProduct:
    """The product with parts of a linear that lie in slots, one block of rows in each, or one row: `product(x, slab,
    slots)`, x [..., in], slots [n]; result [..., n * rows of a block]."""

    def __init__(self, linear: Module, layout: Layout):
        self._layout, self._form = layout, form_of(linear)
        self._of_rows = len(layout.tensors["weight"].shape) == 1
        native = available() and "global_scale" not in linear
        self._native = SlotLinear(self._form, _matrices(layout.tensors)) if native else None

    def __call__(self, x: mx.array, slab: Slab, slots: Integers) -> mx.array:
        """The product with what lies in some slots."""
        if not self.is_native:
            return (self._by_row if self._of_rows else self._by_block)(x, self._layout.views(slab.matrix), slots)
        y = self.times(vectors_of(x), slab, slots)
        return mx.array(y.reshape(*x.shape[:-1], -1)).astype(x.dtype)

    @property
    def is_native(self) -> bool:
        """True where `times` computes it."""
        return self._native is not None

    def times(self, x: Floats, slab: Slab, slots: Integers) -> Floats:
        """The same for vectors [n, in] at once: [n, slots * rows of a block]."""
        assert self._native is not None
        return self._native.times(x, slab, slots).swapaxes(0, 1).reshape(len(x), -1)

    def _by_block(self, x: mx.array, views: dict[str, mx.array], slots: Integers) -> mx.array:
        blocks = ({name: view[int(slot)] for name, view in views.items()} for slot in slots)
        return mx.concatenate([self._product(x, block) for block in blocks], axis=-1)

    def _by_row(self, x: mx.array, views: dict[str, mx.array], slots: Integers) -> mx.array:
        numbers = mx.array(slots)
        return self._product(x, {name: view[numbers] for name, view in views.items()})

    def _product(self, x: mx.array, tensors: dict[str, mx.array]) -> mx.array:
        form, weight = self._form, tensors["weight"]
        if form is None:
            return x @ weight.T
        return mx.quantized_matmul(x, weight, tensors["scales"], tensors.get("biases"), transpose=True,
                                   group_size=form.group_size, bits=form.bits, mode=form.mode)  # fmt: skip


class StreamedLinear(Module):
    """Takes the place of a linear: `linear(x)`, x [..., in]; result [..., out]. layout: its matrix, in blocks of
    rows."""

    def __init__(self, linear: Module, layout: Layout, bundles: LayerBundles):
        super().__init__()
        self.bundles, self._product = bundles, LinearProduct(linear, layout)
        self._rows: int = _rows_of(linear)
        if "bias" in linear:
            self.bias: mx.array = linear["bias"]

    def __call__(self, x: mx.array) -> mx.array:
        """The product, block after block."""
        self.bundles.passes.current.check()
        y = (self._natively if self._product.is_native else self._by_mlx)(x)[..., : self._rows]
        return y + self.bias if "bias" in self else y

    def _natively(self, x: mx.array) -> mx.array:
        vectors = vectors_of(x)
        found = [self._product.times(vectors, part.slab, part.row_numbers) for part in self.bundles.stream()]
        return mx.array(np.concatenate(found, axis=-1).reshape(*x.shape[:-1], -1)).astype(x.dtype)

    def _by_mlx(self, x: mx.array) -> mx.array:
        return mx.concatenate([self._part_by_mlx(x, part) for part in self.bundles.stream()], axis=-1)

    def _part_by_mlx(self, x: mx.array, part: Part) -> mx.array:
        y = self._product(x, part.slab, part.row_numbers)
        self.bundles.read_by(y)  # it is evaluated before its place in memory holds another
        return y


def vectors_of(x: mx.array) -> Floats:
    """x [..., in] as float32 [vectors, in]."""
    return floats_of(x).reshape(-1, x.shape[-1])


def _matrices(tensors: Mapping[str, SlotTensor]) -> dict[str, SlotTensor]:
    """Tensors of which a slot has a matrix: a single row is one too."""
    return {name: t if len(t.shape) > 1 else replace(t, shape=(1, *t.shape)) for name, t in tensors.items()}


def _rows_of(linear: Any) -> int:
    return int(linear.weight.shape[0])
