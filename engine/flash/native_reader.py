"""The native reader: `native/reader.c` through ctypes."""

import ctypes
import os
import sys
import weakref
from pathlib import Path
from time import monotonic

import numpy as np

from engine.errors import CancelledError, ReadError
from engine.flash.batches import ReaderStatistics, check_batch, check_destination, find, open_error, read_error, refusal
from engine.system import native_library
from engine.system.native_library import READ_FUNCTION, Result, Statistics

MAX_READ = 1 << 20  # bytes of one read: enough for any drive, small enough that all threads share a long run
SCATTER_ALIGNMENT = 16384 if sys.platform == "darwin" else 1  # finer pieces macOS would read one by one
WAIT_SLICE_S = 0.2  # so that Ctrl-C is noticed during a long wait


class ReadFile:
    """An open file. Made by `Reader.open`.

    path: Path. size: bytes when it was opened. direct: whether reads go past the system's cache. alignment: what
    offsets and lengths must be multiples of to be read without a copy; 1 for a file that is not read directly.
    """

    def __init__(self, reader: "Reader", path: Path, direct: bool):
        library, handle = reader._library, ctypes.c_void_p()
        code = library.fb_file_open(reader._handle, os.fsencode(path), direct, ctypes.byref(handle))
        if code:
            raise open_error(path, code)
        self.path = path
        self.size: int = library.fb_file_size(handle)
        self.direct = bool(library.fb_file_direct(handle))
        self.alignment: int = library.fb_file_alignment(handle)
        self._reader, self._handle = reader, handle
        self._finalizer = weakref.finalize(self, library.fb_file_close, handle)

    def close(self) -> None:
        """Close the file, once the reads under way are complete. Does not wait for them."""
        self._finalizer()


