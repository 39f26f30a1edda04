"""The FFN whose weights stay on flash: select, admit, read the misses, multiply (paper, section 3)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event
from time import perf_counter

import mlx.core as mx
import numpy as np

from engine.arrays.products import float32_blocks
from engine.errors import CancelledError
from engine.memory.pool import Admission, NeuronPool
from engine.memory.window import Window
from engine.models.activations import Activation
from engine.statistics import TokenStatistics
from engine.store.bundle_file import BundleLayer
from engine.streaming.lookahead import LookAhead
from engine.streaming.overlap import Overlap
from engine.streaming.whole_layers import LayerStream, Piece
from engine.system.footprint import footprint


@dataclass
class Pass:
    """One run through all layers: what it is for, and what it has cost so far. Shared by the layers' FFNs."""

    layers: int
    whole_layers: bool = False  # stream every layer (prefill, dense) instead of selecting
    seeding: bool = False  # fill the pools with what the last tokens of this pass use
    cancelled: Event | None = None
    observer: object | None = None  # told every layer's activations, for measurements
    began: float = field(default_factory=perf_counter)
    io_s: float = 0.0
    memory_s: float = 0.0
    bytes_read: int = 0
    reads: int = 0

    def __post_init__(self):
        self.active, self.loaded, self.resident = ([0] * self.layers for _ in range(3))

    def read(self, waited_s: float, bytes_read: int, reads: int) -> None:
        self.io_s += waited_s
        self.bytes_read += bytes_read
        self.reads += reads

    def statistics(self, neurons: int) -> TokenStatistics:
        """The cost from the start of this pass until now."""
        compute = perf_counter() - self.began - self.io_s - self.memory_s
        return TokenStatistics(
            io_ms=1e3 * self.io_s,
            memory_ms=1e3 * self.memory_s,
            compute_ms=1e3 * compute,
            bytes_read=self.bytes_read,
            reads=self.reads,
            active=tuple(self.active),
            loaded=tuple(self.loaded),
            resident=tuple(self.resident),
            neurons=neurons,
            footprint_bytes=footprint(),
        )


@dataclass
class Flash:
    """What the FFNs of one model share: the open bundle file, its reader, the layer stream and the window.

    bundling: whether a bundle is one read, or each of its parts one (paper, section 3.2). early_reads: whether FFNs
    beside an attention begin before it.
    """

    reader: object
    file: object
    stream: LayerStream | None
    window: Window
    current: Pass
    bundling: bool = True
    overlap: Overlap = field(default_factory=Overlap)
    early_reads: bool = True


@dataclass(frozen=True)
class Loading:
    """An active set on its way into the pool. tickets: of the reads that are under way."""

    admission: Admission
    tickets: list

    @property
    def rows(self) -> np.ndarray:
        return self.admission.rows


@dataclass(frozen=True)
class _Begun:
    """A pass's active set. loading: None where it does not fit the pool."""

    current: Pass
    active: np.ndarray
    loading: Loading | None

    @property
    def tickets(self) -> list:
        return self.loading.tickets if self.loading else []


