"""Preallocated MLX memory that the flash reader writes into."""

from dataclasses import dataclass

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.arrays.dtypes import mlx_dtype
from engine.system.allocator import long_lived

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
