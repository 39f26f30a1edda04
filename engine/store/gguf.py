"""Reading GGUF: metadata of names and values, tensors in blocks of quantised weights (ggml-org/ggml, docs/gguf.md).

Read only, and by nobody but us: mx.load makes Q4_K wrong and MXFP4 empty. A file is hostile until its header has been
checked: every count and offset is held against the size of the file.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engine.errors import CheckpointError, FlawError
from engine.store.stored_tensor import checked_shape
from engine.system.documents import DOWNLOAD_AGAIN, check_whole, parsing
from engine.text import shown

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_ENTRIES, MAX_TENSORS = 10_000, 200_000
MAX_NAME_BYTES, MAX_TEXT_BYTES, MAX_ITEMS = 1 << 10, 1 << 24, 1 << 23
USUAL_ALIGNMENT = 32  # bytes of a tensor's offset, where the file does not say
MAX_ALIGNMENT = 1 << 20

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9

Value = bool | int | float | str | list[bool] | list[int] | list[float] | list[str]


@dataclass(frozen=True)
class BlockType:
    """A type of quantised blocks: its name, the weights of a block, and its bytes."""

    name: str
    weights: int
    bytes: int


TYPES = {  # by ggml's numbers
    0: BlockType("F32", 1, 4),
    1: BlockType("F16", 1, 2),
    2: BlockType("Q4_0", 32, 18),
    3: BlockType("Q4_1", 32, 20),
    6: BlockType("Q5_0", 32, 22),
    7: BlockType("Q5_1", 32, 24),
    8: BlockType("Q8_0", 32, 34),
    10: BlockType("Q2_K", 256, 84),
    11: BlockType("Q3_K", 256, 110),
    12: BlockType("Q4_K", 256, 144),
    13: BlockType("Q5_K", 256, 176),
    14: BlockType("Q6_K", 256, 210),
    30: BlockType("BF16", 1, 2),
    39: BlockType("MXFP4", 32, 17),
}


@dataclass(frozen=True)
class GGUFTensor:
    """The place of a tensor. shape: rows first, as everywhere here. offset: bytes from the file's start."""

    name: str
    path: Path
    type: BlockType
    shape: tuple[int, ...]
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes of the whole tensor in the file."""
        return math.prod(self.shape) // self.type.weights * self.type.bytes

    @property
    def row_bytes(self) -> int:
        """Bytes of a row in the file."""
        return self.shape[-1] // self.type.weights * self.type.bytes

    def read(self, rows: slice = slice(None)) -> bytes:
        """The bytes of some rows (of all axes but the last), all by default. Raises CheckpointError."""
        count = math.prod(self.shape[:-1])
        start, stop, _ = rows.indices(count)
        with parsing(self.path, CheckpointError, DOWNLOAD_AGAIN), self.path.open("rb") as file:
            file.seek(self.offset + start * self.row_bytes)
            content = file.read((stop - start) * self.row_bytes)
            if len(content) < (stop - start) * self.row_bytes:
                raise FlawError("it is cut off")
        return content


@dataclass(frozen=True)
class GGUFFile:
    """A file's header. metadata: by name. tensors: by name."""

    path: Path
    metadata: dict[str, Value]
    tensors: dict[str, GGUFTensor]

    @property
    def weight_bytes(self) -> int:
        """Size of all tensors."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


def open_gguf(path: Path) -> GGUFFile:
    """A file's header, read and checked; no tensor is. Raises CheckpointError."""
    with parsing(path, CheckpointError, DOWNLOAD_AGAIN):
        check_whole(path)
        with path.open("rb") as file:
            return _Header(file, path).read()