class StreamedFFN:
    """Takes the place of a layer's dense FFN: `ffn(x)`, x and result [1, tokens, width].

    selector: says which neurons a token needs; None streams the whole layer for every token.
    input_bias: [neurons], zeros where the model has none. down_bias: [width] or None.
    """

    def __init__(
        self,
        layer: int,
        place: BundleLayer,
        pool: NeuronPool,
        selector,
        activation: Activation,
        input_bias: mx.array,
        down_bias: mx.array | None,
        flash: Flash,
    ):
        self.layer, self.place, self.pool, self.selector, self.flash = layer, place, pool, selector, flash
        self.activation = activation
        self.input_bias, self.down_bias = input_bias, down_bias
        self.look_ahead: LookAhead | None = None  # if this layer is to be read ahead
        self._early: Loading | None = None  # what was read ahead, until it is known what is needed
        self._begun: _Begun | None = None  # what is known to be needed, until it is computed

    def __call__(self, x: mx.array) -> mx.array:
        current = self.flash.current
        if current.cancelled is not None and current.cancelled.is_set():
            raise CancelledError("Stopped.")
        streamed = current.whole_layers or self.selector is None
        y = self._whole_layer(x) if streamed else self._active_set(x)
        current.resident[self.layer] = self.pool.num_used
        return y if self.down_bias is None else y + self.down_bias

    def anticipate(self, x: mx.array) -> None:
        """Start reading what will probably be needed, while attention is computed.

        x: what the input would be if attention added nothing. Reads that the real misses have to wait for are few: the
        guesses learn to be right.
        """
        if self.look_ahead is None or self.flash.current.whole_layers or not self.flash.overlap.ahead:
            return
        self.settle()
        likely = self.selector.guess(x, self.look_ahead.shift)
        began = perf_counter()
        self._early = self._start_reading(self.pool.expect(likely, self.flash.window), began)

    def begin(self, x: mx.array) -> bool:
        """Select, and start reading what is missing; `ffn(x)` must follow. Returns whether something is being read.

        For layers whose attention and FFN are side by side: flash works while attention is computed.
        """
        if self.flash.current.whole_layers or self.selector is None or not self.flash.early_reads:
            return False
        return bool(self._begin(x).tickets)

    def _begin(self, x: mx.array) -> _Begun:
        current = self.flash.current
        if self._begun is None or self._begun.current is not current:
            if self._begun is not None:  # of a pass that failed
                self.settle()
            active = self.selector.select(x)
            current.active[self.layer] = len(active)
            self._take_early(active)
            fits = len(active) <= self.pool.capacity
            self._begun = _Begun(current, active, self.start_loading(active) if fits else None)
        return self._begun

    def settle(self) -> None:
        """Wait for reads that nobody has waited for yet: only then may rows be reused."""
        begun, self._begun = self._begun, None
        self._take_early()
        if begun is not None and begun.loading is not None:
            self.finish_loading(begun.loading)

    def _active_set(self, x: mx.array) -> mx.array:
        begun, self._begun = self._begin(x), None
        if begun.loading is not None:
            return self.around_reads(x, begun.loading)
        # A token that needs more neurons than the pool has rows is computed in rounds: slow, but the same sum.
        y = mx.zeros_like(x)
        for start in range(0, len(begun.active), self.pool.capacity):
            self.pool.clear()
            self.load(begun.active[start : start + self.pool.capacity])
            y = y + self._over_pool(x)
            mx.eval(y)
        return y

    def around_reads(self, x: mx.array, reading: Loading) -> mx.array:
        """The FFN over the pool; what is in memory already may be computed while the rest is read.

        The rows that are being read hold what was there before: finite, and multiplied by zero.
        """
        beside = self.flash.overlap.beside and reading.tickets and len(reading.rows) < self.pool.num_used
        if not beside:
            self.finish_loading(reading)
            return self._over_pool(x)
        try:
            y = self._over_pool(x, without=reading.rows)
            mx.eval(y)
        finally:
            self.finish_loading(reading)
        rows = self.pool.matrix[mx.array(reading.rows)]
        return y + self._product(x, rows, self.pool.bias[reading.rows])

    def _take_early(self, active: np.ndarray | None = None) -> None:
        """Wait for what was read ahead, and learn from it if the active set is known."""
        if self._early is None:
            return
        early, self._early = self._early, None
        late = not all(ticket.done for ticket in early.tickets)
        self.finish_loading(early)
        if active is not None:
            self.flash.current.loaded[self.layer] += self.look_ahead.learn(early.admission.neurons, active, late)

    def load(self, active: np.ndarray) -> None:
        """Bring an active set (sorted ids that fit the pool) into memory."""
        self.finish_loading(self.start_loading(active))

    def start_loading(self, active: np.ndarray) -> Loading:
        """Make room for an active set and start reading what is missing; `finish_loading` must follow."""
        pool, window, began = self.pool, self.flash.window, perf_counter()
        admission = pool.make_room(active, window)
        self.flash.current.loaded[self.layer] += len(admission.neurons)
        return self._start_reading(admission, began, lambda: pool.settle(admission, active, window))

    def _start_reading(self, admission: Admission, began: float, meanwhile: Callable = lambda: None) -> Loading:
        """Read into the rows that were made room for since `began`. If that cannot begin, the pool is as before.

        meanwhile: what is left to do for the admission. While flash works it takes no time of its own.
        """
        current, submitted = self.flash.current, perf_counter()
        current.memory_s += submitted - began
        try:
            tickets = self._submit(admission) if len(admission.neurons) else []
        except BaseException:
            meanwhile()
            self.pool.discard(admission)
            raise
        meanwhile()
        if tickets:
            current.io_s += perf_counter() - submitted
        else:
            current.memory_s += perf_counter() - submitted
        return Loading(admission, tickets)

    def finish_loading(self, loading: Loading) -> None:
        """Wait until the bundles are in their rows. If that fails, the pool is as it was before."""
        began = perf_counter()
        try:
            for ticket in loading.tickets:
                ticket.wait()
        except BaseException:
            for ticket in loading.tickets:
                ticket.cancel()
            for ticket in loading.tickets:
                ticket.settle()  # no row may be written any more
            self.pool.discard(loading.admission)
            raise
        self.flash.current.read(
            perf_counter() - began, sum(t.bytes for t in loading.tickets), sum(t.reads for t in loading.tickets)
        )

    def _submit(self, admission: Admission) -> list:
        """One batch of bundles; without bundling, one of each of their parts."""
        flash, view = self.flash, self.pool.view
        offsets, length = self.place.offsets(admission.neurons), self.place.row_bytes
        if flash.bundling:
            return [flash.reader.submit(flash.file, offsets, length, view, admission.rows)]
        # A row is seen as pieces of one part's size, so that each part has a row of its own to be read into.
        parts = len(self.activation.parts)
        piece, left = divmod(length, parts)
        if left:
            raise ValueError(f"rows of {length} bytes cannot be read as {parts} parts")
        view = view.reshape(-1, piece)
        return [
            flash.reader.submit(flash.file, offsets + part * piece, piece, view, admission.rows * parts + part)
            for part in range(parts)
        ]

    def _over_pool(self, x: mx.array, without: np.ndarray | None = None) -> mx.array:
        """The FFN over the rows in use; rows `without` add nothing."""
        used = self.pool.num_used
        if used == 0:
            return mx.zeros_like(x)
        bias = self.pool.bias[:used]
        if without is not None:
            bias = bias.copy()
            bias[without] = -np.inf  # every activation here makes nothing of it
        return self._product(x, self.pool.matrix[:used], bias)

    def _product(self, x: mx.array, rows: mx.array, bias: np.ndarray) -> mx.array:
        hidden, y = self._multiply(x, rows, mx.array(bias).astype(x.dtype))
        if self.flash.current.observer is not None:
            self.flash.current.observer.computed(self.layer, hidden)
        return y

    def _whole_layer(self, x: mx.array) -> mx.array:
        current = self.flash.current
        current.active[self.layer] = self.place.neurons
        y = mx.zeros_like(x)
        for piece in self._pieces():
            current.read(piece.waited_s, piece.bytes_read, piece.reads)
            current.loaded[self.layer] += (piece.stop - piece.start) * (piece.reads > 0)
            hidden, part = self._multiply(x, piece.rows, self.input_bias[piece.start : piece.stop])
            y = y + part
            mx.eval(y, hidden)  # the buffer is overwritten once the next piece is asked for
            if current.observer is not None:
                current.observer.streamed(self.layer, x, piece, hidden)
            if self.selector is None:
                self._keep(piece)
            elif current.seeding:
                self._seed(piece, hidden)
        return y

    def _pieces(self) -> Iterator[Piece]:
        """All of the layer. Where nothing selects, its first neurons stay in memory, as many as the budget lets."""
        self.settle()
        if self.selector is not None and not self.pool.keep_hot:
            self.pool.clear()
        kept = self.flash.stream.first[self.layer] = self.pool.num_used if self.selector is None else 0
        if kept:
            yield Piece(0, kept, self.pool.matrix[:kept], self.pool.view[:kept], 0.0, 0, 0)
        yield from self.flash.stream.pieces(self.layer)

    def _keep(self, piece: Piece) -> None:
        """Copy a piece's neurons into the pool while it has room; rows are then in the order of neurons."""
        began = perf_counter()
        room = self.pool.capacity - self.pool.num_used
        if piece.start == self.pool.num_used and room:
            neurons = np.arange(piece.start, min(piece.stop, piece.start + room))
            admission = self.pool.seed(neurons, np.zeros(len(neurons), np.int64), self.flash.window)
            self.pool.view[admission.rows] = piece.view[: len(neurons)]
        self.flash.current.memory_s += perf_counter() - began

    def _seed(self, piece: Piece, hidden: mx.array) -> None:
        """Keep the neurons that the window's tokens at the end of this pass used. hidden: [1, tokens, neurons]."""
        began = perf_counter()
        recent = np.array(hidden[0, -self.flash.window.size :] != 0)
        age = np.argmax(recent[::-1], axis=0)  # tokens since each neuron was last active
        used = np.flatnonzero(recent.any(axis=0)).astype(np.int64)
        admission = self.pool.seed(used + piece.start, self.flash.window.token - age[used], self.flash.window)
        self.pool.view[admission.rows] = piece.view[admission.neurons - piece.start]
        self.flash.current.memory_s += perf_counter() - began

    def _multiply(self, x: mx.array, rows: mx.array, bias: mx.array) -> tuple[mx.array, mx.array]:
        """Hidden values [1, tokens, neurons] and output [1, tokens, width] over rows [neurons, row] of bundles.

        bias: [neurons], added to the first part's product; zeros where the model has none, as gated ones do.
        """
        if not mx.metal.is_available():
            return self._multiply_numpy(x, rows, bias)
        width = x.shape[-1]
        parts = (rows[:, i * width : (i + 1) * width] for i in range(len(self.activation.parts)))
        *inputs, down = (part.astype(x.dtype) for part in parts)
        products = [x @ part.T for part in inputs]
        hidden = self.activation.hidden(products[0] + bias, *products[1:])
        return hidden, hidden @ down

    def _multiply_numpy(self, x: mx.array, rows: mx.array, bias: mx.array) -> tuple[mx.array, mx.array]:
        """Without a GPU: MLX has only a reference BLAS there, and would copy each strided part. Block by block."""
        width = x.shape[-1]
        tokens, first_bias = np.array(x[0].astype(mx.float32)), np.array(bias.astype(mx.float32))
        hidden = np.empty((len(tokens), rows.shape[0]), np.float32)
        y = np.zeros_like(tokens)
        for start, block in float32_blocks(rows):
            here = slice(start, start + len(block))
            *inputs, down = (block[:, i * width : (i + 1) * width] for i in range(len(self.activation.parts)))
            products = [tokens @ part.T for part in inputs]
            products[0] += first_bias[here]
            hidden[:, here] = self.activation.hidden(*products)
            y += hidden[:, here] @ down
        return mx.array(hidden)[None], mx.array(y)[None].astype(x.dtype)
