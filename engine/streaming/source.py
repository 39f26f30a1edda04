"""The source of a layer's bundles: their places on flash, and the way they are asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.flash.reader import Reader, ReadFile, Ticket
from engine.store.bundle_file import BundleLayer
from engine.store.layout import Layout

Ids = NDArray[np.int64]
View = NDArray[np.uint8]


class Source(Protocol):
    """Bundles of one layer, each of which fills a row of `row_bytes` in memory."""

    @property
    def reader(self) -> Reader: ...
    @property
    def bundles(self) -> int: ...
    @property
    def row_bytes(self) -> int: ...
    @property
    def direct(self) -> bool:
        """True where reads bypass the operating system's cache."""

    def read(self, ids: Ids, view: View, rows: Ids) -> list[Ticket]:
        """Start reading scattered bundles into rows of `view`, uint8 [rows, row_bytes]."""

    def read_in_sequence(self, ids: Sequence[int], view: View) -> list[Ticket]:
        """Start reading bundles, in file order, into the first rows of `view`: neighbours as one read."""


def as_array(ids: Sequence[int] | Ids) -> Ids:
    """The same ids as an int64 array."""
    return np.arange(ids.start, ids.stop) if isinstance(ids, range) else np.asarray(ids, np.int64)


@dataclass(frozen=True, eq=False)
class RowSource:
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

    @property
    def direct(self) -> bool:
        return self.file.direct

    def read(self, ids: Ids, view: View, rows: Ids) -> list[Ticket]:
        offsets, piece = self.place.offsets(ids), self.row_bytes // self.parts
        # A row is seen as pieces of one part's size, so that each part has a row of its own to be read into.
        view = view.reshape(-1, piece) if self.parts > 1 else view
        return [
            self.reader.submit(self.file, offsets + part * piece, piece, view, rows * self.parts + part)
            for part in range(self.parts)
        ]

    def read_in_sequence(self, ids: Sequence[int], view: View) -> list[Ticket]:
        offsets, rows = self.place.offsets(as_array(ids)), np.arange(len(ids), dtype=np.int64)
        return [self.reader.submit(self.file, offsets, self.row_bytes, view, rows, gap=0)]


@dataclass(frozen=True, eq=False)
class SlotSource:
    """Bundles that are ranges of a checkpoint's files, and land in slots. files: by path, opened by the reader."""

    reader: Reader
    files: Mapping[Path, ReadFile]
    layout: Layout

    @property
    def bundles(self) -> int:
        return self.layout.bundles

    @property
    def row_bytes(self) -> int:
        return self.layout.slot_bytes

    @property
    def direct(self) -> bool:
        return all(file.direct for file in self.files.values())

    def read(self, ids: Ids, view: View, rows: Ids) -> list[Ticket]:
        by_file = self.layout.ranges(ids, rows)
        return [self.reader.submit_ranges(self.files[path], ranges, view) for path, ranges in by_file.items()]

    def read_in_sequence(self, ids: Sequence[int], view: View) -> list[Ticket]:
        return self.read(as_array(ids), view, np.arange(len(ids), dtype=np.int64))
