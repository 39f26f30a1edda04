"""PyTorch's old checkpoint files (.bin): a zip with a pickled table of tensors and one entry for each storage."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import CheckpointError, FlawError
from engine.prepare.pickle_reader import read_pickle
from engine.prepare.stored_zip import Entry, read_entries
from engine.store.stored_tensor import ITEM_BITS, StoredTensor, checked_shape
from engine.system.documents import DOWNLOAD_AGAIN, check_whole, parsing
from engine.text import Text, shown

MAX_PICKLE_BYTES = 4_000_000  # bytes: some ten thousand tensors
STORAGES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    # What buffers beside the weights are made of; none of it is read.
    "DoubleStorage": "F64",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}


def read_torch(path: Path) -> dict[str, StoredTensor]:
    """A file's tensors by name; nothing in it is run, no weight is read. Raises CheckpointError."""
    with parsing(path, CheckpointError, DOWNLOAD_AGAIN):
        check_whole(path)
        with path.open("rb") as file:
            if file.read(4) != b"PK\3\4":
                raise FlawError(
                    "it is no zip archive, as PyTorch writes since version 1.6",
                    Text("Save it again with a newer PyTorch, or as safetensors."),
                )
        return _Archive(path).tensors()


@dataclass(frozen=True)
class _StorageType:
    """A storage class that a pickle names; it cannot be called."""

    dtype: str


@dataclass(frozen=True)
class _Storage:
    dtype: str
    offset: int
    items: int


class _Archive:
    """One file's entries, and what its pickle may name."""

    def __init__(self, path: Path):
        self._path, self._entries = path, read_entries(path)
        roots = [name for name in self._entries if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise FlawError("it holds no table of tensors (data.pkl)")
        self._root = roots[0].removesuffix("data.pkl")
        if self._content("byteorder", b"little") != b"little":
            raise FlawError("it was written on a big-endian machine")
        self._known = {
            "collections.OrderedDict": _table,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_parameter": _parameter,
        } | {f"torch.{name}": _StorageType(dtype) for name, dtype in STORAGES.items()}

    def tensors(self) -> dict[str, StoredTensor]:
        table = read_pickle(self._content("data.pkl"), self._known, self._storage)
        if not isinstance(table, dict):
            raise FlawError("it holds no table of tensors")
        if strange := [name for name, value in table.items() if not isinstance(value, StoredTensor)]:
            raise FlawError("{name} is no tensor", name=shown(strange[0]))
        return {name: replace(tensor, name=name) for name, tensor in table.items()}

    def _content(self, name: str, default: bytes | None = None) -> bytes:
        """A small entry's bytes."""
        if default is not None and self._root + name not in self._entries:
            return default
        entry = self._entries[self._root + name]
        if entry.size > MAX_PICKLE_BYTES:
            raise FlawError("its {name} is absurdly large", name=name)
        with self._path.open("rb") as file:
            file.seek(entry.offset)
            return file.read(entry.size)

    def _storage(self, identity: object) -> _Storage:
        match identity:
            case ("storage", _StorageType() as kind, str(key), str(), int(items)):
                pass
            case _:
                raise FlawError("a storage is described as PyTorch never does")
        entry: Entry | None = self._entries.get(f"{self._root}data/{key}")
        if entry is None or not 0 <= items * ITEM_BITS[kind.dtype] // 8 <= entry.size:
            raise FlawError("the storage {key} is missing or shorter than it should be", key=shown(key))
        return _Storage(kind.dtype, entry.offset, items)

    def _tensor(
        self, storage: object, offset: object, shape: object, stride: object, _requires_grad: object, _hooks: object
    ) -> StoredTensor:
        """torch._utils._rebuild_tensor_v2: a view of a storage. Which one it is named comes later."""
        if not isinstance(storage, _Storage) or type(offset) is not int or not isinstance(stride, tuple):
            raise FlawError("a tensor is described as PyTorch never does")
        lengths = checked_shape(shape)
        transposed = _transposed(lengths, stride)
        if not 0 <= offset <= storage.items - math.prod(lengths):
            raise FlawError("a tensor of shape {shape} reaches beyond its storage", shape=shown(lengths))
        place = storage.offset + offset * ITEM_BITS[storage.dtype] // 8
        return StoredTensor("", self._path, storage.dtype, lengths, place, transposed)


def _table() -> dict[str, object]:
    """collections.OrderedDict: pickled empty, filled afterwards."""
    return {}


def _parameter(tensor: object, _requires_grad: object, _hooks: object) -> object:
    """torch._utils._rebuild_parameter: for us, its tensor."""
    return tensor


def _transposed(shape: tuple[int, ...], stride: tuple[object, ...]) -> bool:
    """True where columns lie side by side instead of rows. Raises ValueError for any other view."""
    rows = tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
    columns = (1, shape[0]) if len(shape) == 2 else rows
    for expected in (rows, columns):
        # The stride of a dimension of length 1 means nothing, and PyTorch writes anything there.
        if len(stride) == len(shape) and all(
            length == 1 or step == right for length, step, right in zip(shape, stride, expected, strict=True)
        ):
            return expected is not rows
    raise FlawError(
        "a tensor of shape {shape} is a view that is neither whole rows nor a transpose", shape=shown(shape)
    )
