"""Products with weights where there is no GPU: `native/products.c`, straight from the bytes, plain or packed.

MLX's CPU backend converts the scales of a whole pool for each product, and multiplies at 0.1 to 2 GB/s.
"""

import ctypes
import functools
import os
from dataclasses import dataclass

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.arrays.products import as_numpy
from engine.system import native_library
from engine.system.native_library import Matrix

MODES = {"affine": 0, "mxfp4": 1, "mxfp8": 2, "nvfp4": 3}
PLAIN_MODE = 4  # weights that are not quantised
FEW_VECTORS = 12  # as the native library has it: each product of so many is to the bit what it is alone
PANELS_BYTES = 750_000  # that a thread makes products of many vectors with
DTYPE_KINDS = {mx.float32: 0, mx.float16: 1, mx.bfloat16: 2}

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Tensor:
    """A tensor in memory: the address of its first element, bytes to the next slot, shape of one slot's, and dtype.

    row_bytes: to the next row; None where rows follow each other.
    """

    address: int
    slot_bytes: int
    shape: tuple[int, ...]
    dtype: mx.Dtype
    row_bytes: int | None = None

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


def panels_bytes() -> int:
    """The bytes that products of many vectors are made with, beside vectors and products."""
    return threads() * PANELS_BYTES if available() else 0


def held_dtype(stored: mx.Dtype, computed: mx.Dtype) -> mx.Dtype:
    """The dtype in which a matrix is held that is computed in `computed`: as it is stored where that is smaller and
    native products take it as it is."""
    return stored if available() and stored in DTYPE_KINDS and stored.size < computed.size else computed


def packed_matrix(form: Form | None, weight: Tensor, scales: Tensor | None, biases: Tensor | None) -> Matrix:
    """A matrix for `multiply`. form: None for weights that are not quantised, [rows, columns]."""
    rows, words = weight.shape
    columns = words * 32 // form.bits if form else words
    groups = scales.shape[1] if scales else 0
    kind = DTYPE_KINDS.get(scales.dtype if scales else weight.dtype, 0)
    return Matrix(
        weight=weight.address,
        scales=scales.address if scales else None,
        biases=biases.address if biases else None,
        weight_slot=weight.slot_bytes,
        scales_slot=scales.slot_bytes if scales else 0,
        biases_slot=biases.slot_bytes if biases else 0,
        weight_row=words * weight.dtype.size if weight.row_bytes is None else weight.row_bytes,
        scales_row=groups * scales.dtype.size if scales else 0,
        rows=rows,
        columns=columns,
        bits=form.bits if form else 0,
        group=form.group_size if form else 0,
        mode=MODES[form.mode] if form else PLAIN_MODE,
        kind=kind,
    )


def multiply(matrix: Matrix, x: Floats, vectors: Integers, slots: Integers) -> Floats:
    """Row p: the matrix of slot `slots[p]` times `x[vectors[p]]`, float32 [pairs, rows]; x float32 [count, columns].

    Pairs of one slot that follow each other are multiplied together, up to FEW_VECTORS to the bit as each alone.
    """
    x, y = np.ascontiguousarray(x, np.float32), np.empty((len(slots), matrix.rows), np.float32)
    vectors, slots = np.ascontiguousarray(vectors, np.int64), np.ascontiguousarray(slots, np.int64)
    _call(
        "fb_multiply",
        ctypes.byref(matrix), x.ctypes.data, len(x), vectors.ctypes.data, slots.ctypes.data, len(slots),
        y.ctypes.data, threads(),
    )  # fmt: skip
    return y


def multiply_many(matrix: Matrix, x: Floats, rows: int, slot: int = 0) -> Floats:
    """Rows times each vector, float32 [count, rows]; x float32 [count, columns]. rows: so many, from a slot's first on,
    counted on through the slots that follow.

    Each product is to the bit the same whatever other vectors and rows there are; but only of more than FEW_VECTORS is
    it what `multiply` makes.
    """
    x, y = np.ascontiguousarray(x, np.float32), np.empty((len(x), rows), np.float32)
    _call("fb_multiply_many", ctypes.byref(matrix), slot, rows, x.ctypes.data, len(x), y.ctypes.data, threads())
    return y


def multiply_gated(gate: Matrix, up: Matrix, down: Matrix, x: Floats, vectors: Integers, slots: Integers) -> Floats:
    """Row p: down times (silu(gate times x[vectors[p]]) * (up times x[vectors[p]])), each the matrix of slot
    `slots[p]`: float32 [pairs, down's rows]; x float32 [count, columns]. gate and up: see `is_like`."""
    x, y = np.ascontiguousarray(x, np.float32), np.empty((len(slots), down.rows), np.float32)
    vectors, slots = np.ascontiguousarray(vectors, np.int64), np.ascontiguousarray(slots, np.int64)
    _call(
        "fb_multiply_gated",
        ctypes.byref(gate), ctypes.byref(up), ctypes.byref(down), x.ctypes.data, len(x), vectors.ctypes.data,
        slots.ctypes.data, len(slots), y.ctypes.data, threads(),
    )  # fmt: skip
    return y


def is_like(one: Matrix, other: Matrix) -> bool:
    """True for matrices of one size and form, which take the same vectors."""
    names = ("rows", "columns", "bits", "group", "mode", "kind")
    return all(getattr(one, name) == getattr(other, name) for name in names)


