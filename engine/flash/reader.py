"""The flash reader: scattered ranges of a file into memory, many at once and past the system's cache.

The paper's section 3.1: flash reaches its throughput only with large chunks and many threads. A batch of ranges is
submitted at once, sorted, its neighbours joined into larger reads, and spread over a pool of native threads, or, where
Linux reads directly, over asynchronous reads, which take half of the processor time; Python and its lock are out of the
way until the batch is complete. The native library is `native/reader.c`; where it is missing,
`open_reader` gives the same interface in plain Python.
"""

import logging
from pathlib import Path
from typing import Protocol, Self

from engine.flash.batches import Bytes, Integers, Ranges, ReaderStatistics
from engine.system import native_library

logger = logging.getLogger(__name__)


class ReadFile(Protocol):
    """An open file. size: bytes when it was opened. direct: reads go past the system's cache. alignment: what offsets
    and lengths must be multiples of to be read without a copy; 1 for a file that is not read directly."""

    @property
    def path(self) -> Path: ...
    @property
    def size(self) -> int: ...
    @property
    def direct(self) -> bool: ...
    @property
    def alignment(self) -> int: ...

    def close(self) -> None:
        """Close the file, once the reads under way are complete. Does not wait for them."""


class Ticket(Protocol):
    """A batch under way; keeps the destination alive until no thread writes into it.

    Once complete: bytes (asked for), device_bytes (transferred, with gaps and padding), reads (calls to the system),
    seconds (from submission to completion), max_latency_s (of the slowest read).
    """

    bytes: int
    device_bytes: int
    reads: int
    seconds: float
    max_latency_s: float

    @property
    def done(self) -> bool:
        """True once the batch is complete, or was cut short by an error or by `cancel`. Does not block."""

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the ranges are in memory; other Python threads run meanwhile. May be called again.

        Raises ReadError if a read failed, CancelledError after `cancel`, TimeoutError after `timeout` seconds.
        """

    def settle(self, timeout: float | None = None) -> bool:
        """Wait until no thread writes into the destination, however the batch ended. False after `timeout` seconds."""

    def cancel(self) -> None:
        """Skip what no thread has begun. What has begun goes on: `settle` before the destination is used again."""


class Reader(Protocol):
    """A pool of reads (paper, section 3.1). A context manager; used from any thread. Its files are those it has opened.

    threads: reads that are outstanding at once. gap: bytes between two ranges that are cheaper to read through than to
    skip, for this drive; at most 128 KiB; 0 joins only what is adjacent, -1 nothing.
    """

    threads: int
    gap: int

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def open(self, path: str | Path, direct: bool = True) -> ReadFile:
        """Open a file; `direct` False reads it through the system's cache. Raises ReadError if it cannot be opened."""

    def register(self, array: Bytes) -> None:
        """Allow reads into `array`: uint8 [rows, row_stride], C-contiguous, writable. Kept alive until `unregister`.

        Rows on 16 KiB boundaries are read without a copy everywhere. Raises ValueError for any other array.
        """

    def unregister(self, array: Bytes) -> None:
        """Refuse further reads into `array`. Reads under way go on. Raises ValueError if it is not registered."""

    def submit(
        self, file: ReadFile, offsets: Integers, length: int, destination: Bytes, rows: Integers, gap: int | None = None
    ) -> Ticket:
        """Start reading `length` bytes at byte `offsets[i]` of `file` into row `rows[i]` of `destination`, for every i.

        offsets, rows: integers [n], in any order; offsets may repeat or overlap, rows must differ. destination: uint8
        [capacity, row_stride] inside registered memory, length <= row_stride; bytes after `length` stay as they are.
        gap: as for the reader, for this batch.

        Raises ValueError before anything is read if an argument is out of its range or reader or file are closed, and
        ReadError if the file ends before a row does. What goes wrong later, `Ticket.wait` raises.
        """
        return self.submit_ranges(file, Ranges.of_rows(offsets, length, destination, rows), destination, gap)

    def submit_ranges(self, file: ReadFile, ranges: Ranges, destination: Bytes, gap: int | None = None) -> Ticket:
        """Start reading ranges of `file`, each to its own place in `destination`: a bundle that lies in several places
        of a checkpoint lands in one slot.

        destination: uint8 [slots, slot_bytes] inside registered memory. Ranges that are aligned on flash and in memory
        are read straight into it; of the others whole blocks are read, and the bytes copied, by the reader's threads.
        Raises as `submit`.
        """

    def statistics(self) -> ReaderStatistics:
        """Counters since the reader was made; also after `close`."""

    def close(self) -> None:
        """Complete everything submitted and end the threads. May be called again. Tickets stay valid."""


def open_reader(threads: int = 32, gap: int = 0) -> Reader:
    """The native reader, or one in plain Python where the native library is missing."""
    if native_library.load_library() is not None:
        from engine.flash.native_reader import NativeReader

        return NativeReader(threads, gap)
    logger.warning("The native flash reader is missing or outdated: reading with Python threads, which is slower.")
    from engine.flash.python_reader import PythonReader

    return PythonReader(threads, gap)
