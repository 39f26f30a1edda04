"""Products without a GPU: MLX has only a reference BLAS on the CPU, numpy's is many times faster."""

from collections.abc import Iterator

import mlx.core as mx
import mlx.nn as nn
import numpy as np

SMALL = 1 << 17  # elements of a matrix below which one token is multiplied by MLX sooner than handed to numpy
SIGN_AND_HALF = np.int32(-0x70002000)  # of a float32's bits: its sign, and the 15 that a float16 has besides
BLOCK = 1 << 17  # elements that are converted at once: they stay in the processor's cache until they are used


def product(x: mx.array, weight: mx.array) -> mx.array:
    """x @ weight.T for x [..., tokens, in] and weight [out, in]; through numpy where that is faster.

    A float32 x makes a float32 product, whatever the weight is stored in.
    """
    one_is_soonest = x.shape[-2] == 1 and weight.size < SMALL
    if mx.metal.is_available() or one_is_soonest or x.dtype not in (weight.dtype, mx.float32):
        return x @ weight.T
    return mx.array(numpy_product(np.array(x.astype(mx.float32)), weight)).astype(x.dtype)


def numpy_product(x: np.ndarray, weight: mx.array) -> np.ndarray:
    """x @ weight.T for float32 x [..., in] and weight [out, in] of any dtype."""
    y = np.empty((*x.shape[:-1], len(weight)), np.float32)
    for start, block in float32_blocks(weight):
        np.matmul(x, block.T, out=y[..., start : start + len(block)])
    return y


def float32_blocks(rows: mx.array, columns: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """A matrix, or its first columns, in runs of rows, each with the number of its first: float32 as it is, other
    dtypes block by block."""
    halves = as_numpy(rows)[:, :columns]
    if rows.dtype == mx.float32:
        yield 0, halves
        return
    step = max(1, BLOCK // max(1, halves.shape[1]))
    for start in range(0, len(halves), step):
        yield start, as_float32(halves[start : start + step])


def some_float32_blocks(matrix: mx.array, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Some rows of a matrix, int64 [n], copied in that order in runs as float32, each with the rows that it is of."""
    halves, step = as_numpy(matrix), max(1, BLOCK // max(1, matrix.shape[1]))
    for start in range(0, len(rows), step):
        here = rows[start : start + step]
        yield here, as_float32(halves[here])


def row_products(rows: np.ndarray, x: np.ndarray) -> np.ndarray:
    """rows @ x for float32 rows [n, in] and x [in]: to the bit the same for a row, whatever others are beside it."""
    products: np.ndarray = np.einsum("ni,i->n", rows, x)
    return products


def add_rows(y: np.ndarray, weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """y + weights @ rows for float32 y [out], out of 2 at least, weights [n] and rows [n, out], row after row: to the
    bit the same however rows are cut into several calls, and whatever rows of weight 0 are among them."""
    one = np.ones(1, np.float32)
    total: np.ndarray = np.einsum("n,no->o", np.concatenate([one, weights]), np.concatenate([y[None], rows]))
    return total


def as_numpy(array: mx.array) -> np.ndarray:
    """The memory of an array, evaluated; bfloat16, which numpy does not know, as uint16."""
    return np.array(array.view(mx.uint16) if array.dtype == mx.bfloat16 else array, copy=False)


def as_float32(halves: np.ndarray) -> np.ndarray:
    """float32 of finite float16, or of bfloat16 as uint16: numpy has none, but its bits are the upper half of a
    float32's."""
    if halves.dtype == np.float32:
        return halves
    if halves.dtype == np.float16:  # some four times as fast as numpy's conversion, which goes one by one
        bits = halves.view(np.int16).astype(np.int32)
        bits <<= 13
        bits &= SIGN_AND_HALF
        values = bits.view(np.float32)
        values *= np.float32(2.0**112)  # the exponents count from 15 and from 127
        return values
    bits = halves.astype(np.uint32)
    bits <<= 16
    return bits.view(np.float32)


class _Linear(nn.Linear):
    def __call__(self, x: mx.array) -> mx.array:
        y = product(x, self.weight)
        return y + self.bias if "bias" in self else y


class _Embedding(nn.Embedding):
    def as_linear(self, x: mx.array) -> mx.array:
        return product(x, self.weight)


def use_fast_products(model: nn.Module) -> None:
    """Let a model's linear layers and its head use `product`. Of no effect where there is a GPU."""
    faster: dict[type, type] = {nn.Linear: _Linear, nn.Embedding: _Embedding}
    for module in model.modules():
        if type(module) in faster and not mx.metal.is_available():
            module.__class__ = faster[type(module)]