class _Header:
    def __init__(self, file: BinaryIO, path: Path):
        self._file, self._path, self._size = file, path, path.stat().st_size

    def read(self) -> GGUFFile:
        if self._bytes(4) != MAGIC:
            raise FlawError("it does not begin as a GGUF file does")
        version = self._number("I")
        if version not in VERSIONS:
            raise FlawError("it is of version {version} of its format, and only 2 and 3 are read", version=version)
        tensors, entries = self._count(MAX_TENSORS), self._count(MAX_ENTRIES)
        metadata = {}
        for _ in range(entries):
            name = self._text(MAX_NAME_BYTES)
            metadata[name] = self._value(self._number("I"), name)
        described = [self._described() for _ in range(tensors)]
        start = _round_up(self._file.tell(), _alignment(metadata))
        placed = {name: self._placed(name, kind, shape, start + at) for name, kind, shape, at in described}
        if len(placed) != len(described):
            raise FlawError("it holds a name twice")
        _check_apart(placed)
        return GGUFFile(self._path, metadata, placed)

    def _described(self) -> tuple[str, int, tuple[int, ...], int]:
        name, axes = self._text(MAX_NAME_BYTES), self._number("I")
        if not 1 <= axes <= 4:
            raise FlawError("{name} has {axes} axes", name=shown(name), axes=axes)
        shape = checked_shape([self._number("Q") for _ in range(axes)][::-1])
        return name, self._number("I"), shape, self._number("Q")

    def _placed(self, name: str, kind: int, shape: tuple[int, ...], offset: int) -> GGUFTensor:
        if kind not in TYPES:
            raise FlawError(
                "{name} is quantised in a way (type {kind}) that is not read here", name=shown(name), kind=kind
            )
        tensor = GGUFTensor(name, self._path, TYPES[kind], shape, offset)
        if shape[-1] % tensor.type.weights:
            raise FlawError("a row of {name} is no number of whole blocks", name=shown(name))
        if offset + tensor.nbytes > self._size:
            raise FlawError("it is cut off: {name} lies behind its end", name=shown(name))
        return tensor

    def _value(self, kind: int, name: str) -> Value:
        if kind in SCALARS:
            return self._scalar(kind)
        if kind == STRING:
            return self._text(MAX_TEXT_BYTES)
        if kind != ARRAY:
            raise FlawError("{name} has a value of no known type", name=shown(name))
        item, count = self._number("I"), self._count(MAX_ITEMS)
        if item == STRING:
            return [self._text(MAX_TEXT_BYTES) for _ in range(count)]
        if item not in SCALARS:
            raise FlawError("{name} has items of no known type", name=shown(name))
        form = SCALARS[item]
        return list(struct.unpack(f"<{count}{form}", self._bytes(count * struct.calcsize(form))))

    def _scalar(self, kind: int) -> bool | int | float:
        form = SCALARS[kind]
        value: bool | int | float = struct.unpack(f"<{form}", self._bytes(struct.calcsize(form)))[0]
        return value

    def _number(self, form: str) -> int:
        return int(struct.unpack(f"<{form}", self._bytes(struct.calcsize(form)))[0])

    def _count(self, limit: int) -> int:
        count = self._number("Q")
        if count > min(limit, self._size):
            raise FlawError("it counts {count} things, more than it could hold", count=count)
        return count

    def _text(self, limit: int) -> str:
        return self._bytes(self._count(limit)).decode()

    def _bytes(self, count: int) -> bytes:
        content = self._file.read(count)
        if len(content) < count:
            raise FlawError("it is cut off")
        return content


def _alignment(metadata: dict[str, Value]) -> int:
    alignment = metadata.get("general.alignment", USUAL_ALIGNMENT)
    if type(alignment) is not int or not 1 <= alignment <= MAX_ALIGNMENT:
        raise FlawError("its alignment is {alignment}", alignment=shown(alignment))
    return alignment


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def _check_apart(tensors: dict[str, GGUFTensor]) -> None:
    end = 0
    for tensor in sorted(tensors.values(), key=lambda tensor: tensor.offset):
        if tensor.offset < end:
            raise FlawError("{name} overlaps another tensor", name=shown(tensor.name))
        end = tensor.offset + tensor.nbytes
