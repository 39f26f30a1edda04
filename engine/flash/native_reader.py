"""The native reader: `native/reader.c` through ctypes."""

import ctypes
import os
import sys
import weakref
from pathlib import Path
from time import monotonic
from typing import Any, TypeAlias

from engine.errors import CancelledError, ReadError
from engine.flash.batches import (
    Bytes,
    Ranges,
    ReaderStatistics,
    RegisteredMemory,
    check_destination,
    open_error,
    read_error,
    refusal,
)
from engine.flash.reader import Reader, ReadFile
from engine.system import native_library
from engine.system.native_library import READ_FUNCTION, Result, Statistics

ReadFunction: TypeAlias = Any  # one of `READ_FUNCTION`, which ctypes makes

MAX_READ = 1 << 20  # bytes of one read: enough for any drive, small enough that all threads share a long run
SCATTER_ALIGNMENT = 16384 if sys.platform == "darwin" else 1  # finer pieces macOS would read one by one
MAX_THREADS = 1024
WAIT_SLICE_S = 0.2  # so that Ctrl-C is noticed during a long wait


class NativeFile:
    """A `ReadFile` of the native reader; made by its `open`."""

    def __init__(self, reader: "NativeReader", path: Path, direct: bool):
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
        self._finalizer()


class NativeTicket:
    """A `Ticket` of the native reader; made by its `submit`."""

    def __init__(self, library: ctypes.CDLL, handle: ctypes.c_void_p, path: Path, destination: Bytes):
        self.bytes = self.device_bytes = self.reads = 0
        self.seconds = self.max_latency_s = 0.0
        self._library, self._handle, self._path = library, handle, path
        self._result: Result | None = None
        self._finalizer = weakref.finalize(self, _release_ticket, library, handle, destination)

    @property
    def done(self) -> bool:
        return self.settle(0)

    def wait(self, timeout: float | None = None) -> None:
        if not self.settle(timeout):
            raise TimeoutError(f"{self._path} was not read within {timeout} s")
        result = self._result
        assert result is not None  # as it has settled
        if result.error:
            raise read_error(self._path, result.error_offset, result.error)
        if result.cancelled:
            raise CancelledError("Reading {path} was cancelled.", path=self._path)

    def settle(self, timeout: float | None = None) -> bool:
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
        self._library.fb_cancel(self._handle)


class NativeReader(Reader):
    """A `Reader` over native threads (paper, section 3.1).

    threads: reads that are outstanding at once, each a thread's, at most 1,024; where Linux reads directly, one or two
    threads keep as many going as those would. max_read: bytes of the largest single read, a multiple of 16 KiB.

    For tests: `library`, `read` (a `READ_FUNCTION` in the place of preadv, one thread a read) and `scatter_alignment`.
    Raises ReadError if the native library is missing.
    """

    def __init__(
        self,
        threads: int = 32,
        gap: int = 0,
        max_read: int = MAX_READ,
        *,
        library: ctypes.CDLL | None = None,
        read: ReadFunction | None = None,
        scatter_alignment: int = SCATTER_ALIGNMENT,
    ):
        if not 1 <= threads <= MAX_THREADS or max_read < 16384 or max_read % 16384:
            raise ValueError(
                f"{threads} threads, {max_read} bytes a read: at least 1, at most {MAX_THREADS}, a multiple of 16384"
            )
        found = library or native_library.load_library()
        if found is None:
            raise ReadError("The native flash reader is missing. Install Flashbulb again.")
        self._library = found
        self.threads, self.gap = threads, gap
        self._registered = RegisteredMemory()
        read = read or READ_FUNCTION()
        self._handle = ctypes.c_void_p(self._library.fb_reader_new(threads, max_read, scatter_alignment, read))
        if not self._handle:
            raise MemoryError
        self._finalizer = weakref.finalize(self, _release_reader, self._library, self._handle, read)

    def open(self, path: str | Path, direct: bool = True) -> NativeFile:
        return NativeFile(self, Path(path), direct)

    def register(self, array: Bytes) -> None:
        check_destination(array)
        if self._library.fb_register(self._handle, array.ctypes.data, array.nbytes):
            raise MemoryError
        self._registered.add(array)

    def unregister(self, array: Bytes) -> None:
        self._registered.remove(array)
        self._library.fb_unregister(self._handle, array.ctypes.data, array.nbytes)

    def submit_ranges(self, file: ReadFile, ranges: Ranges, destination: Bytes, gap: int | None = None) -> NativeTicket:
        check_destination(destination)
        if not isinstance(file, NativeFile) or file._reader is not self or not file._finalizer.alive:
            raise ValueError(f"{file.path} is closed, or was opened by another reader")
        gap = self.gap if gap is None else gap
        handle = ctypes.c_void_p()
        code = self._library.fb_submit(
            file._handle, ranges.offsets.ctypes.data, ranges.lengths.ctypes.data, ranges.places.ctypes.data,
            len(ranges.offsets), destination.ctypes.data, destination.nbytes, gap, ctypes.byref(handle),
        )  # fmt: skip
        if code:
            raise refusal(code, file.path, ranges, destination, gap)
        return NativeTicket(self._library, handle, file.path, destination)

    def statistics(self) -> ReaderStatistics:
        s = Statistics()
        self._library.fb_reader_statistics(self._handle, ctypes.byref(s))
        return ReaderStatistics(s.bytes, s.device_bytes, s.reads, s.busy_s, s.p50_s, s.p99_s, s.in_flight)

    def close(self) -> None:
        self._library.fb_reader_stop(self._handle)
        self._registered.clear()


def _release_ticket(library: ctypes.CDLL, handle: ctypes.c_void_p, _destination: Bytes) -> None:
    library.fb_ticket_release(handle)  # waits: only then may the destination be let go


def _release_reader(library: ctypes.CDLL, handle: ctypes.c_void_p, _read: ReadFunction) -> None:
    library.fb_reader_release(handle)  # ends the threads: only then may the function that they read with be let go
