"""The ring: buffers that take turns, through which layers are streamed, read ahead of compute (prefill, dense)."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from time import perf_counter
from typing import NamedTuple

from engine.arrays.aligned import Slab, aligned_rows
from engine.flash.reader import Reader, Ticket
from engine.streaming.source import Source

BUFFERS = 4  # one is computed on while the others are read: with two, the drive would idle at the end of each read


class Order(NamedTuple):
    """Bundles that are wanted, ids in file order."""

    source: Source
    ids: Sequence[int]


@dataclass(frozen=True)
class Filled:
    """Bundles in the first rows of a buffer, in the order of `ids`."""

    ids: Sequence[int]
    slab: Slab
    waited_s: float
    bytes_read: int
    reads: int


@dataclass(frozen=True)
class _Ahead:
    """An order of one buffer that is being read, or has been."""

    order: Order
    slab: Slab
    tickets: list[Ticket]


class Ring:
    """Buffers of `buffer_bytes`, and of at least one row of `row_bytes`, the largest that is streamed.

    dtype: of the rows, safetensors' name.
    """

    def __init__(self, reader: Reader, row_bytes: int, dtype: str, buffer_bytes: int):
        self._reader, self._row_bytes, self._dtype = reader, row_bytes, dtype
        self._buffers: list[Slab] = []
        self._seen: dict[tuple[int, int], Slab] = {}  # by buffer and bytes of a row
        self._make(self._rows_in(buffer_bytes))
        self._ahead: deque[_Ahead] = deque()  # in the order in which they will be asked for
        self._next = 0  # the buffer whose turn it is

    def pieces(self, wanted: Order, then: Iterable[Order] = ()) -> Iterator[Filled]:
        """The bundles of an order, piece by piece. A piece is valid until the next is asked for: evaluate before.

        then: what will probably be asked for next, read ahead while buffers are free.
        """
        own = list(self._cut(wanted))
        upcoming: Iterator[Order] = chain(own, (cut for order in then for cut in self._cut(order)))
        known = list(islice(upcoming, len(self._ahead)))
        if [ahead.order for ahead in self._ahead] != known:
            self.drop()
            upcoming = chain(known, upcoming)
        for _ in own:
            self._fill(upcoming)
            head, began = self._ahead[0], perf_counter()
            for ticket in head.tickets:
                ticket.wait()
            waited = perf_counter() - began
            self._ahead.popleft()
            read, reads = sum(t.bytes for t in head.tickets), sum(t.reads for t in head.tickets)
            yield Filled(head.order.ids, head.slab, waited, read, reads)

    def rows_of(self, row_bytes: int) -> int:
        """The number of rows of that size that a piece has at most."""
        return self._buffers[0].view.size // row_bytes

    def drop(self) -> None:
        """Give up what is being read ahead."""
        tickets = [ticket for ahead in self._ahead for ticket in ahead.tickets]
        for ticket in tickets:
            ticket.cancel()
        for ticket in tickets:
            ticket.settle()
        self._ahead.clear()

    def resize(self, buffer_bytes: int) -> None:
        """Have buffers of another size, and give up what is being read."""
        if self._rows_in(buffer_bytes) != len(self._buffers[0].view):
            self.close()
            self._make(self._rows_in(buffer_bytes))

    def close(self) -> None:
        """Give up what is being read, and let the buffers go."""
        self.drop()
        for buffer in self._buffers:
            self._reader.unregister(buffer.view)
        self._buffers.clear()
        self._seen.clear()

    def _rows_in(self, buffer_bytes: int) -> int:
        return max(1, buffer_bytes // self._row_bytes)

    def _make(self, rows: int) -> None:
        self._buffers += (aligned_rows(rows, self._row_bytes, self._dtype) for _ in range(BUFFERS))
        for buffer in self._buffers:
            self._reader.register(buffer.view)

    def _cut(self, order: Order) -> Iterator[Order]:
        rows = self.rows_of(order.source.row_bytes)
        for start in range(0, len(order.ids), rows):
            yield Order(order.source, order.ids[start : start + rows])

    def _fill(self, upcoming: Iterator[Order]) -> None:
        """Read on into every buffer: who asks for a piece is done with the one before."""
        for order in islice(upcoming, BUFFERS - len(self._ahead)):
            slab = self._slab(self._next, order.source.row_bytes)
            self._ahead.append(_Ahead(order, slab, order.source.read_in_sequence(order.ids, slab.view)))
            self._next = (self._next + 1) % BUFFERS

    def _slab(self, buffer: int, row_bytes: int) -> Slab:
        """A buffer in rows of that size."""
        if (buffer, row_bytes) not in self._seen:
            self._seen[buffer, row_bytes] = self._buffers[buffer].seen_as(row_bytes)
        return self._seen[buffer, row_bytes]
