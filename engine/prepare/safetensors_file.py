"""Reading safetensors: eight bytes of header length, a JSON header, the tensors' bytes."""

import json
import os
import struct
from pathlib import Path

from engine.dtypes import NAMES
from engine.errors import CheckpointError
from engine.prepare.stored_tensor import StoredTensor, checked_shape, shown

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
    if dtype not in NAMES:
        raise ValueError(f"{shown(name)} has the dtype {shown(dtype)}, and only {', '.join(NAMES)} are read")
    tensor = StoredTensor(name, path, NAMES[dtype], checked_shape(shape), start + first)
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
