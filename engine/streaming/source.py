"""The source of a layer's bundles: their places on flash, and the way they are asked for."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import ReadError
from engine.flash.batches import Ranges
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
        return self.place.bundles

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


@dataclass(frozen=True)
class CheckpointFile:
    """An open file that belongs to others, who may write to it. opened: what it was then."""

    file: ReadFile
    opened: os.stat_result

    @classmethod
    def open(cls, reader: Reader, path: Path) -> "CheckpointFile":
        """Raises ReadError."""
        return cls(reader.open(path), path.stat())

    @property
    def checked(self) -> ReadFile:
        """The file. Raises ReadError once it was written to. One that was replaced or removed can still be read."""
        with suppress(OSError):
            now = self.file.path.stat()
            if now.st_ino == self.opened.st_ino and (now.st_mtime_ns, now.st_size) != (
                self.opened.st_mtime_ns,
                self.opened.st_size,
            ):
                raise ReadError(
                    "{path} was changed while its model was in use: what is read now may belong to another. Load the "
                    "model again.",
                    path=self.file.path,
                )
        return self.file


@dataclass(frozen=True, eq=False)
class SlotSource:
    """Bundles that are ranges of a checkpoint's files, and land in slots. files: by path, opened by the reader. gap: as
    for the reader, for these; None for its own."""

    reader: Reader
    files: Mapping[Path, "CheckpointFile"]
    layout: Layout
    gap: int | None = None

    @property
    def bundles(self) -> int:
        return self.layout.bundles

    @property
    def row_bytes(self) -> int:
        return self.layout.slot_bytes

    @property
    def direct(self) -> bool:
        return all(each.file.direct for each in self.files.values())

    def read(self, ids: Ids, view: View, rows: Ids) -> list[Ticket]:
        return self._submit(self.layout.ranges(ids, rows), view)

    def read_in_sequence(self, ids: Sequence[int], view: View) -> list[Ticket]:
        if isinstance(ids, range):
            return self._submit(self.layout.run(ids), view)
        return self.read(as_array(ids), view, np.arange(len(ids), dtype=np.int64))

    def _submit(self, by_file: Mapping[Path, Ranges], view: View) -> list[Ticket]:
        files, submit = self.files, self.reader.submit_ranges
        return [submit(files[path].checked, ranges, view, self.gap) for path, ranges in by_file.items()]