class Ticket:
    """A batch under way. Made by `Reader.submit`; keeps the destination alive until no thread writes into it.

    Once complete: bytes (asked for), device_bytes (transferred, with gaps and padding), reads (calls to the system),
    seconds (from submission to completion), max_latency_s (of the slowest read).
    """

    def __init__(self, library: ctypes.CDLL, handle: ctypes.c_void_p, path: Path, destination: np.ndarray):
        self.bytes = self.device_bytes = self.reads = 0
        self.seconds = self.max_latency_s = 0.0
        self._library, self._handle, self._path = library, handle, path
        self._result: Result | None = None
        self._finalizer = weakref.finalize(self, _release_ticket, library, handle, destination)

    @property
    def done(self) -> bool:
        """Whether the batch is complete, or was cut short by an error or by `cancel`. Does not block."""
        return self.settle(0)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the rows are in memory; other Python threads run meanwhile. May be called again.

        Raises ReadError if a read failed, CancelledError after `cancel`, TimeoutError after `timeout` seconds.
        """
        if not self.settle(timeout):
            raise TimeoutError(f"{self._path} was not read within {timeout} s")
        if self._result.error:
            raise read_error(self._path, self._result.error_offset, self._result.error)
        if self._result.cancelled:
            raise CancelledError("Reading {path} was cancelled.", path=self._path)

    def settle(self, timeout: float | None = None) -> bool:
        """Wait until no thread writes into the destination, however the batch ended. False after `timeout` seconds."""
        if self._result is not None:
            return True
        deadline = None if timeout is None else monotonic() + timeout
        result = Result()
        while True:
            left = WAIT_SLICE_S if deadline is None else max(0.0, min(WAIT_SLICE_S, deadline - monotonic()))
            if self._library.fb_wait(self._handle, left, ctypes.byref(result)):
                break
            if deadline is not None and monotonic() >= deadline:
                return False
        self.bytes, self.device_bytes, self.reads = result.bytes, result.device_bytes, result.reads
        self.seconds, self.max_latency_s = result.seconds, result.max_latency_s
        self._result = result
        return True

    def cancel(self) -> None:
        """Skip what no thread has begun. What has begun goes on: `settle` before the destination is used again."""
        self._library.fb_cancel(self._handle)


class Reader:
    """A pool of native reading threads (paper, section 3.1). A context manager; used from any thread.

    threads: how many reads are outstanding at once, each a thread's; where Linux reads directly, two threads keep as
    many going as those would. gap: bytes between two rows that are cheaper to read through than to skip, for this
    drive; at most 128 KiB; 0 joins only what is adjacent, -1 nothing. max_read: bytes of the largest single read, a
    multiple of 16 KiB.

    For tests: `library`, `read` (a `READ_FUNCTION` in the place of preadv, one thread a read) and `scatter_alignment`.
    Raises ReadError if the native library is missing or no thread can be started.
    """

    def __init__(
        self,
        threads: int = 32,
        gap: int = 0,
        max_read: int = MAX_READ,
        *,
        library: ctypes.CDLL | None = None,
        read=None,
        scatter_alignment: int = SCATTER_ALIGNMENT,
    ):
        if threads < 1 or max_read < 16384 or max_read % 16384:
            raise ValueError(f"{threads} threads, {max_read} bytes a read: at least 1, and a multiple of 16384")
        self._library = library or native_library.load_library()
        if self._library is None:
            raise ReadError("The native flash reader is missing. Install Flashbulb again.")
        self.threads, self.gap = threads, gap
        self._registered: list[np.ndarray] = []
        read = read or READ_FUNCTION()
        self._handle = ctypes.c_void_p(self._library.fb_reader_new(threads, max_read, scatter_alignment, read))
        if not self._handle:
            raise ReadError("No thread could be started to read with. Close other applications and try again.")
        self._finalizer = weakref.finalize(self, _release_reader, self._library, self._handle, read)

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def open(self, path: str | Path, direct: bool = True) -> ReadFile:
        """Open a file; `direct` False reads it through the system's cache. Raises ReadError if it cannot be opened."""
        return ReadFile(self, Path(path), direct)

    def register(self, array: np.ndarray) -> None:
        """Allow reads into `array`: uint8 [rows, row_stride], C-contiguous, writable. Kept alive until `unregister`.

        Rows on 16 KiB boundaries are read without a copy everywhere. Raises ValueError for any other array.
        """
        check_destination(array)
        if self._library.fb_register(self._handle, array.ctypes.data, array.nbytes):
            raise MemoryError
        self._registered.append(array)

    def unregister(self, array: np.ndarray) -> None:
        """Refuse further reads into `array`. Reads under way go on. Raises ValueError if it is not registered."""
        place = find(self._registered, array)
        self._library.fb_unregister(self._handle, array.ctypes.data, array.nbytes)
        del self._registered[place]

    def submit(
        self,
        file: ReadFile,
        offsets: np.ndarray,
        length: int,
        destination: np.ndarray,
        rows: np.ndarray,
        gap: int | None = None,
    ) -> Ticket:
        """Start reading `length` bytes at byte `offsets[i]` of `file` into row `rows[i]` of `destination`, for every i.

        offsets, rows: integers [n], in any order; offsets may repeat or overlap, rows must differ. destination: uint8
        [capacity, row_stride] inside registered memory, length <= row_stride; bytes after `length` stay as they are.
        gap: as for the reader, for this batch.

        Raises ValueError before anything is read if an argument is out of its range or reader or file are closed, and
        ReadError if the file ends before a row does. What goes wrong later, `Ticket.wait` raises.
        """
        offsets, rows = check_batch(offsets, rows)
        capacity, stride = check_destination(destination)
        if file._reader is not self or not file._finalizer.alive:
            raise ValueError(f"{file.path} is closed, or was opened by another reader")
        gap = self.gap if gap is None else gap
        handle = ctypes.c_void_p()
        code = self._library.fb_submit(
            file._handle, offsets.ctypes.data, rows.ctypes.data, len(offsets), length,
            destination.ctypes.data, capacity, stride, gap, ctypes.byref(handle),
        )  # fmt: skip
        if code:
            raise refusal(code, file, offsets, length, destination, gap)
        return Ticket(self._library, handle, file.path, destination)

    def statistics(self) -> ReaderStatistics:
        """Counters since the reader was made; also after `close`."""
        s = Statistics()
        self._library.fb_reader_statistics(self._handle, ctypes.byref(s))
        return ReaderStatistics(s.bytes, s.device_bytes, s.reads, s.busy_s, s.p50_s, s.p99_s, s.in_flight)

    def close(self) -> None:
        """Complete everything submitted and end the threads. May be called again. Tickets stay valid."""
        self._library.fb_reader_stop(self._handle)
        self._registered.clear()


def _release_ticket(library: ctypes.CDLL, handle: ctypes.c_void_p, _destination: np.ndarray) -> None:
    library.fb_ticket_release(handle)  # waits: only then may the destination be let go


def _release_reader(library: ctypes.CDLL, handle: ctypes.c_void_p, _read) -> None:
    library.fb_reader_release(handle)  # ends the threads: only then may the function that they read with be let go
