"""A reader as slow as can be: a read begins when somebody waits for it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from engine.flash.batches import Bytes, Ranges, ReaderStatistics
from engine.flash.reader import Reader, ReadFile, Ticket


class LazyTicket(Ticket):
    """A batch that is submitted once it is waited for."""

    def __init__(self, submit: Callable[[], Ticket]):
        self._submit, self._begun = submit, None

    def __getattr__(self, name: str):
        return getattr(self._begun, name)

    @property
    def done(self) -> bool:
        return self._begun is not None and self._begun.done

    def wait(self, timeout: float | None = None) -> None:
        self._begin().wait(timeout)

    def settle(self, timeout: float | None = None) -> bool:
        return self._begin().settle(timeout)

    def cancel(self) -> None:
        self._begin().cancel()

    def _begin(self) -> Ticket:
        self._begun = self._begun or self._submit()
        return self._begun


class LazyReader(Reader):
    """The reads of another reader, as late as may be. No two that have not begun may want the same place."""

    def __init__(self, reader: Reader):
        self.reader, self.threads, self.gap = reader, reader.threads, reader.gap
        self._waiting: list[tuple[LazyTicket, set[int]]] = []

    def open(self, path: str | Path, direct: bool = True) -> ReadFile:
        return self.reader.open(path, direct)

    def register(self, array: Bytes) -> None:
        self.reader.register(array)

    def unregister(self, array: Bytes) -> None:
        self.reader.unregister(array)

    def submit_ranges(self, file: ReadFile, ranges: Ranges, destination: Bytes, gap: int | None = None) -> LazyTicket:
        ticket = LazyTicket(partial(self.reader.submit_ranges, file, ranges, destination, gap))
        addresses = set((destination.ctypes.data + ranges.places).tolist())
        self._waiting = [each for each in self._waiting if not each[0].done]
        assert not any(addresses & taken for _, taken in self._waiting), "a row is read into twice at once"
        self._waiting.append((ticket, addresses))
        return ticket

    def statistics(self) -> ReaderStatistics:
        return self.reader.statistics()

    def close(self) -> None:
        self.reader.close()
