"""Batches of reads: what every reader checks before it reads, and the errors it answers with."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import ReadError
from engine.text import Text

MAX_GAP = 128 << 10

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
