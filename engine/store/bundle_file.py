"""The bundle file: every neuron's up row and down column side by side on flash (paper, section 3.2).

`bundles.safetensors` is an ordinary safetensors file, one tensor a layer, `[neurons, row]`, whose header is padded so
that the data starts on a 16 KiB boundary and whose rows are padded to the read granularity. A row is one bundle,
`[up | down]` or `[gate | up | down]`, then zeros.
"""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.arrays.dtypes import DTYPES, stored_dtype
from engine.errors import FlawError, PreparedModelError
from engine.store.safetensors_writer import SafetensorsWriter

DATA_ALIGNMENT = 16384  # a page on Apple silicon; a multiple of every drive's block
GRANULARITIES = (16384, 4096, 512)  # what direct reads like, largest first
MAX_PADDING = 1 / 8  # of a row: beyond it the padding costs more than the aligned read gains
MAX_HEADER = 100_000_000  # safetensors' own limit
WRITTEN_AT_ONCE = 1024  # rows


def padded_row_bytes(bundle_bytes: int) -> int:
    """Bytes of a row that holds a bundle of `bundle_bytes`, padded to the largest granularity that wastes little."""
    for granularity in GRANULARITIES:
        padded = -(-bundle_bytes // granularity) * granularity
        if padded - bundle_bytes <= MAX_PADDING * bundle_bytes:
            return padded
    return bundle_bytes


@dataclass(frozen=True)
class BundleLayer:
    """Where one layer's bundles lie: `neurons` rows of `row_bytes`, from byte `offset` of the file."""

    offset: int
    neurons: int
    row_bytes: int

    def offsets(self, neurons: np.ndarray) -> np.ndarray:
        """Byte offsets (int64) of the bundles of `neurons` (any integer array)."""
        return self.offset + neurons.astype(np.int64) * self.row_bytes

    @property
    def bytes(self) -> int:
        return self.neurons * self.row_bytes


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
        return sum(layer.bytes for layer in self.layers)

    @classmethod
    def open(cls, path: Path) -> "BundleFile":
        """Read and check the header. Raises PreparedModelError for a file that is missing, truncated or malformed."""
        header, data_start = _read_header(path)
        try:
            metadata = header.pop("__metadata__")
            width, parts = int(metadata["width"]), tuple(metadata["bundle"].split("|"))
            names = [f"layers.{i}" for i in range(len(header))]
            entries = [header[name] for name in names]
            dtypes = {entry["dtype"] for entry in entries}
            dtype = dtypes.pop()
            item = stored_dtype(dtype).size
            layers = []
            for entry in entries:
                (neurons, elements), (start, stop) = entry["shape"], entry["data_offsets"]
                if dtypes or stop - start != neurons * elements * item or elements < width * len(parts) or start < 0:
                    raise FlawError("shapes and offsets disagree")
                layers.append(BundleLayer(data_start + start, neurons, elements * item))
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise PreparedModelError(
                "{path} is not a bundle file ({error}). Prepare the model again.", path=path, error=error
            ) from error
        end = max((layer.offset + layer.bytes for layer in layers), default=data_start)
        if path.stat().st_size != end:
            raise PreparedModelError(
                "{path} has {size} bytes where its header says {end}: it is truncated or was changed. Prepare or "
                "download the model again.",
                path=path,
                size=path.stat().st_size,
                end=end,
            )
        return cls(path, dtype, width, parts, tuple(layers))


def _read_header(path: Path) -> tuple[dict, int]:
    try:
        with path.open("rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            if size > min(MAX_HEADER, path.stat().st_size - 8):
                raise FlawError("its header is longer than the file")
            header = json.loads(file.read(size))
        if not isinstance(header, dict):
            raise FlawError("its header is no table")
    except FileNotFoundError as error:
        raise PreparedModelError("{path} is missing. Prepare or download the model again.", path=path) from error
    except (OSError, ValueError, struct.error) as error:
        raise PreparedModelError(
            "{path} cannot be read ({error}). Prepare or download the model again.", path=path, error=error
        ) from error
    return header, 8 + size


class BundleWriter:
    """Writes a bundle file one layer at a time; a context manager that leaves a whole file, or raises.

    dtype: by MLX's name. width: of each of the parts. neurons: by layer. done: layers that an earlier writer left
    whole. Raises OSError (a full disk) as it comes.
    """

    def __init__(self, path: Path, dtype: str, width: int, parts: tuple[str, ...], neurons: list[int], done: int = 0):
        item = DTYPES[dtype].size
        self._row = padded_row_bytes(len(parts) * width * item) // item
        self._expected = list(neurons[done:])
        shapes = {f"layers.{i}": (count, self._row) for i, count in enumerate(neurons)}
        metadata = {"bundle": "|".join(parts), "width": str(width)}
        self._file = SafetensorsWriter(path, dtype, shapes, metadata, DATA_ALIGNMENT, done)

    def write(self, bundles: np.ndarray, order: np.ndarray | None = None) -> None:
        """Append the next layer: `[neurons, parts * width]`, items of the dtype's size (bfloat16 as uint16).

        order: the neuron to put at each place. It is on the disk when this returns.
        """
        if len(bundles) != self._expected.pop(0):
            raise ValueError("this layer has another number of neurons than the header says")
        order = np.arange(len(bundles)) if order is None else order
        for start in range(0, len(order), WRITTEN_AT_ONCE):
            chosen = bundles[order[start : start + WRITTEN_AT_ONCE]]
            rows = np.zeros((len(chosen), self._row), bundles.dtype)
            rows[:, : bundles.shape[1]] = chosen
            self._file.write(rows)
        self._file.sync()

    def __enter__(self) -> "BundleWriter":
        return self

    def __exit__(self, *raised) -> None:
        self._file.__exit__(*raised)
