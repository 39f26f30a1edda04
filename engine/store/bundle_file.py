"""The bundle file: every neuron's up row and down column side by side on flash (paper, section 3.2).

`bundles.safetensors` is an ordinary safetensors file, one tensor a layer, `[neurons, row]`, whose header is padded so
that the data starts on a 16 KiB boundary and whose rows are padded to the read granularity. A row is one bundle,
`[up | down]` or `[gate | up | down]`, then zeros.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from engine.arrays.dtypes import DTYPES, FLOAT_CODES, mlx_dtype
from engine.arrays.packed import Form
from engine.errors import FlawError, PreparedModelError
from engine.store.packing import PackedPart, Packing
from engine.store.safetensors_file import open_safetensors
from engine.store.safetensors_writer import Form as TensorForm
from engine.store.safetensors_writer import SafetensorsWriter
from engine.store.stored_tensor import StoredTensor
from engine.system.documents import PREPARE_AGAIN, parsing, typed
from engine.text import shown

DATA_ALIGNMENT = 16384  # a page on Apple silicon; a multiple of every drive's block
READ_GRANULARITIES = (16384, 4096, 512)  # what direct reads like, largest first
MAX_PADDING_SHARE = 1 / 8  # of a row: beyond it the padding costs more than the aligned read gains
WRITTEN_ROWS = 1024  # at once
PACKED_DTYPE = "U32"  # of rows of quantised neurons
ROW_DTYPES = (*FLOAT_CODES, PACKED_DTYPE)


def padded_row_bytes(bundle_bytes: int) -> int:
    """Bytes of a row that holds a bundle of `bundle_bytes`, padded to the largest granularity that wastes little."""
    for granularity in READ_GRANULARITIES:
        padded = -(-bundle_bytes // granularity) * granularity
        if padded - bundle_bytes <= MAX_PADDING_SHARE * bundle_bytes:
            return padded
    return bundle_bytes


@dataclass(frozen=True)
class BundleLayer:
    """The place of one layer's bundles: `bundles` rows of `row_bytes`, from byte `offset` of the file."""

    offset: int
    bundles: int
    row_bytes: int

    def offsets(self, ids: np.ndarray) -> np.ndarray:
        """Byte offsets (int64) of bundles by their ids (any integer array)."""
        return self.offset + ids.astype(np.int64) * self.row_bytes

    @property
    def bytes(self) -> int:
        """The size of the layer, with its padding."""
        return self.bundles * self.row_bytes


@dataclass(frozen=True)
class Metadata:
    """The description of a bundle file's rows. bundle: the names of the parts, between bars. width: in digits.

    bits, group_size, neurons, scales: of quantised neurons, their form, how many are one bundle, and the dtype of their
    scales.
    """

    bundle: Annotated[str, Meta(pattern=r"^[a-z]{1,20}(\|[a-z]{1,20}){1,9}\Z")]
    width: Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,6}\Z")]
    bits: Literal["8", "4"] | None = None
    group_size: Literal["64", "32"] = "64"
    neurons: Annotated[str, Meta(pattern=r"^[1-9]\Z")] = "1"
    scales: Literal["float32", "float16", "bfloat16"] = "float32"

    def packing(self, row_bytes: int) -> Packing | None:
        """The form of quantised neurons in rows of that size; None where they are not quantised."""
        if self.bits is None:
            return None
        form, width = Form(int(self.bits), int(self.group_size), "affine"), int(self.width)
        packing = Packing(form, int(self.neurons), tuple(self.bundle.split("|")), width, self.scales, row_bytes)
        if width % form.group_size or packing.bundle_bytes > row_bytes:
            raise FlawError("its rows are too short for the bundles that it describes")
        return packing


