"""The product with quantised neurons, several of which are one bundle."""

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.arrays.aligned import Slab
from engine.arrays.packed import add_many, add_rows, multiply, multiply_many
from engine.arrays.products import floats_of
from engine.memory.pool import Integers
from engine.models.activations import Activation
from engine.store.packing import Packing
from engine.streaming.bundles import Part
from engine.streaming.neurons import Active, SummedProduct
from engine.system.native_library import Matrix

Floats = NDArray[np.float32]
MAX_GATHERED_TOKENS = 4  # whose products are made from packed values; for more, these are unpacked once


class PackedProduct(SummedProduct):
    """The product of an FFN's input with some of its neurons, in groups, whose parts are quantised along the width.

    bias: float32 [neurons], of the bundles' first part; zeros where the model has none, as gated ones do.
    """

    def __init__(self, activation: Activation, bias: NDArray[np.float32], packing: Packing):
        padded = np.zeros(packing.bundles(len(bias)) * packing.neurons, np.float32)
        padded[: len(bias)] = bias
        super().__init__(padded.reshape(-1, packing.neurons))
        self.activation, self.neurons, self._packing = activation, len(bias), packing
        self.bundle_neurons = packing.neurons

    # ------------------------------------------------------------------------------------------------ with a GPU
    def _in_mlx(self, x: mx.array, part: Part, bias: Floats) -> tuple[mx.array, mx.array]:
        """By MLX, in the dtype of the scales."""
        *_, down = self._packing.parts
        scales = self._packing.views(part.slab.matrix, down)[1]
        slots, tokens = mx.array(part.row_numbers), x.astype(scales.dtype)
        if x.shape[1] > MAX_GATHERED_TOKENS:
            return self._unpacked(tokens, part, slots, bias)
        inputs = tokens[:, :, None, None, :]  # [1, tokens, 1, 1, width], multiplied with each slot's neurons
        products = [self._gathered(inputs, part, name, slots, True)[..., 0, :] for name in self._packing.parts[:-1]]
        hidden = self.activation.hidden(products[0] + mx.array(bias).astype(tokens.dtype), *products[1:])
        added = self._gathered(hidden[..., None, :], part, down, slots, False)
        return hidden.reshape(1, x.shape[1], -1), added.astype(mx.float32).sum(axis=(2, 3))

    def _gathered(self, x: mx.array, part: Part, name: str, slots: mx.array, transpose: bool) -> mx.array:
        """Products [1, tokens, slots, 1, rows or width] of x [1, tokens, 1 or slots, 1, width or rows]."""
        form, (weight, scales, biases) = self._packing.form, self._packing.views(part.slab.matrix, name)
        return mx.gather_qmm(x, weight, scales, biases, rhs_indices=slots, transpose=transpose,
                             group_size=form.group_size, bits=form.bits)  # fmt: skip

    def _unpacked(self, x: mx.array, part: Part, slots: mx.array, bias: Floats) -> tuple[mx.array, mx.array]:
        """The same for many tokens."""
        *inputs, down = (self._rows(part, name, slots) for name in self._packing.parts)
        products = [x @ rows.T for rows in inputs]
        hidden = self.activation.hidden(products[0] + mx.array(bias.reshape(-1)).astype(x.dtype), *products[1:])
        return hidden, (hidden @ down).astype(mx.float32)

    def _rows(self, part: Part, name: str, slots: mx.array) -> mx.array:
        """One part of the neurons in some slots, [slots * neurons, width]."""
        form, views = self._packing.form, self._packing.views(part.slab.matrix, name)
        weight, scales, biases = (view[slots] for view in views)
        rows = mx.dequantize(weight, scales, biases, group_size=form.group_size, bits=form.bits)
        return rows.reshape(-1, self._packing.width)

    # --------------------------------------------------------------------------------------------- without a GPU
    def active(self, x: mx.array, part: Part) -> Active:
        """The active neurons of a part, for one token's x [1, 1, width]. What is not decisive is multiplied for the
        bundles alone that have an active neuron."""
        token = floats_of(x).reshape(1, -1)
        *inputs, _ = (self._matrix(part.slab, name) for name in self._packing.parts)
        rows, decisive = part.row_numbers, self.activation.decisive
        products = [_times(matrix, token, rows) for matrix in inputs[:decisive]]
        products[0] += self._bias_of(part)
        active = self.activation.active(*products)
        used = np.flatnonzero(active.any(axis=1))
        used = used[np.argsort(part.ids[used])]
        products = [product[used] for product in products]
        products += [_times(matrix, token, rows[used]) for matrix in inputs[decisive:]]
        hidden = np.zeros(active.shape, np.float32)
        hidden[used] = values = np.where(active[used], self.activation.hidden(*products), np.float32(0))
        here, within = active[used], np.arange(self.bundle_neurons)
        numbers, of_slots = (each[used, None] * self.bundle_neurons + within for each in (part.ids, rows))
        return Active(numbers[here], of_slots[here], values[here], hidden.reshape(1, -1))

    def _of_many(self, tokens: Floats, part: Part, y: Floats) -> Floats:
        *inputs, down = (self._matrix(part.slab, name) for name in self._packing.parts)
        first = int(part.row_numbers[0])
        products = [multiply_many(matrix, tokens, len(part.ids) * self.bundle_neurons, first) for matrix in inputs]
        products[0] += self._bias_of(part).reshape(-1)
        hidden: Floats = self.activation.hidden(*products)
        add_many(down, hidden, y, first)
        return hidden

    def _add(self, active: Active, slab: Slab, y: Floats) -> None:
        down = self._matrix(slab, self._packing.parts[-1])
        add_rows(down, np.zeros(1, np.int64), active.rows, active.values[None], y)

    def _matrix(self, slab: Slab, name: str) -> Matrix:
        return self._packing.matrix(slab.view.ctypes.data, name)


def _times(matrix: Matrix, x: Floats, slots: Integers) -> Floats:
    """float32 [slots, neurons]: one vector, [1, width], times the rows of some slots."""
    return multiply(matrix, x, np.zeros(len(slots), np.int64), slots)
