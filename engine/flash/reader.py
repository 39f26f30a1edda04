"""The flash reader: scattered rows of a file into memory, many at once and past the system's cache.

The paper's section 3.1: flash reaches its throughput only with large chunks and many threads. A batch of rows is
submitted at once, sorted, its neighbours joined into larger reads, and spread over a pool of native threads, or, where
Linux reads directly, over asynchronous reads, which take half of the processor time; Python and its lock are out of the
way until the batch is complete. The native library is `native/reader.c`; where it is missing,
`open_reader` gives the same interface in plain Python.
"""

import ctypes
import errno
import functools
import logging
import os
import resource
import sys
import sysconfig
import weakref
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np

import engine.flash
from engine.errors import CancelledError, ReadError
from engine.text import Text

logger = logging.getLogger(__name__)

VERSION = 3  # of the native interface
MAX_READ = 1 << 20  # bytes of one read: enough for any drive, small enough that all threads share a long run
MAX_GAP = 128 << 10
SCATTER_ALIGNMENT = 16384 if sys.platform == "darwin" else 1  # finer pieces macOS would read one by one
WAIT_SLICE_S = 0.2  # so that Ctrl-C is noticed during a long wait

# What the native library answers instead of an errno.
BAD_LENGTH, BAD_OFFSET, BAD_ROW, BAD_GAP, NOT_REGISTERED, CLOSED, TRUNCATED = range(-1, -8, -1)


@dataclass(frozen=True)
class ReaderStatistics:
    """What a reader has done since it was made.

    bytes: asked for and delivered. device_bytes: transferred for them, with the gaps read through and the rest of
    blocks. reads: calls to the system, several rows each where rows were neighbours. busy_seconds: wall time with at
    least one read outstanding. p50_s, p99_s: latency of one read, within 12 %. in_flight: reads outstanding now.
    """

    bytes: int
    device_bytes: int
    reads: int
    busy_seconds: float
    p50_s: float
    p99_s: float
    in_flight: int


def open_reader(threads: int = 32, gap: int = 0):
    """A `Reader`, or a `PythonReader` with the same interface where the native library is missing."""
    if load_library() is not None:
        return Reader(threads, gap)
    logger.warning("The native flash reader is missing or outdated: reading with Python threads, which is slower.")
    from engine.flash.python_reader import PythonReader  # built on this module

    return PythonReader(threads, gap)


def native_footprint() -> tuple[int, int]:
    """Memory of this process now and at its highest, in bytes: physical footprint on macOS, resident set on Linux.

    Without the native library both are the peak resident set: never too little.
    """
    library = load_library()
    current, peak = ctypes.c_int64(), ctypes.c_int64()
    if library is not None and library.fb_footprint(ctypes.byref(current), ctypes.byref(peak)) == 0:
        return current.value, peak.value
    unit = 1 if sys.platform == "darwin" else 1024
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return resident, resident


def memory_pressure() -> int:
    """How short of memory macOS is: 1 normal, 2 warning, 4 critical. Always 1 on Linux: see engine.memory.pressure."""
    library = load_library()
    return 1 if library is None else library.fb_memory_pressure()


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
        self._result: _Result | None = None
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
        result = _Result()
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
        self._library = library or load_library()
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
        s = _Statistics()
        self._library.fb_reader_statistics(self._handle, ctypes.byref(s))
        return ReaderStatistics(s.bytes, s.device_bytes, s.reads, s.busy_s, s.p50_s, s.p99_s, s.in_flight)

    def close(self) -> None:
        """Complete everything submitted and end the threads. May be called again. Tickets stay valid."""
        self._library.fb_reader_stop(self._handle)
        self._registered.clear()


# What both readers check and say.


def check_destination(array: np.ndarray) -> tuple[int, int]:
    """(capacity, row_stride) of an array that can be read into. Raises ValueError for any other."""
    if array.dtype != np.uint8 or array.ndim != 2 or not array.flags.c_contiguous or not array.flags.writeable:
        raise ValueError("the destination must be a writable, C-contiguous uint8 array [rows, row_stride]")
    return array.shape