def add_rows(matrix: Matrix, slots: Integers, rows: Integers | None, weights: Floats, y: Floats) -> None:
    """Add to each y[p], float32 [pairs, columns], the rows of slot `slots[p]` times weights[p], float32 [pairs, count].

    rows: the same for all pairs, int64 [count], counted on through the slots that follow; None for the first. They are
    added one after the other: to the bit the same however they are cut into several calls, and whatever rows of weight
    0 are among them.
    """
    weights, slots = np.ascontiguousarray(weights, np.float32), np.ascontiguousarray(slots, np.int64)
    _call(
        "fb_add_rows",
        ctypes.byref(matrix), slots.ctypes.data, len(slots), None if rows is None else rows.ctypes.data,
        weights.ctypes.data, weights.shape[1], y.ctypes.data, threads(),
    )  # fmt: skip


def add_many(matrix: Matrix, weights: Floats, y: Floats, slot: int = 0) -> None:
    """Add to each y[v], float32 [count, columns], rows times weights[v], float32 [count, rows]: from a slot's first on,
    counted on through the slots that follow.

    They are added one after the other: to the bit the same however they are cut into several calls, and whatever other
    vectors there are.
    """
    weights = np.ascontiguousarray(weights, np.float32)
    _call(
        "fb_add_many",
        ctypes.byref(matrix), slot, weights.shape[1], weights.ctypes.data, len(y), y.ctypes.data, threads(),
    )  # fmt: skip


def attend(keys: Matrix, values: Matrix, q: Floats, slots: int, sinks: Floats | None) -> Floats:
    """One token's attention, float32 [heads, values' columns]: of each head, as many of which share a slot of keys and
    values, the sum of the values, each times its share in the softmax of the keys times q.

    keys, values: plain, a row a token. q: float32 [heads, keys' columns]. sinks: a score by head that has no value.
    """
    q, y = np.ascontiguousarray(q, np.float32), np.empty((len(q), values.columns), np.float32)
    sinks = None if sinks is None else np.ascontiguousarray(sinks, np.float32)
    _call(
        "fb_attend",
        ctypes.byref(keys), ctypes.byref(values), q.ctypes.data, slots, len(q) // slots,
        None if sinks is None else sinks.ctypes.data, y.ctypes.data, threads(),
    )  # fmt: skip
    return y


def attend_many(
    keys: Matrix,
    values: Matrix,
    q: Floats,
    slots: int,
    before: int | None,
    shown: NDArray[np.bool_] | None,
    sinks: Floats | None,
) -> Floats:
    """The attention of many tokens, float32 [heads, count, values' columns], of q float32 [heads, count, keys'
    columns]; as `attend` of one.

    before: the tokens before the first, which sees these and itself, as each of the others sees all before it; None
    where all see all. shown: where each sees which, bool [heads, count, tokens].
    """
    q = np.ascontiguousarray(q, np.float32)
    y = np.empty((*q.shape[:2], values.columns), np.float32)
    sinks = None if sinks is None else np.ascontiguousarray(sinks, np.float32)
    if shown is not None and shown.strides[2] != 1:
        shown = np.ascontiguousarray(shown)
    _call(
        "fb_attend_many",
        ctypes.byref(keys), ctypes.byref(values), q.ctypes.data, slots, len(q) // slots, q.shape[1],
        -1 if before is None else before, *((None, 0, 0) if shown is None else (shown.ctypes.data, *shown.strides[:2])),
        None if sinks is None else sinks.ctypes.data, y.ctypes.data, threads(),
    )  # fmt: skip
    return y


def normed(x: Floats, epsilon: float, centred: bool, weights: Floats | None, biases: Floats | None) -> Floats:
    """Each vector of x, float32 [..., columns], over the root of its mean square, less its mean before where it is to
    be centred; times weights, float32 [columns], and with biases."""
    x = np.ascontiguousarray(x, np.float32)
    y, columns = np.empty_like(x), x.shape[-1]
    _call(
        "fb_norm",
        x.ctypes.data, x.size // columns, columns, epsilon, centred, None if weights is None else weights.ctypes.data,
        None if biases is None else biases.ctypes.data, y.ctypes.data, threads(),
    )  # fmt: skip
    return y


def _call(function: str, *arguments: object) -> None:
    library = native_library.load_library()
    assert library is not None
    if getattr(library, function)(*arguments):
        raise MemoryError


class Resident:
    """Weights in memory, [rows, columns], that vectors are multiplied with. form: None if they are not quantised."""

    def __init__(
        self, weight: mx.array, form: Form | None = None, scales: mx.array | None = None, biases: mx.array | None = None
    ):
        self.weight, self._form, self._parts = weight, form, (scales, biases)
        parts = (None if part is None else Tensor.of(part) for part in (scales, biases))
        self._matrix = packed_matrix(form, Tensor.of(weight), *parts) if available() else None

    def times(self, x: Floats) -> Floats:
        """x @ weight.T, float32 [count, rows], of x [count, columns]."""
        if self._matrix is None:
            return np.array(self.times_mlx(mx.array(x)).astype(mx.float32))
        return multiply(self._matrix, x, _counting(len(x)), _zeros(len(x)))

    def times_mlx(self, x: mx.array) -> mx.array:
        """x @ weight.T of x [..., columns], by MLX."""
        if self._form is None:
            return x @ self.weight.T
        form, (scales, biases) = self._form, self._parts
        assert scales is not None  # as of all quantised weights
        return mx.quantized_matmul(x, self.weight, scales, biases, transpose=True, group_size=form.group_size,
                                   bits=form.bits, mode=form.mode)  # fmt: skip


@functools.cache
def _counting(count: int) -> Integers:
    return np.arange(count)


@functools.cache
def _zeros(count: int) -> Integers:
    return np.zeros(count, np.int64)
