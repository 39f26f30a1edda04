"""Reading safetensors: eight bytes of header length, a JSON header, the tensors' bytes."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from engine.arrays.dtypes import NAMES
from engine.errors import CheckpointError, FlawError, PreparedModelError
from engine.store.stored_tensor import ITEM_BITS, StoredTensor, checked_shape
from engine.system.documents import DOWNLOAD_AGAIN, check_whole, parse_json, parsing
from engine.text import Text, shown

MAX_HEADER_BYTES = 32_000_000  # some hundred thousand tensors


@dataclass(frozen=True)
class SafetensorsFile:
    """A file's header. metadata: what its writer noted. bytes: of the whole file."""

    tensors: dict[str, StoredTensor]
    metadata: dict[str, str]
    bytes: int


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """A checkpoint file's tensors by name; only its header is read, and checked. Raises CheckpointError."""
    return open_safetensors(path, CheckpointError, DOWNLOAD_AGAIN).tensors


def open_safetensors(
    path: Path, error: type[CheckpointError] | type[PreparedModelError], cure: Text
) -> SafetensorsFile:
    """A file's header, read and checked. Raises `error`, which names the file and the cure."""
    with parsing(path, error, cure):
        check_whole(path)
        header, start, total = _read_header(path)
        metadata = header.pop("__metadata__", None) or {}  # MLX writes null where it has nothing to note
        if not isinstance(metadata, dict):
            raise FlawError("its header is no table")
        tensors = {name: _tensor(name, entry, path, start, total) for name, entry in header.items()}
        _check_apart(tensors)
        return SafetensorsFile(tensors, {name: str(value) for name, value in metadata.items()}, total)


def _read_header(path: Path) -> tuple[dict[str, object], int, int]:
    """The header, where the tensors' bytes start, and how many bytes the whole file has."""
    with path.open("rb") as file:
        total, prefix = os.fstat(file.fileno()).st_size, file.read(8)
        if len(prefix) < 8:
            raise FlawError("it is shorter than a header")
        (length,) = struct.unpack("<Q", prefix)
        if length > min(MAX_HEADER_BYTES, total - 8):
            raise FlawError("its header of {length} bytes is longer than the file or than is allowed", length=length)
        header = parse_json(file.read(length), unique=True)
    return header, 8 + length, total


def _tensor(name: str, entry: object, path: Path, start: int, total: int) -> StoredTensor:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(first), int(last)]}:
            pass
        case _:
            raise FlawError("the entry of {name} is malformed", name=shown(name))
    if dtype not in ITEM_BITS:
        raise FlawError("{name} has the dtype {dtype}, which is none", name=shown(name), dtype=shown(dtype))
    tensor = StoredTensor(name, path, NAMES.get(dtype, dtype), checked_shape(shape), start + first)
    if not 0 <= first <= last:
        raise FlawError("{name} lies outside the file", name=shown(name))
    if last > total - start:
        raise FlawError("it is cut off: it ends before {name} does", name=shown(name))
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
