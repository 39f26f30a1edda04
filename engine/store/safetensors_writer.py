"""Writing safetensors: eight bytes of header length, a JSON header, the tensors' bytes, in order or wherever they are
ready."""

import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import mlx.core as mx
import numpy as np

from engine.arrays.dtypes import DTYPES, STORED_NAMES
from engine.system.files import write_whole

ALIGNMENT = 8  # bytes: of the first tensor in a file


class Described(Protocol):
    """A tensor, of which no more need be known than its form: an unevaluated array of MLX's is one."""

    @property
    def dtype(self) -> mx.Dtype:
        """The items' dtype."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths by axis."""

    @property
    def nbytes(self) -> int:
        """Bytes of its items."""


@dataclass(frozen=True)
class Form:
    """The form of a tensor that does not exist yet."""

    dtype: mx.Dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of its items."""
        return int(math.prod(self.shape)) * self.dtype.size


def forms(dtype: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Form]:
    """The forms of tensors of one dtype, by MLX's name."""
    return {name: Form(DTYPES[dtype], shape) for name, shape in shapes.items()}


@dataclass(frozen=True)
class Header:
    """A file's header. text: its bytes, up to the first tensor. places: the first byte of each tensor in the file.
    bytes: of the whole file."""

    text: bytes
    places: Mapping[str, int]
    bytes: int

    @classmethod
    def of(cls, tensors: Mapping[str, Described], metadata: Mapping[str, str], alignment: int = ALIGNMENT) -> "Header":
        """The header of tensors in the order of writing. alignment: of the first of them."""
        end, entries = 0, dict[str, object]()
        starts = dict[str, int]()
        for name, tensor in tensors.items():
            starts[name], end = end, end + tensor.nbytes
            stored = STORED_NAMES[tensor.dtype]
            entries[name] = {"dtype": stored, "shape": tensor.shape, "data_offsets": [starts[name], end]}
        text = json.dumps({"__metadata__": metadata, **entries}).encode()
        text += b" " * (-(8 + len(text)) % alignment)
        text = struct.pack("<Q", len(text)) + text
        return cls(text, {name: len(text) + start for name, start in starts.items()}, len(text) + end)


def reserve(path: Path, tensors: Mapping[str, Described], metadata: Mapping[str, str]) -> Mapping[str, int]:
    """Make a file as large as it will be, or take up one that was made so before. Returns the first byte of each
    tensor. Raises OSError."""
    header = Header.of(tensors, metadata)
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.write(header.text)
        file.truncate(header.bytes)
    return header.places


def in_shards(tensors: Mapping[str, Described], shard_bytes: int) -> dict[str, list[str]]:
    """The names of tensors by the file that they go to, none larger than `shard_bytes` unless one tensor is."""
    shards, room = [list[str]()], shard_bytes
    for name, tensor in tensors.items():
        if tensor.nbytes > room and shards[-1]:
            shards.append([])
            room = shard_bytes
        shards[-1].append(name)
        room -= tensor.nbytes
    return {f"model-{i:05d}-of-{len(shards):05d}.safetensors": names for i, names in enumerate(shards, 1)}


def write_index(folder: Path, files: Mapping[str, str], total: int) -> None:
    """Write the index of shards. files: by tensor. total: bytes of all tensors. Raises OSError."""
    content = {"metadata": {"total_size": total}, "weight_map": files}
    write_whole(folder / "model.safetensors.index.json", json.dumps(content))


class SafetensorsWriter:
    """Writes tensors piece by piece; a context manager that leaves a whole file, or raises.

    tensors: in the order of writing. alignment: of the first tensor in the file, in bytes. done: tensors that an
    earlier writer of the same file left whole. Raises OSError (a full disk).
    """

    def __init__(
        self,
        path: Path,
        tensors: Mapping[str, Described],
        metadata: Mapping[str, str] | None = None,
        alignment: int = ALIGNMENT,
        done: int = 0,
    ):
        header = Header.of(tensors, {"format": "flashbulb", **(metadata or {})}, alignment)
        begin = [*header.places.values(), header.bytes][done]
        self._left = header.bytes - begin
        self._file = path.open("r+b" if done else "wb")
        self._file.write(header.text)
        self._file.seek(begin)

    def write(self, array: "mx.array | np.ndarray[Any, Any] | bytes") -> int:
        """Append what comes next, in row order: a tensor, some of its rows, or their bytes; items of the tensor's dtype
        or of its size. Returns how many bytes that were."""
        if isinstance(array, mx.array):
            array = mx.contiguous(array)
            mx.eval(array)
        written = self._file.write(memoryview(array).cast("B"))  # type: ignore[arg-type] # MLX's arrays are buffers
        self._left -= written
        return written

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