def check_batch(offsets: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as contiguous int64 [n]. Raises ValueError if they are no integers or differ in length."""
    offsets, rows = np.asarray(offsets), np.asarray(rows)
    if offsets.ndim != 1 or offsets.shape != rows.shape:
        raise ValueError(f"offsets {offsets.shape} and rows {rows.shape} must be one-dimensional and equally long")
    if len(offsets) and not (offsets.dtype.kind in "iu" and rows.dtype.kind in "iu"):
        raise ValueError(f"offsets ({offsets.dtype}) and rows ({rows.dtype}) must be integers")
    return np.ascontiguousarray(offsets, np.int64), np.ascontiguousarray(rows, np.int64)


def refusal(code: int, file, offsets: np.ndarray, length: int, destination: np.ndarray, gap: int) -> Exception:
    """The error for a batch that was refused with `code`."""
    capacity, stride = destination.shape
    if code == TRUNCATED:
        return read_error(file.path, int(offsets.max()), code)
    messages = {
        BAD_LENGTH: f"a length of {length} is not between 1 and the destination's row of {stride} bytes",
        BAD_OFFSET: "an offset is negative",
        BAD_ROW: f"a row is outside of the destination's {capacity} rows",
        BAD_GAP: f"a gap of {gap} bytes is not between -1 and {MAX_GAP}",
        NOT_REGISTERED: "the destination is not registered with this reader",
        CLOSED: "the reader is closed",
    }
    return ValueError(messages[code]) if code in messages else MemoryError(os.strerror(code))


def open_error(path: Path, code: int) -> ReadError:
    """The ReadError for a file that could not be opened with errno `code`."""
    return _error(Text("{path} could not be opened: {reason}.", path=path, reason=os.strerror(code)), code)


def read_error(path: Path, offset: int, code: int) -> ReadError:
    """The ReadError for a read at byte `offset` that failed with errno `code`, or TRUNCATED."""
    if code == TRUNCATED:
        return ReadError(
            "{path} ends before the data at byte {offset}: it is shorter than its header says: prepare or download it "
            "again.",
            path=path,
            offset=offset,
        )
    told = Text(
        "{path} could not be read at byte {offset}: {reason}.", path=path, offset=offset, reason=os.strerror(code)
    )
    return _error(told, code)


def _advice(code: int) -> Text | None:
    if code in (errno.EIO, errno.ENODEV, errno.ENXIO):
        return Text("The drive did not answer: is it still connected?")
    if code in (errno.ENOENT, errno.ESTALE):
        return Text("It was moved, replaced or deleted: prepare or download it again.")
    return None


def _error(told: Text, code: int) -> ReadError:
    advice = _advice(code)
    error = ReadError(Text("{told} {advice}", told=told, advice=advice) if advice else told)
    error.__cause__ = OSError(code, os.strerror(code))
    return error


def find(arrays: list[np.ndarray], array: np.ndarray) -> int:
    """Where `arrays` has the memory of `array`."""
    for place, other in enumerate(arrays):
        if other.ctypes.data == array.ctypes.data and other.nbytes == array.nbytes:
            return place
    raise ValueError("the array is not registered with this reader")


# The native library.

READ_FUNCTION = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, use_errno=True
)


class _Statistics(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("bytes", "device_bytes", "reads", "in_flight")]
    _fields_ += [(name, ctypes.c_double) for name in ("busy_s", "p50_s", "p99_s")]


class _Result(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("bytes", "device_bytes", "reads", "error_offset")]
    _fields_ += [(name, ctypes.c_double) for name in ("seconds", "max_latency_s")]
    _fields_ += [(name, ctypes.c_int32) for name in ("error", "cancelled")]


def _release_ticket(library: ctypes.CDLL, handle: ctypes.c_void_p, _destination: np.ndarray) -> None:
    library.fb_ticket_release(handle)  # waits: only then may the destination be let go


def _release_reader(library: ctypes.CDLL, handle: ctypes.c_void_p, _read) -> None:
    library.fb_reader_release(handle)  # ends the threads: only then may the function that they read with be let go


@functools.cache
def load_library() -> ctypes.CDLL | None:
    """The native library beside this package, installed or editable; None if it is missing or of another version."""
    name = "_reader.dylib" if sys.platform == "darwin" else "_reader.so"
    site = [Path(sysconfig.get_path(kind), "engine", "flash") for kind in ("platlib", "purelib")]
    for folder in [*map(Path, engine.flash.__path__), *site]:
        if (folder / name).is_file():
            return open_library(folder / name)
    return None


def open_library(path: Path) -> ctypes.CDLL | None:
    """A native library, its functions declared; None if it cannot be loaded or is of another version."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        logger.warning("%s cannot be loaded: %s", path, error)
        return None
    if library.fb_version() != VERSION:
        return None
    pointer, number, integer = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
    signatures = {
        "fb_reader_new": (pointer, integer, number, number, READ_FUNCTION),
        "fb_reader_stop": (None, pointer),
        "fb_reader_release": (None, pointer),
        "fb_reader_statistics": (None, pointer, pointer),
        "fb_file_open": (integer, pointer, ctypes.c_char_p, integer, pointer),
        "fb_file_size": (number, pointer),
        "fb_file_alignment": (number, pointer),
        "fb_file_direct": (integer, pointer),
        "fb_file_close": (None, pointer),
        "fb_register": (integer, pointer, pointer, number),
        "fb_unregister": (None, pointer, pointer, number),
        "fb_submit": (integer, pointer, pointer, pointer, number, number, pointer, number, number, number, pointer),
        "fb_wait": (integer, pointer, ctypes.c_double, pointer),
        "fb_cancel": (None, pointer),
        "fb_ticket_release": (None, pointer),
        "fb_footprint": (integer, pointer, pointer),
        "fb_memory_pressure": (integer,),
    }
    for name, (result, *arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
