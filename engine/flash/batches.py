"""Batches of reads: what every reader checks before it reads, and the errors it answers with."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.errors import ReadError
from engine.text import Text

MAX_GAP = 128 << 10  # bytes

# What the native library answers instead of an errno.
BAD_LENGTH, BAD_OFFSET, BAD_PLACE, BAD_GAP, NOT_REGISTERED, CLOSED, TRUNCATED, NO_THREAD = range(-1, -9, -1)


Bytes: TypeAlias = NDArray[np.uint8]
Integers: TypeAlias = Sequence[int] | NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Ranges:
    """Ranges of a file and their places in a destination: byte offsets in the file, lengths in bytes, byte places in
    the destination, int64 [n] each, in any order. Ranges of the file may repeat or overlap, places must not."""

    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    places: NDArray[np.int64]

    @classmethod
    def of(cls, offsets: Integers, lengths: Integers, places: Integers) -> "Ranges":
        """The same as contiguous int64. Raises ValueError if they are no integers or differ in length."""
        return cls(*checked_integers(offsets=offsets, lengths=lengths, places=places))

    @classmethod
    def of_rows(cls, offsets: Integers, length: int, destination: Bytes, rows: Integers) -> "Ranges":
        """Ranges of one length that are rows of a destination. Raises ValueError for rows that it does not have."""
        places, rows = checked_integers(offsets=offsets, rows=rows)
        capacity, stride = check_destination(destination)
        if not 1 <= length <= stride:
            raise ValueError(f"a length of {length} is not between 1 and the destination's row of {stride} bytes")
        if len(rows) and not (rows.min() >= 0 and rows.max() < capacity):
            raise ValueError(f"a row is outside of the destination's {capacity} rows")
        return cls(places, np.full(len(rows), length, np.int64), rows * stride)


@dataclass(frozen=True)
class ReaderStatistics:
    """The work of a reader since it was made.

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


# What both readers check and say.


def check_destination(array: Bytes) -> tuple[int, int]:
    """(capacity, row_stride) of an array that can be read into. Raises ValueError for any other."""
    if array.dtype != np.uint8 or array.ndim != 2 or not array.flags.c_contiguous or not array.flags.writeable:
        raise ValueError("the destination must be a writable, C-contiguous uint8 array [rows, row_stride]")
    capacity, stride = array.shape
    return capacity, stride


def checked_integers(**named: Integers) -> list[NDArray[np.int64]]:
    """All as contiguous int64 [n]. Raises ValueError if they are no integers or differ in length."""
    arrays = {name: np.asarray(values) for name, values in named.items()}
    if len({array.shape for array in arrays.values()}) > 1 or any(array.ndim != 1 for array in arrays.values()):
        shapes = " and ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"{shapes} must be one-dimensional and equally long")
    for name, array in arrays.items():
        if len(array) and array.dtype.kind not in "iu":
            raise ValueError(f"{name} ({array.dtype}) must be integers")
    return [np.ascontiguousarray(array, np.int64) for array in arrays.values()]


def refusal(code: int, path: Path, ranges: Ranges, destination: Bytes, gap: int) -> Exception:
    """The error for a batch that was refused with `code`."""
    if code == TRUNCATED:
        return read_error(path, int(ranges.offsets.max()), code)
    messages = {
        BAD_LENGTH: f"a length is not between 1 and the destination's {destination.nbytes} bytes",
        BAD_OFFSET: "an offset is negative",
        BAD_PLACE: f"a place is outside of the destination's {destination.nbytes} bytes",
        BAD_GAP: f"a gap of {gap} bytes is not between -1 and {MAX_GAP}",
        NOT_REGISTERED: "the destination is not registered with this reader",
        CLOSED: "the reader is closed",
    }
    return ValueError(messages[code]) if code in messages else MemoryError(os.strerror(code))


def open_error(path: Path, code: int) -> ReadError:
    """The ReadError for a file that could not be opened with errno `code`, or NO_THREAD."""
    if code == NO_THREAD:
        return ReadError(
            "No thread could be started to read {path} with. Close other applications and try again.", path=path
        )
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


class RegisteredMemory:
    """Arrays that a reader may write into, kept alive. Used from any thread."""

    def __init__(self) -> None:
        self._lock, self._arrays = Lock(), list[Bytes]()

    def add(self, array: Bytes) -> None:
        """Keep an array that may be written into."""
        with self._lock:
            self._arrays.append(array)

    def remove(self, array: Bytes) -> None:
        """Let go of the memory of `array`. Raises ValueError if it is not registered."""
        with self._lock:
            for place, other in enumerate(self._arrays):
                if other.ctypes.data == array.ctypes.data and other.nbytes == array.nbytes:
                    del self._arrays[place]
                    return
        raise ValueError("the array is not registered with this reader")

    def holds(self, array: Bytes) -> bool:
        """True if all of `array` lies in registered memory."""
        start, stop = array.ctypes.data, array.ctypes.data + array.nbytes
        with self._lock:
            return any(a.ctypes.data <= start and stop <= a.ctypes.data + a.nbytes for a in self._arrays)

    def clear(self) -> None:
        """Let go of all of them."""
        with self._lock:
            self._arrays.clear()
