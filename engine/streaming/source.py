"""The source of a layer's bundles: where they lie on flash, and how they are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.flash.reader import Reader, ReadFile, Ticket
from engine.store.bundle_file import BundleLayer


def as_array(ids: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """The same ids as an int64 array."""
    return np.arange(ids.start, ids.stop) if isinstance(ids, range) else np.asarray(ids, np.int64)


@dataclass(frozen=True, eq=False)
class Source:
    """Bundles that are rows of one file. parts: reads that a bundle takes, one unless its parts are read one by one
    (paper, section 3.2)."""

    reader: Reader
    file: ReadFile
    place: BundleLayer
    parts: int = 1

    def __post_init__(self) -> None:
        if self.place.row_bytes % self.parts:
            raise ValueError(f"rows of {self.place.row_bytes} bytes cannot be read as {self.parts} parts")

    @property
    def bundles(self) -> int:
        return self.place.neurons

    @property
    def row_bytes(self) -> int:
        return self.place.row_bytes

    def read(self, ids: NDArray[np.int64], view: NDArray[np.uint8], rows: NDArray[np.int64]) -> list[Ticket]:
        """Start reading scattered bundles into rows of `view`, uint8 [rows, row_bytes]: a batch for each part."""
        offsets, piece = self.place.offsets(ids), self.row_bytes // self.parts
        # A row is seen as pieces of one part's size, so that each part has a row of its own to be read into.
        view = view.reshape(-1, piece) if self.parts > 1 else view
        return [
            self.reader.submit(self.file, offsets + part * piece, piece, view, rows * self.parts + part)
            for part in range(self.parts)
        ]

    def read_in_sequence(self, ids: Sequence[int], view: NDArray[np.uint8]) -> Ticket:
        """Start reading bundles in file order into the first rows of `view`, neighbours as one read."""
        offsets, rows = self.place.offsets(as_array(ids)), np.arange(len(ids), dtype=np.int64)
        return self.reader.submit(self.file, offsets, self.row_bytes, view, rows, gap=0)
