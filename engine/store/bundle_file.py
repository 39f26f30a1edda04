"""The bundle file: every neuron's up row and down column side by side on flash (paper, section 3.2).

`bundles.safetensors` is an ordinary safetensors file, one tensor a layer, `[neurons, row]`, whose header is padded so
that the data starts on a 16 KiB boundary and whose rows are padded to the read granularity. A row is one bundle,
`[up | down]` or `[gate | up | down]`, then zeros.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated

import numpy as np
from msgspec import Meta

from engine.arrays.dtypes import DTYPES, FLOAT_CODES
from engine.errors import FlawError, PreparedModelError
from engine.store.safetensors_file import open_safetensors
from engine.store.safetensors_writer import SafetensorsWriter, forms
from engine.store.stored_tensor import StoredTensor
from engine.system.documents import PREPARE_AGAIN, parsing, typed
from engine.text import shown

DATA_ALIGNMENT = 16384  # a page on Apple silicon; a multiple of every drive's block
READ_GRANULARITIES = (16384, 4096, 512)  # what direct reads like, largest first
MAX_PADDING_SHARE = 1 / 8  # of a row: beyond it the padding costs more than the aligned read gains
WRITTEN_ROWS = 1024  # at once


def padded_row_bytes(bundle_bytes: int) -> int:
    """Bytes of a row that holds a bundle of `bundle_bytes`, padded to the largest granularity that wastes little."""
    for granularity in READ_GRANULARITIES:
        padded = -(-bundle_bytes // granularity) * granularity
        if padded - bundle_bytes <= MAX_PADDING_SHARE * bundle_bytes:
            return padded
    return bundle_bytes


@dataclass(frozen=True)
class BundleLayer:
    """The place of one layer's bundles: `neurons` rows of `row_bytes`, from byte `offset` of the file."""

    offset: int
    neurons: int
    row_bytes: int

    def offsets(self, neurons: np.ndarray) -> np.ndarray:
        """Byte offsets (int64) of the bundles of `neurons` (any integer array)."""
        return self.offset + neurons.astype(np.int64) * self.row_bytes

    @property
    def bytes(self) -> int:
        """The size of the layer, with its padding."""
        return self.neurons * self.row_bytes


@dataclass(frozen=True)
class Metadata:
    """The description of a bundle file's rows. bundle: the names of the parts, between bars. width: in digits."""

    bundle: Annotated[str, Meta(pattern=r"^[a-z]{1,20}(\|[a-z]{1,20}){1,9}\Z")]
    width: Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,6}\Z")]


@dataclass(frozen=True)
class BundleFile:
    """A bundle file's header. dtype: safetensors' name (F32, F16, BF16). width: of each of the parts, in elements."""

    path: Path
    dtype: str
    width: int
    parts: tuple[str, ...]
    layers: tuple[BundleLayer, ...]

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
            for tensor in tensors:
                if tensor.dtype != tensors[0].dtype or tensor.shape[1:] < (width * len(parts),):
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
        return cls(path, FLOAT_CODES[tensors[0].dtype], width, parts, tuple(layers))


def _layers(tensors: Mapping[str, StoredTensor]) -> list[StoredTensor]:
    """The layers' tensors in order, of two dimensions each."""
    names = [f"layers.{i}" for i in range(len(tensors))]
    if not names or tensors.keys() != set(names):
        raise FlawError("it does not hold one tensor for each layer")
    if odd := [tensor for tensor in tensors.values() if len(tensor.shape) != 2 or tensor.dtype not in FLOAT_CODES]:
        raise FlawError("the shape or the dtype of {name} is no layer's", name=shown(odd[0].name))
    return [tensors[name] for name in names]


class BundleWriter:
    """Writes a bundle file one layer at a time; a context manager that leaves a whole file, or raises.

    dtype: by MLX's name. width: of each of the parts. neurons: by layer. done: layers that an earlier writer left
    whole. Raises OSError (a full disk) as it comes.
    """

    def __init__(self, path: Path, dtype: str, width: int, parts: tuple[str, ...], neurons: list[int], done: int = 0):
        item = DTYPES[dtype].size
        self._row = padded_row_bytes(len(parts) * width * item) // item
        self._expected = list(neurons[done:])
        layers = {f"layers.{i}": (count, self._row) for i, count in enumerate(neurons)}
        metadata = {"bundle": "|".join(parts), "width": str(width)}
        self._file = SafetensorsWriter(path, forms(dtype, layers), metadata, DATA_ALIGNMENT, done)

    def write(self, bundles: np.ndarray, order: np.ndarray | None = None) -> None:
        """Append the next layer: `[neurons, parts * width]`, items of the dtype's size (bfloat16 as uint16).

        order: the neuron to put at each place. It is on the disk when this returns.
        """
        if len(bundles) != self._expected.pop(0):
            raise ValueError("this layer has another number of neurons than the header says")
        order = np.arange(len(bundles)) if order is None else order
        for start in range(0, len(order), WRITTEN_ROWS):
            chosen = bundles[order[start : start + WRITTEN_ROWS]]
            rows = np.zeros((len(chosen), self._row), bundles.dtype)
            rows[:, : bundles.shape[1]] = chosen
            self._file.write(rows)
        self._file.sync()

    def __enter__(self) -> "BundleWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, value, traceback)
