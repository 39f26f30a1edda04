"""Writing safetensors piece by piece: eight bytes of header length, a JSON header, the tensors' bytes."""

import json
import math
import os
import struct
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from types import TracebackType

import mlx.core as mx
import numpy as np

from engine.arrays.dtypes import DTYPES, STORED


class SafetensorsWriter:
    """Writes tensors piece by piece; a context manager that leaves a whole file, or raises.

    dtype: of all of them, by MLX's name. shapes: by name, in the order of writing. alignment: of the first tensor in
    the file, in bytes. done: tensors that an earlier writer of the same file left whole. Raises OSError (a full disk).
    """

    def __init__(
        self,
        path: Path,
        dtype: str,
        shapes: Mapping[str, tuple[int, ...]],
        metadata: Mapping[str, str] | None = None,
        alignment: int = 8,
        done: int = 0,
    ):
        sizes = [math.prod(shape) * DTYPES[dtype].size for shape in shapes.values()]
        ends = [0, *accumulate(sizes)]
        header: dict[str, object] = {"__metadata__": {"format": "flashbulb", **(metadata or {})}}
        for i, (name, shape) in enumerate(shapes.items()):
            header[name] = {"dtype": STORED[dtype], "shape": shape, "data_offsets": ends[i : i + 2]}
        text = json.dumps(header).encode()
        text += b" " * (-(8 + len(text)) % alignment)
        self._left = ends[-1] - ends[done]
        self._file = path.open("r+b" if done else "wb")
        self._file.write(struct.pack("<Q", len(text)) + text)
        self._file.seek(8 + len(text) + ends[done])

    def write(self, array: mx.array | np.ndarray) -> None:
        """Append what comes next, in row order: a tensor or some of its rows, items of the file's dtype or its size."""
        if isinstance(array, mx.array):
            array = mx.contiguous(array)
            mx.eval(array)
        self._left -= self._file.write(memoryview(array).cast("B"))  # type: ignore[arg-type] # MLX's arrays are buffers

    def sync(self) -> None:
        """All that was written is on the disk when this returns."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> "SafetensorsWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if self._left:
                    raise ValueError(f"{self._left} bytes more were announced than written")
                self._file.truncate()
                self.sync()
        finally:
            self._file.close()
