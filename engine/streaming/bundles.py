"""One layer's bundles: which of them are in memory, and bringing those that are not (paper, section 3)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.arrays.aligned import Slab, aligned_rows
from engine.arrays.packed import available
from engine.flash.reader import Ticket
from engine.memory.pool import NO_ROWS, Admission, BundlePool, Integers
from engine.streaming.lookahead import LookAhead
from engine.streaming.overlap import Overlap
from engine.streaming.passes import Pass, Passes
from engine.streaming.ring import Order, Ring
from engine.streaming.source import Source, as_array

NOTHING = Admission(NO_ROWS, NO_ROWS)
COPIED_BYTES = 2 << 20  # of bundles that do not follow each other, at once
MAX_READERS = 8  # outputs remembered: those before the last few tokens' have long been evaluated


@dataclass(frozen=True)
class Part:
    """Bundles in memory: row `rows[i]` of `slab` holds bundle `ids[i]`, int64 [n].

    arriving: of all the slab's rows, those that are still being read: they must add nothing. more: the rest of the
    same active set follows, and until that is multiplied the rows hold what they do.
    """

    ids: Integers
    slab: Slab
    rows: slice | Integers
    arriving: Integers
    more: bool = False

    @property
    def row_numbers(self) -> Integers:
        """The row of each bundle, int64 [n]."""
        return np.arange(*self.rows.indices(len(self.slab.view))) if isinstance(self.rows, slice) else self.rows

    def find(self, wanted: Integers) -> tuple[Integers, Integers]:
        """The places in `wanted`, any ids in any order, of those that are here, and the row of each; where ids rise."""
        if not len(self.ids):
            return NO_ROWS, NO_ROWS
        nearest = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        places = np.flatnonzero(self.ids[nearest] == wanted)
        return places, self.row_numbers[nearest[places]]

    def some(self, wanted: NDArray[np.bool_]) -> "Part":
        """Those of the bundles, bool [n], that are wanted; all are here."""
        return Part(self.ids[wanted], self.slab, self.row_numbers[wanted], NO_ROWS, self.more)

    def in_sequence(self) -> "Iterator[Part]":
        """The same as parts whose bundles follow each other in their slab: this one, or copies of some bundles at a
        time, so that few are ever there twice."""
        if isinstance(self.rows, slice):
            yield self
            return
        step = max(1, COPIED_BYTES // self.slab.view.shape[1])
        for start in range(0, len(self.ids), step):
            here = slice(start, start + step)
            matrix = mx.contiguous(self.slab.matrix[mx.array(self.rows[here])])
            mx.eval(matrix)
            view = np.asarray(memoryview(matrix).cast("B")).reshape(len(matrix), -1)  # type: ignore[arg-type] # MLX's arrays are buffers
            yield Part(self.ids[here], Slab(matrix, view), slice(0, len(matrix)), NO_ROWS, self.more)

    @property
    def matrix(self) -> mx.array:
        """The bundles, [n, row]."""
        return self.slab.matrix[self.rows if isinstance(self.rows, slice) else mx.array(self.rows)]

    @property
    def view(self) -> NDArray[np.uint8]:
        """The bytes of the bundles, [n, row_bytes]."""
        return self.slab.view[self.rows]


@dataclass(frozen=True)
class _Loading:
    """Bundles on their way into the pool."""

    admission: Admission
    tickets: list[Ticket]

    def beside(self, other: "_Loading") -> "_Loading":
        """Both, which are waited for together."""
        if not other.tickets:
            return self
        bundles, rows = (np.concatenate(pair) for pair in zip(other.admission, self.admission, strict=True))
        return _Loading(Admission(bundles, rows), [*other.tickets, *self.tickets])


@dataclass(frozen=True)
class _Begun:
    """An active set that is known before it is needed. loading: None where it does not fit the pool."""

    current: Pass
    active: Integers
    loading: _Loading | None


@dataclass(frozen=True)
class _Noted:
    """The bundles that each token of a pass needs. active: bool [tokens, bundles]. ids: those that any needs.
    last_active: the token at which each of these was last active, before."""

    active: NDArray[np.bool_]
    ids: Integers
    last_active: NDArray[np.int32]


class LayerBundles:
    """The way in for a layer's weights: a module says which bundles it needs, and multiplies the parts that it gets.

    Parts come one after the other, and the answer is the sum over them. Each output is reported to `read_by`: it is
    evaluated before the rows that it reads hold anything else, so a part may be multiplied as late as MLX likes.

    pinned: the first bundles stay in the pool, as many as it holds; nothing is brought, all are streamed.
    look_ahead: learns from what was expected. after: the layer that is computed next, if it is streamed. filled: every
    bundle is in the pool for good, in the row of its own number. only_prompts: it is streamed for prompts alone, and no
    token's reads run ahead to it. whole: the model has all of it by itself, and nobody asks for bundles.
    """

    def __init__(
        self,
        layer: int,
        source: Source,
        pool: BundlePool,
        passes: Passes,
        overlap: Overlap,
        ring: Ring,
        pinned: bool = False,
        look_ahead: LookAhead | None = None,
    ):
        self.layer, self.source, self.pool, self.passes, self.overlap = layer, source, pool, passes, overlap
        self.pinned, self.look_ahead = pinned, look_ahead
        self.after: LayerBundles | None = None
        self.only_prompts = False
        self.ring = ring
        self._expected: _Loading | None = None  # what was read ahead, until it is known what is needed
        self._begun: _Begun | None = None
        self._reading: _Loading | None = None  # what somebody stopped waiting for
        self._readers: list[mx.array] = []
        self._noted: _Noted | None = None
        self.filled = self.whole = False
        source.reader.register(pool.view)

    def bring(self, ids: Integers) -> Iterator[Part]:
        """The bundles `ids` (sorted), in parts: where that is faster, those that are here while the others are read,
        then the others; where they do not fit, as many at once as the pool has rows: slow, but the same sum.

        Raises ReadError; the pool is then as it was before.
        """
        begun = self._begin(ids)
        self._begun = None
        if begun.loading is None:
            yield from self._in_rounds(ids)
        else:
            yield from self._around_reads(ids, begun.loading)
        self._count_resident()

    def begin(self, ids: Integers) -> bool:
        """Start reading what is missing of the bundles that `bring` will be asked for in this pass. Returns whether
        something is being read."""
        loading = self._begin(ids).loading
        return loading is not None and bool(loading.tickets)

    @property
    def begun(self) -> Integers | None:
        """The ids that this pass has begun with."""
        if self._begun is None or self._begun.current is not self.passes.current:
            return None
        return self._begun.active

    def expect(self, likely: Integers) -> None:
        """Start reading what will probably be needed (sorted ids), into rows that nothing needs yet."""
        self.settle()
        began = perf_counter()
        self._expected = self._start(self.pool.expect(likely, self.passes.window), began)

    def note(self, active: NDArray[np.bool_]) -> Integers:
        """Remember which bundles each token of a pass needs, bool [tokens, bundles], before they are brought, until
        `accept` says how many tokens count. Returns those that any needs, sorted ids."""
        ids = np.flatnonzero(active.any(axis=0))
        self._noted = _Noted(active, ids, self.pool.last_k_active[ids])
        return ids

    def accept(self, tokens: int) -> None:
        """So many tokens of the last pass count, none if it is 0 or less, and to the last of them the window has moved
        on: what others needed is as old as it was before."""
        noted, self._noted = self._noted, None
        if noted is None:
            return
        if tokens <= 0:
            self.pool.redate(noted.ids, noted.last_active.astype(np.int64))
            return
        active = noted.active[:tokens, noted.ids][::-1]
        age = np.argmax(active, axis=0)  # tokens since each was last needed
        needed = self.passes.window.token - age
        self.pool.redate(noted.ids, np.where(active.any(axis=0), needed, noted.last_active))

    def stream(self) -> Iterator[Part]:
        """All of the layer's bundles in file order: what stays in memory from there, the others through the ring."""
        self.settle()
        self.passes.current.all_active[self.layer] = self.source.bundles
        yield from self._pinned_parts()
        yield from self._through_ring(self._remaining(), self._following())

    def stream_some(self, ids: Integers) -> Iterator[Part]:
        """The bundles `ids` (sorted), of which a pass needs more than the pool is for: those that are in it, piece by
        piece, then the others in file order through the ring."""
        self.settle()
        self.passes.current.all_active[self.layer] = len(ids)
        missing = self.pool.absent[ids]
        yield from self._pooled_pieces(ids[~missing])
        yield from self._through_ring(Order(self.source, tuple(ids[missing].tolist())), ())

    def fetch(self, ids: Integers, last_active: Integers) -> Iterator[Part]:
        """The bundles `ids` (sorted), more than the pool has rows for: those that are in it, then the others, which are
        read at once into memory of their own. The pool keeps the most recent. last_active: the token at which each was
        needed last."""
        self.settle()
        pool, missing = self.pool, self.pool.absent[ids]
        if not missing.all():
            yield Part(ids[~missing], pool.slab, pool.rows_of(ids[~missing]), NO_ROWS)
            pool.seed(ids[~missing], last_active[~missing], self.passes.window)
        if missing.any():
            part = self._read_apart(ids[missing])
            yield part
            self.keep(part, part.ids, last_active[missing])

    def _read_apart(self, ids: Integers) -> Part:
        """Bundles in memory of their own."""
        slab, reader = aligned_rows(len(ids), self.source.row_bytes, self.pool.dtype), self.source.reader
        reader.register(slab.view)
        try:
            self._wait(self.source.read(ids, slab.view, np.arange(len(ids))))
        finally:
            reader.unregister(slab.view)
        return Part(ids, slab, slice(0, len(ids)), NO_ROWS)

    def _pinned_parts(self) -> Iterator[Part]:
        """The pinned bundles: for one token all at once, for a prompt piece by piece, which bounds what is computed."""
        prompt = self.passes.current.is_prompt
        step = self.ring.rows_of(self.source.row_bytes) if prompt else max(1, self._first)
        for start in range(0, self._first, step):
            rows = slice(start, min(self._first, start + step))
            yield Part(self.pool.pointer[rows], self.pool.slab, rows, NO_ROWS)
            self._evaluate_readers()

    def _pooled_pieces(self, ids: Integers) -> Iterator[Part]:
        """Bundles of the pool, as many rows at once as a piece of the ring has."""
        rows, size = self.pool.rows_of(ids), self.ring.rows_of(self.source.row_bytes)
        for first in range(0, self.pool.num_used, size):
            here = (first <= rows) & (rows < first + size)
            if here.any():
                slab = self.pool.slab.some(slice(first, first + size))
                yield Part(ids[here], slab, rows[here] - first, NO_ROWS)

    def _through_ring(self, wanted: Order, then: Iterable[Order]) -> Iterator[Part]:
        current = self.passes.current
        for piece in self.ring.pieces(wanted, then):
            current.read(piece.waited_s, piece.bytes_read, piece.reads)
            current.all_loaded[self.layer] += len(piece.ids)
            part = Part(as_array(piece.ids), piece.slab, slice(0, len(piece.ids)), NO_ROWS)
            yield part
            self._evaluate_readers()  # the buffer is filled again once the next piece is asked for
            if self.pinned:
                self._pin(part)
        self._count_resident()

    def keep(self, part: Part, ids: Integers, last_active: Integers) -> None:
        """Copy bundles of a part that is streamed into the pool. last_active: the token at which each was needed."""
        began = perf_counter()
        self._evaluate_readers()
        admission = self.pool.seed(ids, last_active, self.passes.window)
        places = np.searchsorted(part.ids, admission.bundles)
        self.pool.view[admission.rows] = part.view[places]
        self.passes.current.memory_s += perf_counter() - began

    def begin_fill(self) -> None:
        """Start reading every bundle into a pool that has a row for each, and of which nothing is in use."""
        ids, began = np.arange(self.source.bundles), perf_counter()
        admission = self.pool.seed(ids, np.full(len(ids), self.passes.window.oldest - 1), self.passes.window)
        self._reading = self._start(admission, began)

    def begin_warm(self, ids: Integers) -> None:
        """Start reading bundles that are likely to be needed (sorted ids, as many as there is room for) into a pool
        that holds none."""
        ids = ids[(ids >= 0) & (ids < self.source.bundles)][: self.pool.capacity]
        if self.pool.num_used or self.pinned or not len(ids):
            return
        began = perf_counter()
        admission = self.pool.seed(ids, np.full(len(ids), self.passes.window.token), self.passes.window)
        self._reading = self._start(admission, began)

    def end_fill(self) -> None:
        """Wait until every bundle is in its row. Raises ReadError."""
        self.settle()
        self.filled = True

    def clear(self) -> None:
        """Empty the pool, for a prompt that fills it anew."""
        self.settle()
        self.pool.clear()

    def resize(self, capacity: int, movable_bytes: int) -> None:
        """Have another number of rows in memory; of the bundles there, those stay that `BundlePool.resize` keeps."""
        if capacity == self.pool.capacity:
            return
        self.settle()
        self._evaluate_readers()
        self.filled = False
        self.source.reader.unregister(self.pool.view)
        self.pool.resize(capacity, movable_bytes)
        self.source.reader.register(self.pool.view)

    def forget(self) -> None:
        """Empty the pool, and know no more how often bundles were used. What is in it for good stays: it is the same
        whatever came before."""
        self.settle()
        if not self.filled:
            self.pool.forget()

    def read_by(self, output: mx.array) -> None:
        """Remember an output that is computed from this layer's rows, evaluated or not."""
        self._readers.append(output)
        if len(self._readers) > MAX_READERS:
            mx.eval(self._readers[:-1])
            del self._readers[:-1]

    def forget_readers(self) -> None:
        """Let go of the outputs that were remembered: those of a prompt's block are as large as all its tokens."""
        self._evaluate_readers()

    @property
    def reads_ahead(self) -> bool:
        """True while something is expected or begun that has to be read."""
        loadings = (self._expected, self._begun.loading if self._begun else None)
        return any(loading is not None and loading.tickets for loading in loadings)

    def settle(self) -> None:
        """Wait for reads that nobody has waited for yet: only then may rows be used for anything else."""
        begun, self._begun = self._begun, None
        reading, self._reading = self._reading, None
        self._take_expected()
        for loading in (reading, begun.loading if begun else None):
            if loading is not None:
                self._finish(loading)

    def _begin(self, ids: Integers) -> _Begun:
        if self.begun is None:
            if self._begun is not None or self._reading is not None:  # of a pass that failed
                self.settle()
            current, fits = self.passes.current, len(ids) <= self.pool.capacity
            current.all_active[self.layer] = len(ids)
            ahead = self._reading = self._known_of_expected(ids, fits)
            loading = self._load(ids).beside(ahead) if fits else None
            self._reading, self._begun = None, _Begun(current, ids, loading)
        assert self._begun is not None
        return self._begun

    def _around_reads(self, ids: Integers, loading: _Loading) -> Iterator[Part]:
        """The part that is in memory already, while the rest is read; then the rest. Or all of it at once."""
        beside = self.overlap.beside and bool(loading.tickets)
        arriving = self._among(loading.admission.bundles, ids) if beside else np.ones(len(ids), np.bool_)
        missing, here = ids[arriving], len(ids) if self._gathered else self.pool.num_used
        beside = beside and len(missing) < here
        if beside:
            self._reading = loading
            present = ids[~arriving] if self._gathered else ids
            yield replace(self._pooled(present, loading.admission.rows), more=True)
            self._evaluate_readers()  # while flash works
            self._reading = None
        self._finish(loading)
        if beside:
            yield Part(missing, self.pool.slab, self.pool.rows_of(missing), NO_ROWS)
        elif self.pool.num_used:
            yield self._pooled(ids)

    def _among(self, some: Integers, ids: Integers) -> NDArray[np.bool_]:
        """True for each of the ids that is one of some: what numpy has for that takes 8 MB once."""
        mask = np.zeros(self.pool.bundles, np.bool_)
        mask[some] = True
        found: NDArray[np.bool_] = mask[ids]
        return found

    def _in_rounds(self, ids: Integers) -> Iterator[Part]:
        self.passes.current.all_loaded[self.layer] = 0  # all are read, those as well that were guessed
        for start in range(0, len(ids), self.pool.capacity):
            self._evaluate_readers()
            self.pool.clear()
            self._finish(self._load(ids[start : start + self.pool.capacity]))
            yield self._pooled(ids[start : start + self.pool.capacity])

    def _pooled(self, ids: Integers = NO_ROWS, arriving: Integers = NO_ROWS) -> Part:
        """Bundles in the pool: `ids`, or all of them where one slice is multiplied soonest."""
        pool = self.pool
        if self.filled:  # nothing but what is needed is multiplied
            return Part(ids, pool.slab, ids, NO_ROWS)
        if self._gathered:
            return Part(ids, pool.slab, pool.rows_of(ids), NO_ROWS)
        return Part(pool.pointer[: pool.num_used], pool.slab, slice(0, pool.num_used), arriving)

    @property
    def _gathered(self) -> bool:
        """True where a product takes rows of the pool wherever they are."""
        return available() or not self.pool.dense

    def _load(self, ids: Integers) -> _Loading:
        """Make room for an active set and start reading what is missing."""
        if self.filled:
            return _Loading(NOTHING, [])
        pool, window, began = self.pool, self.passes.window, perf_counter()
        admission = pool.make_room(ids, window)
        self.passes.current.all_loaded[self.layer] += len(admission.bundles)
        return self._start(admission, began, ids)

    def _start(self, admission: Admission, began: float, active: Integers | None = None) -> _Loading:
        """Read into the rows that were made room for since `began`. If that cannot begin, the pool is as before.

        active: is taken in by the pool while flash works, when that takes no time of its own.
        """
        current, submitted = self.passes.current, perf_counter()
        current.memory_s += submitted - began
        try:
            tickets = self._submit(admission) if len(admission.bundles) else []
        except BaseException:
            self._take_in(admission, active)
            self.pool.discard(admission)
            raise
        self._take_in(admission, active)
        if tickets:
            current.io_s += perf_counter() - submitted
        else:
            current.memory_s += perf_counter() - submitted
        return _Loading(admission, tickets)

    def _submit(self, admission: Admission) -> list[Ticket]:
        self._evaluate_readers()
        return self.source.read(admission.bundles, self.pool.view, admission.rows)

    def _take_in(self, admission: Admission, active: Integers | None) -> None:
        if active is not None:
            self.pool.settle(admission, active, self.passes.window)

    def _finish(self, loading: _Loading) -> None:
        """Wait until the bundles are in their rows. If that fails, the pool is as it was before."""
        try:
            self._wait(loading.tickets)
        except BaseException:
            self.pool.discard(loading.admission)
            raise

    def _wait(self, tickets: list[Ticket]) -> None:
        """Wait for reads. If one fails, nothing writes to their memory any more."""
        began = perf_counter()
        try:
            for ticket in tickets:
                ticket.wait()
        except BaseException:
            for ticket in tickets:
                ticket.cancel()
            for ticket in tickets:
                ticket.settle()
            raise
        self.passes.current.read(perf_counter() - began, sum(t.bytes for t in tickets), sum(t.reads for t in tickets))

    def _known_of_expected(self, active: Integers, fits: bool) -> _Loading:
        """Learn from what was read ahead, now that the active set is known. Returns what may still be on its way: all,
        unless room for what is missing could be made of its rows."""
        expected, self._expected = self._expected, None
        if expected is None:
            return _Loading(NOTHING, [])
        late = not all(ticket.done for ticket in expected.tickets)
        if self.look_ahead is not None:
            right = self.look_ahead.learn(expected.admission.bundles, active, late)
            self.passes.current.all_loaded[self.layer] += right
        if late and fits and self.pool.spares_expected(active):
            return expected
        self._finish(expected)
        return _Loading(NOTHING, [])

    def _take_expected(self) -> None:
        """Wait for what was read ahead and nobody asked for."""
        expected, self._expected = self._expected, None
        if expected is not None:
            self._finish(expected)

    def _evaluate_readers(self) -> None:
        if self._readers:
            mx.eval(self._readers)
            self._readers.clear()

    def _count_resident(self) -> None:
        self.passes.current.all_resident[self.layer] = self.pool.num_held

    @property
    def _first(self) -> int:
        """The bundle that streaming begins with: those before it stay in memory."""
        if self.whole:
            return self.source.bundles
        return self.pool.num_used if self.pinned or self.filled else 0

    def _remaining(self) -> Order:
        ids: Sequence[int] = range(self._first, self.source.bundles)
        return Order(self.source, ids)

    def _following(self) -> Iterator[Order]:
        layer = self.after
        while layer is not None and layer is not self:
            if self.passes.current.is_prompt or not layer.only_prompts:
                yield layer._remaining()
            layer = layer.after

    def _pin(self, part: Part) -> None:
        """Keep what was streamed while there is room; rows are then in the order of bundles."""
        room = self.pool.capacity - self.pool.num_used
        if room and part.ids[0] == self.pool.num_used:
            ids = part.ids[:room]
            self.keep(part, ids, np.zeros(len(ids), np.int64))
