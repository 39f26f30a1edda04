"""The flash reader in plain Python: the fallback where the native library is missing, and the oracle of its tests.

One `os.preadv` a row, through the system's cache, in a pool of threads. Slower: every read waits for Python's lock.
Classes and methods are those of the Protocols in `engine.flash.reader`.
"""

import errno
import os
import stat
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Condition
from time import perf_counter
from typing import TypeAlias

import numpy as np

from engine.errors import CancelledError, ReadError
from engine.flash.batches import (
    BAD_GAP,
    BAD_LENGTH,
    BAD_OFFSET,
    BAD_PLACE,
    CLOSED,
    MAX_GAP,
    NOT_REGISTERED,
    TRUNCATED,
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

Preadv: TypeAlias = Callable[[int, Sequence[memoryview], int], int]


class _Descriptor:
    """Closed when nobody, neither file nor read, holds it any more."""

    def __init__(self, path: Path):
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self.number)


class PythonFile:
    """An open file, read through the system's cache."""

    direct, alignment = False, 1

    def __init__(self, reader: "PythonReader", path: Path):
        try:
            self.descriptor: _Descriptor | None = _Descriptor(path)
            status = os.fstat(self.descriptor.number)
        except OSError as error:
            raise open_error(path, error.errno or errno.EIO) from error
        if not stat.S_ISREG(status.st_mode):
            raise open_error(path, errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL)
        self.reader, self.path, self.size = reader, path, status.st_size

    def close(self) -> None:
        self.descriptor = None


class PythonTicket:
    """A batch of reads under way."""

    def __init__(self, condition: Condition, path: Path, asked: int, reads: int):
        self.bytes, self.device_bytes, self.reads = asked, 0, 0
        self.seconds = self.max_latency_s = 0.0
        self._condition, self._path, self._left = condition, path, reads
        self._error: ReadError | None = None
        self._cancelled = False
        self._submitted = perf_counter()

    @property
    def done(self) -> bool:
        return self._left == 0

    @property
    def skips(self) -> bool:
        return self._cancelled or self._error is not None

    def wait(self, timeout: float | None = None) -> None:
        if not self.settle(timeout):
            raise TimeoutError(f"{self._path} was not read within {timeout} s")
        if self._error is not None:
            raise self._error
        if self._cancelled:
            raise CancelledError("Reading {path} was cancelled.", path=self._path)

    def settle(self, timeout: float | None = None) -> bool:
        with self._condition:
            return self._condition.wait_for(lambda: self._left == 0, timeout)

    def cancel(self) -> None:
        with self._condition:
            self._cancelled |= self._left > 0

    def finish(self, seconds: float | None, got: int, error: ReadError | None) -> None:
        """One read is over; `seconds` None if it was skipped. Under the condition."""
        if seconds is not None:
            self.reads += 1
            self.max_latency_s = max(self.max_latency_s, seconds)
        self.device_bytes += got
        self._error = self._error or error
        self._left -= 1
        if self._left == 0:
            self.seconds = perf_counter() - self._submitted
            self._condition.notify_all()


class PythonReader(Reader):
    """As `Reader`, except that neighbouring rows are not joined: `gap` has no use, and reads are counted by row."""

    def __init__(self, threads: int = 32, gap: int = 0, *, read: Preadv = os.preadv):
        self.threads, self.gap, self._read = threads, gap, read
        self._pool = ThreadPoolExecutor(threads, "flash")
        self._condition = Condition()
        self._registered = RegisteredMemory()
        self._closed = False
        self._bytes = self._device_bytes = self._reads = self._in_flight = 0
        self._busy_s = self._busy_since = 0.0
        self._latencies: deque[float] = deque(maxlen=4096)

    def open(self, path: str | Path, direct: bool = True) -> PythonFile:  # noqa: ARG002 (never direct)
        return PythonFile(self, Path(path))

    def register(self, array: np.ndarray) -> None:
        check_destination(array)
        self._registered.add(array)

    def unregister(self, array: np.ndarray) -> None:
        self._registered.remove(array)

    def submit_ranges(self, file: ReadFile, ranges: Ranges, destination: Bytes, gap: int | None = None) -> PythonTicket:
        check_destination(destination)
        descriptor = file.descriptor if isinstance(file, PythonFile) and file.reader is self else None
        if descriptor is None:
            raise ValueError(f"{file.path} is closed, or was opened by another reader")
        gap = self.gap if gap is None else gap
        code = self._refuses(file, ranges, destination, gap)
        if code:
            raise refusal(code, file.path, ranges, destination, gap)
        count = len(ranges.offsets)
        ticket = PythonTicket(self._condition, file.path, int(ranges.lengths.sum()), count)
        with self._condition:
            if not self._in_flight:
                self._busy_since = perf_counter()
            self._in_flight += count
        memory = destination.data.cast("B")
        for offset, length, place in np.stack([ranges.offsets, ranges.lengths, ranges.places], 1).tolist():
            self._pool.submit(self._run, ticket, file.path, descriptor, offset, memory[place : place + length])
        return ticket

    def statistics(self) -> ReaderStatistics:
        with self._condition:
            p50, p99 = np.quantile(self._latencies, (0.5, 0.99)) if self._latencies else (0.0, 0.0)
            busy = self._busy_s + (perf_counter() - self._busy_since if self._in_flight else 0.0)
            return ReaderStatistics(
                self._bytes, self._device_bytes, self._reads, busy, float(p50), float(p99), self._in_flight
            )

    def close(self) -> None:
        self._closed = True
        self._pool.shutdown()
        self._registered.clear()

    def _refuses(self, file: ReadFile, ranges: Ranges, destination: Bytes, gap: int) -> int:
        """The code of the reason for which a batch is refused, or 0."""
        offsets, lengths, places = ranges.offsets, ranges.lengths, ranges.places
        if not -1 <= gap <= MAX_GAP:
            return BAD_GAP
        if ((lengths < 1) | (lengths > destination.nbytes)).any():
            return BAD_LENGTH
        if (offsets < 0).any():
            return BAD_OFFSET
        if ((places < 0) | (places > destination.nbytes - lengths)).any():
            return BAD_PLACE
        if (offsets > file.size - lengths).any():
            return TRUNCATED
        if self._closed:
            return CLOSED
        return 0 if self._registered.holds(destination) else NOT_REGISTERED

    def _run(self, ticket: PythonTicket, path: Path, descriptor: _Descriptor, offset: int, target: memoryview) -> None:
        began, got, error, seconds = perf_counter(), 0, None, None
        if not ticket.skips:
            got, error = self._fill(path, descriptor.number, offset, target)
            seconds = perf_counter() - began
        with self._condition:
            self._device_bytes += got
            if seconds is not None:
                self._latencies.append(seconds)
                self._reads += 1
                self._bytes += 0 if error else len(target)
            self._in_flight -= 1
            if not self._in_flight:
                self._busy_s += perf_counter() - self._busy_since
            ticket.finish(seconds, got, error)

    def _fill(self, path: Path, descriptor: int, offset: int, target: memoryview) -> tuple[int, ReadError | None]:
        """Bytes read into `target`, and what went wrong."""
        got = 0
        while got < len(target):
            try:
                count = self._read(descriptor, [target[got:]], offset + got)
            except InterruptedError:
                continue
            except OSError as error:
                return got, read_error(path, offset + got, error.errno or errno.EIO)
            if count == 0:
                return got, read_error(path, offset + got, TRUNCATED)
            got += count
        return got, None