@dataclass(frozen=True)
class BundleFile:
    """A bundle file's header. dtype: of rows, safetensors' name (F32, F16, BF16; U32 of packed ones). width: of each of
    the parts, in elements. packing: of quantised neurons, None of others."""

    path: Path
    dtype: str
    width: int
    parts: tuple[str, ...]
    layers: tuple[BundleLayer, ...]
    packing: Packing | None = None

    @property
    def numbers(self) -> str:
        """The dtype of its weights, by safetensors' name, or of their scales."""
        return FLOAT_CODES[self.packing.dtype] if self.packing else self.dtype

    @property
    def pieces(self) -> int:
        """Reads that a bundle takes where its parts are read one by one: as many as there are, or one where they are
        not equal pieces of a row."""
        even = all(layer.row_bytes % len(self.parts) == 0 for layer in self.layers)
        return len(self.parts) if even else 1

    @property
    def neurons(self) -> int:
        """Neurons of a bundle."""
        return self.packing.neurons if self.packing else 1

    @property
    def bytes(self) -> int:
        """The size of all layers, with their padding."""
        return sum(layer.bytes for layer in self.layers)

    @classmethod
    def open(cls, path: Path) -> "BundleFile":
        """Read and check the header. Raises PreparedModelError for a file that is missing, truncated or malformed."""
        file = open_safetensors(path, PreparedModelError, PREPARE_AGAIN)
        with parsing(path, PreparedModelError, PREPARE_AGAIN):
            described = typed(file.metadata, Metadata)
            width, parts = int(described.width), tuple(described.bundle.split("|"))
            tensors = _layers(file.tensors)
            packing = described.packing(tensors[0].nbytes // tensors[0].shape[0])
            for tensor in tensors:
                if not _fits(tensor, tensors[0], 1 if packing else width * len(parts), packing is not None):
                    raise FlawError("the shape or the dtype of {name} is no layer's", name=shown(tensor.name))
        end = max(tensor.offset + tensor.nbytes for tensor in tensors)
        if file.bytes != end:
            raise PreparedModelError(
                "{path} has {size} bytes where its header says {end}: it is truncated or was changed. Prepare or "
                "download the model again.",
                path=path,
                size=file.bytes,
                end=end,
            )
        layers = (BundleLayer(t.offset, t.shape[0], t.nbytes // t.shape[0]) for t in tensors)
        dtype = FLOAT_CODES.get(tensors[0].dtype, tensors[0].dtype)
        return cls(path, dtype, width, parts, tuple(layers), packing)


def _fits(tensor: StoredTensor, first: StoredTensor, items: int, packed: bool) -> bool:
    """True for a layer like the first one, whose rows have at least so many items."""
    of_first = tensor.dtype == first.dtype and (not packed or tensor.shape[1] == first.shape[1])
    return of_first and tensor.shape[1] >= items and (tensor.dtype == PACKED_DTYPE) == packed


def _layers(tensors: Mapping[str, StoredTensor]) -> list[StoredTensor]:
    """The layers' tensors in order, of two dimensions each."""
    names = [f"layers.{i}" for i in range(len(tensors))]
    if not names or tensors.keys() != set(names):
        raise FlawError("it does not hold one tensor for each layer")
    if odd := [tensor for tensor in tensors.values() if len(tensor.shape) != 2 or tensor.dtype not in ROW_DTYPES]:
        raise FlawError("the shape or the dtype of {name} is no layer's", name=shown(odd[0].name))
    return [tensors[name] for name in names]


class BundleWriter:
    """Writes a bundle file one layer at a time; a context manager that leaves a whole file, or raises.

    dtype: by MLX's name. width: of each of the parts. neurons: by layer. done: layers that an earlier writer left
    whole. packing: of quantised neurons. Raises OSError (a full disk) as it comes.
    """

    def __init__(
        self,
        path: Path,
        dtype: str,
        width: int,
        parts: tuple[str, ...],
        neurons: list[int],
        done: int = 0,
        packing: Packing | None = None,
    ):
        self._packing, kind = packing, mlx_dtype(PACKED_DTYPE) if packing else DTYPES[dtype]
        row_bytes = packing.row_bytes if packing else padded_row_bytes(len(parts) * width * kind.size)
        self._row = row_bytes // kind.size
        self._expected = list(neurons[done:])
        counts = [packing.bundles(count) if packing else count for count in neurons]
        layers = {f"layers.{i}": TensorForm(kind, (count, self._row)) for i, count in enumerate(counts)}
        metadata = {"bundle": "|".join(parts), "width": str(width)}
        if packing:
            metadata |= {"bits": str(packing.form.bits), "group_size": str(packing.form.group_size)}
            metadata |= {"neurons": str(packing.neurons), "scales": packing.dtype}
        self._file = SafetensorsWriter(path, layers, metadata, DATA_ALIGNMENT, done)

    def write(self, bundles: np.ndarray, order: np.ndarray | None = None) -> None:
        """Append the next layer: `[neurons, parts * width]`, items of the dtype's size (bfloat16 as uint16).

        order: the neuron to put at each place. It is on the disk when this returns.
        """
        for chosen in self._in_order(len(bundles), order, WRITTEN_ROWS):
            rows = np.zeros((len(chosen), self._row), bundles.dtype)
            rows[:, : bundles.shape[1]] = bundles[chosen]
            self._file.write(rows)
        self._file.sync()

    def write_packed(self, parts: Sequence[PackedPart], order: np.ndarray | None = None) -> None:
        """The same of quantised neurons, part by part."""
        assert self._packing is not None
        for chosen in self._in_order(len(parts[0]), order, WRITTEN_ROWS * self._packing.neurons):
            self._file.write(self._packing.pack(parts, chosen))
        self._file.sync()

    def _in_order(self, neurons: int, order: np.ndarray | None, step: int) -> Iterator[NDArray[Any]]:
        """The neurons of the next layer in their order, so many at a time."""
        order = np.arange(neurons) if order is None else order
        if len(order) != self._expected.pop(0):
            raise ValueError("this layer has another number of neurons than the header says")
        return (order[start : start + step] for start in range(0, len(order), step))

    def __enter__(self) -> "BundleWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, value, traceback)
