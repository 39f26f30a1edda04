"""Reading safetensors: eight bytes of header length, a JSON header, the tensors' bytes."""

import json
import os
import struct
from pathlib import Path

from engine.arrays.dtypes import NAMES
from engine.errors import CheckpointError, FlawError
from engine.store.stored_tensor import StoredTensor, checked_shape
from engine.text import shown

MAX_HEADER = 100_000_000  # bytes: the format's own limit


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """A file's tensors by name; only its header is read, and checked. Raises CheckpointError."""
    try:
        header, start, room = _read_header(path)
        tensors = {name: _tensor(name, entry, path, start, room) for name, entry in header.items()}
        _check_apart(tensors)
    except RecursionError as error:
        raise CheckpointError(
            "{path} cannot be read as safetensors: its header is nested too deeply.", path=path
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(
            "{path} cannot be read as safetensors: {error}. Download it again.", path=path, error=error
        ) from error
    return tensors


def _read_header(path: Path) -> tuple[dict, int, int]:
    """The tensors' entries, where their bytes start, and how many there are."""
    with path.open("rb") as file:
        total, prefix = os.fstat(file.fileno()).st_size, file.read(8)
        if len(prefix) < 8:
            raise FlawError("it is shorter than a header")
        (length,) = struct.unpack("<Q", prefix)
        if length > min(MAX_HEADER, total - 8):
            raise FlawError("its header of {length} bytes is longer than the file or than is allowed", length=length)
        header = json.loads(file.read(length).decode(), object_pairs_hook=_unique)
    if not isinstance(header, dict):
        raise FlawError("its header is no table")
    header.pop("__metadata__", None)
    return header, 8 + length, total - 8 - length


def _unique(pairs: list[tuple[str, object]]) -> dict:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise FlawError("its header holds a name twice")
    return table


def _tensor(name: str, entry: object, path: Path, start: int, room: int) -> StoredTensor:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(first), int(last)]}:
            pass
        case _:
            raise FlawError("the entry of {name} is malformed", name=shown(name))
    if dtype not in NAMES:
        raise FlawError(
            "{name} has the dtype {dtype}, and only {dtypes} are read",
            name=shown(name),
            dtype=shown(dtype),
            dtypes=", ".join(NAMES),
        )
    tensor = StoredTensor(name, path, NAMES[dtype], checked_shape(shape), start + first)
    if not 0 <= first <= last <= room:
        raise FlawError("{name} lies outside the file", name=shown(name))
    if last - first != tensor.nbytes:
        raise FlawError(
            "{name} has {bytes} bytes where its shape needs {needed}",
            name=shown(name),
            bytes=last - first,
            needed=tensor.nbytes,
        )
    return tensor


def _check_apart(tensors: dict[str, StoredTensor]) -> None:
    end = 0
    for tensor in sorted(tensors.values(), key=lambda tensor: tensor.offset):
        if tensor.offset < end:
            raise FlawError("{name} overlaps another tensor", name=shown(tensor.name))
        end = tensor.offset + tensor.nbytes
