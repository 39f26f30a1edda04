"""Products with quantised weights where there is no GPU: `native/products.c`, straight from the packed bytes.

MLX's CPU backend converts the scales of a whole pool for each product, and multiplies at 0.1 to 2 GB/s.
"""

import ctypes
import functools
import os
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from numpy.typing import NDArray

from engine.arrays.products import as_numpy
from engine.system import native_library
from engine.system.native_library import Matrix

MODES = {"affine": 0, "mxfp4": 1, "mxfp8": 2, "nvfp4": 3}
PLAIN = 4  # weights that are not quantised
KINDS = {mx.float32: 0, mx.float16: 1, mx.bfloat16: 2}

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Tensor:
    """A tensor in memory: the address of its first element, bytes to the next slot, shape of one slot's, and dtype."""

    address: int
    slot_bytes: int
    shape: tuple[int, ...]
    dtype: mx.Dtype

    @classmethod
    def of(cls, array: mx.array) -> "Tensor":
        """An evaluated array, whose memory must be kept."""
        return cls(as_numpy(array).ctypes.data, 0, array.shape, array.dtype)


@dataclass(frozen=True)
class Form:
    """The form of quantised weights: bits, group size, and mode (affine, mxfp4, mxfp8, nvfp4)."""

    bits: int
    group_size: int
    mode: str


@functools.cache
def available() -> bool:
    """True where products are computed here: without a GPU, with the native library."""
    return not mx.metal.is_available() and native_library.load_library() is not None


@functools.cache
def threads() -> int:
    """The cores of this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def packed_matrix(form: Form | None, weight: Tensor, scales: Tensor | None, biases: Tensor | None) -> Matrix:
    """A matrix for `multiply`. form: None for weights that are not quantised, [rows, columns]."""
    rows, words = weight.shape
    columns = words * 32 // form.bits if form else words
    groups = scales.shape[1] if scales else 0
    kind = KINDS.get(scales.dtype if scales else weight.dtype, 0)
    return Matrix(
        weight=weight.address,
        scales=scales.address if scales else None,
        biases=biases.address if biases else None,
        weight_slot=weight.slot_bytes,
        scales_slot=scales.slot_bytes if scales else 0,
        biases_slot=biases.slot_bytes if biases else 0,
        weight_row=words * weight.dtype.size,
        scales_row=groups * scales.dtype.size if scales else 0,
        rows=rows,
        columns=columns,
        bits=form.bits if form else 0,
        group=form.group_size if form else 0,
        mode=MODES[form.mode] if form else PLAIN,
        kind=kind,
    )


def multiply(matrix: Matrix, x: Floats, vectors: Integers, slots: Integers) -> Floats:
    """Row p: the matrix of slot `slots[p]` times `x[vectors[p]]`, float32 [pairs, rows]; x float32 [count, columns].

    Pairs of one slot that follow each other are multiplied together.
    """
    x, y = np.ascontiguousarray(x, np.float32), np.empty((len(slots), matrix.rows), np.float32)
    vectors, slots = np.ascontiguousarray(vectors, np.int64), np.ascontiguousarray(slots, np.int64)
    library = native_library.load_library()
    assert library is not None
    failed = library.fb_multiply(
        ctypes.byref(matrix), x.ctypes.data, len(x), vectors.ctypes.data, slots.ctypes.data, len(slots),
        y.ctypes.data, threads(),
    )  # fmt: skip
    if failed:
        raise MemoryError
    return y


def multiplied(matrix: Matrix, x: mx.array) -> mx.array:
    """x [..., columns] times a resident matrix's transpose, [..., rows]."""
    rows = np.array(x.astype(mx.float32), copy=False).reshape(-1, matrix.columns)
    indices = np.arange(len(rows))
    y = multiply(matrix, rows, indices, np.zeros(len(rows), np.int64))
    return mx.array(y.reshape(*x.shape[:-1], matrix.rows)).astype(x.dtype)


class _Packed:
    """The part that quantised linears and embeddings share: their matrix, made when it is first wanted."""

    _matrix: Matrix | None = None

    def _product(self: Any, x: mx.array) -> mx.array:
        if self._matrix is None:
            form = Form(self.bits, self.group_size, self.mode)
            biases = self.get("biases")
            self._matrix = packed_matrix(
                form, Tensor.of(self.weight), Tensor.of(self.scales), None if biases is None else Tensor.of(biases)
            )
        return multiplied(self._matrix, x)


class _QuantizedLinear(_Packed, nn.QuantizedLinear):
    def __call__(self, x: mx.array) -> mx.array:
        y = self._product(x)
        return y + self.bias if "bias" in self else y


class _QuantizedEmbedding(_Packed, nn.QuantizedEmbedding):
    def as_linear(self, x: mx.array) -> mx.array:
        return self._product(x)


def use_packed_products(model: nn.Module) -> None:
    """Let a model's quantised linears and its head use `multiply`. Of no effect where there is a GPU."""
    if not available():
        return
    faster: dict[type, type] = {nn.QuantizedLinear: _QuantizedLinear, nn.QuantizedEmbedding: _QuantizedEmbedding}
    for module in model.modules():
        if type(module) in faster and "global_scale" not in module:
            module.__class__ = faster[type(module)]
