"""Preallocated MLX memory that the flash reader writes into."""

import mlx.core as mx
import numpy as np

from engine.arrays.dtypes import stored_dtype

ALIGNMENT = 16384  # direct reads want aligned memory; on macOS they merge only at whole pages


def aligned_rows(rows: int, row_bytes: int, dtype: str) -> tuple[mx.array, np.ndarray]:
    """Zeroed memory twice named: an MLX array `[rows, row_bytes / item]` and a writable uint8 view `[rows, row_bytes]`.

    Both start on a 16 KiB boundary. The array must never be the target of an MLX operation: it would move to another
    buffer and leave the view dangling. Keep it alive as long as the view. dtype: safetensors' name.
    """
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
    return array, view
