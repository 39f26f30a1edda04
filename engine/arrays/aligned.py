"""Preallocated MLX memory that the flash reader writes into."""

from typing import NamedTuple

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.arrays.dtypes import stored_dtype

ALIGNMENT = 16384  # direct reads want aligned memory; on macOS they merge only at whole pages


class Slab(NamedTuple):
    """Rows of memory, twice named: `matrix`, an MLX array [rows, row_bytes / item], and `view`, uint8
    [rows, row_bytes], writable.

    The array must never be the target of an MLX operation: it would move to another buffer and leave the view dangling.
    Keep it alive as long as the view.
    """

    matrix: mx.array
    view: NDArray[np.uint8]


def aligned_rows(rows: int, row_bytes: int, dtype: str) -> Slab:
    """Zeroed rows that start on a 16 KiB boundary. dtype: safetensors' name."""
    kind = stored_dtype(dtype)
    width = row_bytes // kind.size
    slack = -(-ALIGNMENT // row_bytes)  # whole rows, so that the array stays two-dimensional
    raw = mx.zeros((max(rows, 1) + slack, width), kind)
    mx.eval(raw)
    everything = np.asarray(memoryview(raw).cast("B"))
    skip = -everything.ctypes.data % ALIGNMENT
    # An address that is no multiple of the item size (malloc's own header) cannot be reached by whole elements.
    skip = skip if skip % kind.size == 0 else 0
    view = everything[skip : skip + rows * row_bytes].reshape(rows, row_bytes)
    array = mx.as_strided(raw, (rows, width), (width, 1), skip // kind.size)
    mx.eval(array)
    return Slab(array, view)
