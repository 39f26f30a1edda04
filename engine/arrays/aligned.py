"""Preallocated MLX memory that the flash reader writes into."""

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module
from mlx.utils import tree_flatten
from numpy.typing import NDArray

from engine.arrays.dtypes import mlx_dtype
from engine.system.allocator import begin_in_huge_pages, keep_in_huge_pages, long_lived

ALIGNMENT = 16384  # direct reads want aligned memory; on macOS they merge only at whole pages


@dataclass(frozen=True, eq=False)
class Slab:
    """Rows of memory, twice named: `matrix`, an MLX array [rows, row_bytes / item], and `view`, uint8
    [rows, row_bytes], writable.

    The array must never be the target of an MLX operation: it would move to another buffer and leave the view dangling.
    Keep it alive as long as the view.
    """

    matrix: mx.array
    view: NDArray[np.uint8]

    def seen_as(self, row_bytes: int) -> "Slab":
        """The same memory in as many rows of `row_bytes` as it has room for."""
        if row_bytes == self.view.shape[1]:
            return self
        rows, width = self.view.size // row_bytes, row_bytes // self.matrix.itemsize
        matrix = mx.as_strided(self.matrix, (rows, width), (width, 1), 0)
        mx.eval(matrix)
        return Slab(matrix, self.view.reshape(-1)[: rows * row_bytes].reshape(rows, row_bytes))

    def some(self, rows: slice) -> "Slab":
        """Some of the rows, nothing copied."""
        return Slab(self.matrix[rows], self.view[rows])


def lasting_rows(rows: int, row_bytes: int, dtype: str) -> Slab:
    """The same as `aligned_rows`, in huge pages where the system has such: of what stays, and is read all the time. It
    takes memory as it is filled."""
    slab = aligned_rows(rows, row_bytes, dtype)
    begin_in_huge_pages((slab.view.ctypes.data, slab.view.nbytes))
    return slab


def aligned_rows(rows: int, row_bytes: int, dtype: str) -> Slab:
    """Zeroed rows that start on a 16 KiB boundary. dtype: safetensors' name."""
    kind = mlx_dtype(dtype)
    width = row_bytes // kind.size
    # In pages, or, where rows are no pages, in rows: the array stays two-dimensional, and little is there for nothing.
    unit = ALIGNMENT if row_bytes % ALIGNMENT == 0 else row_bytes
    with long_lived():
        raw = mx.zeros((rows * row_bytes // unit + -(-ALIGNMENT // unit), unit // kind.size), kind)
        mx.eval(raw)
    everything = np.asarray(memoryview(raw).cast("B"))  # type: ignore[arg-type] # MLX's arrays are buffers
    skip = -everything.ctypes.data % ALIGNMENT
    # An address that is no multiple of the item size (malloc's own header) cannot be reached by whole elements.
    skip = skip if skip % kind.size == 0 else 0
    view = everything[skip : skip + rows * row_bytes].reshape(rows, row_bytes)
    array = mx.as_strided(raw, (rows, width), (width, 1), skip // kind.size)
    mx.eval(array)
    return Slab(array, view)


def settle_in_huge_pages(network: Module) -> None:
    """Move a model's weights, all evaluated, to huge pages, where the system has such and there is no GPU: every token
    reads them."""
    if mx.metal.is_available():
        return
    weights: Any = tree_flatten(network.parameters())
    held = (memoryview(array) for _, array in weights if array.size)
    views = [np.frombuffer(each.cast("B"), np.uint8) for each in held if each.c_contiguous]
    keep_in_huge_pages([(each.ctypes.data, each.nbytes) for each in views])
