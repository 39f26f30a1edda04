"""safetensors: eight bytes of header length, a JSON header, the tensors' bytes."""

import json
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import mlx.core as mx

from engine.errors import CheckpointError
from engine.prepare.stored_tensor import DTYPES, StoredTensor, checked_shape, shown

STORED = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
KNOWN = {name: dtype for dtype, name in STORED.items()}
MAX_HEADER = 100_000_000  # bytes: the format's own limit


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """A file's tensors by name; only its header is read, and checked. Raises CheckpointError."""
    try:
        header, start, room = _read_header(path)
        tensors = {name: _tensor(name, entry, path, start, room) for name, entry in header.items()}
        _check_apart(tensors)
    except RecursionError as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: its header is nested too deeply.") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}. Download it again.") from error
    return tensors


def _read_header(path: Path) -> tuple[dict, int, int]:
    """The tensors' entries, where their bytes start, and how many there are."""
    with path.open("rb") as file:
        total, prefix = os.fstat(file.fileno()).st_size, file.read(8)
        if len(prefix) < 8:
            raise ValueError("it is shorter than a header")
        (length,) = struct.unpack("<Q", prefix)
        if length > min(MAX_HEADER, total - 8):
            raise ValueError(f"its header of {length} bytes is longer than the file or than is allowed")
        header = json.loads(file.read(length).decode(), object_pairs_hook=_unique)
    if not isinstance(header, dict):
        raise ValueError("its header is no table")
    header.pop("__metadata__", None)
    return header, 8 + length, total - 8 - length


def _unique(pairs: list[tuple[str, object]]) -> dict:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("its header holds a name twice")
    return table


def _tensor(name: str, entry: object, path: Path, start: int, room: int) -> StoredTensor:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(first), int(last)]}:
            pass
        case _:
            raise ValueError(f"the entry of {shown(name)} is malformed")
    if dtype not in KNOWN:
        raise ValueError(f"{shown(name)} has the dtype {shown(dtype)}, and only {', '.join(KNOWN)} are read")
    tensor = StoredTensor(name, path, KNOWN[dtype], checked_shape(shape), start + first)
    if not 0 <= first <= last <= room:
        raise ValueError(f"{shown(name)} lies outside the file")
    if last - first != tensor.nbytes:
        raise ValueError(f"{shown(name)} has {last - first} bytes where its shape needs {tensor.nbytes}")
    return tensor


def _check_apart(tensors: dict[str, StoredTensor]) -> None:
    end = 0
    for tensor in sorted(tensors.values(), key=lambda tensor: tensor.offset):
        if tensor.offset < end:
            raise ValueError(f"{shown(tensor.name)} overlaps another tensor")
        end = tensor.offset + tensor.nbytes


class SafetensorsWriter:
    """Writes tensors piece by piece; a context manager that leaves a whole file, or raises.

    dtype: of all of them, by MLX's name. shapes: by name, in the order of writing. Raises OSError (a full disk).
    """

    def __init__(self, path: Path, dtype: str, shapes: Mapping[str, tuple[int, ...]]):
        header: dict = {"__metadata__": {"format": "flashbulb"}}
        self._left = 0
        for name, shape in shapes.items():
            start, self._left = self._left, self._left + math.prod(shape) * DTYPES[dtype].size
            header[name] = {"dtype": STORED[dtype], "shape": shape, "data_offsets": [start, self._left]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self._file = path.open("wb")
        self._file.write(struct.pack("<Q", len(text)) + text)

    def write(self, array: mx.array) -> None:
        """Append what comes next, of the file's dtype, in row order: a tensor or some of its rows."""
        array = mx.contiguous(array)
        mx.eval(array)
        self._left -= self._file.write(memoryview(array).cast("B"))

    def __enter__(self) -> "SafetensorsWriter":
        return self

    def __exit__(self, kind, value, traceback) -> None:
        try:
            if kind is None:
                if self._left:
                    raise ValueError(f"{self._left} bytes more were announced than written")
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()
