"""Whole layers, read in sequence and ahead of compute: prefill, and the dense reference."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import mlx.core as mx
import numpy as np

from engine.arrays.aligned import aligned_rows
from engine.store.bundle_file import BundleFile

BUFFERS = 4  # one is computed on while the others are read: with two, the drive would idle at the end of each read


@dataclass(frozen=True)
class Piece:
    """Neurons `[start, stop)` of a layer. rows: MLX [stop - start, row]; view: the same memory, uint8."""

    start: int
    stop: int
    rows: mx.array
    view: np.ndarray
    waited_s: float
    bytes_read: int
    reads: int


@dataclass(frozen=True)
class _Ahead:
    """A piece that is being read, or has been."""

    layer: int
    start: int
    buffer: int
    ticket: object


class LayerStream:
    """Buffers that take turns: while one is computed on, the layer's next pieces, and the next layer's, are read."""

    def __init__(self, reader, file, bundles: BundleFile, piece_bytes: int):
        self._reader, self._file, self._bundles = reader, file, bundles
        row_bytes = max(layer.row_bytes for layer in bundles.layers)
        self._rows = max(1, min(piece_bytes // row_bytes, max(layer.neurons for layer in bundles.layers)))
        self._buffers = [aligned_rows(self._rows, row_bytes, bundles.dtype) for _ in range(BUFFERS)]
        for _, view in self._buffers:
            reader.register(view)
        self._ahead: deque[_Ahead] = deque()  # in the order in which they will be asked for
        self.first = [0] * len(bundles.layers)  # by layer, the neuron to begin with: those before it are in memory

    def pieces(self, layer: int) -> Iterator[Piece]:
        """The pieces of a layer, in order. A piece is valid until the next is asked for: evaluate before."""
        neurons = self._bundles.layers[layer].neurons
        for start in range(self.first[layer], neurons, self._rows):
            if not self._ahead or (self._ahead[0].layer, self._ahead[0].start) != (layer, start):
                self.drop()
                self._submit(layer, start, 0)
            self._fill()
            piece = self._ahead[0]
            began = perf_counter()
            piece.ticket.wait()
            waited = perf_counter() - began
            self._ahead.popleft()
            stop = min(start + self._rows, neurons)
            matrix, view = self._buffers[piece.buffer]
            read = piece.ticket
            yield Piece(start, stop, matrix[: stop - start], view[: stop - start], waited, read.bytes, read.reads)

    def drop(self) -> None:
        """Give up what is being read ahead."""
        for piece in self._ahead:
            piece.ticket.cancel()
        for piece in self._ahead:
            piece.ticket.settle()
        self._ahead.clear()

    def close(self) -> None:
        self.drop()
        for _, view in self._buffers:
            self._reader.unregister(view)

    def _fill(self) -> None:
        """Read on into every buffer: who asks for a piece is done with the one before."""
        while len(self._ahead) < BUFFERS:
            last = self._ahead[-1]
            layer, start = self._after(last.layer, last.start)
            if layer == len(self._bundles.layers):
                return
            self._submit(layer, start, (last.buffer + 1) % BUFFERS)

    def _after(self, layer: int, start: int) -> tuple[int, int]:
        if start + self._rows < self._bundles.layers[layer].neurons:
            return layer, start + self._rows
        layer += 1
        while layer < len(self.first) and self.first[layer] == self._bundles.layers[layer].neurons:
            layer += 1
        return layer, self.first[layer] if layer < len(self.first) else 0

    def _submit(self, layer: int, start: int, buffer: int) -> None:
        place = self._bundles.layers[layer]
        neurons = np.arange(start, min(start + self._rows, place.neurons))
        view, rows = self._buffers[buffer][1], np.arange(len(neurons), dtype=np.int64)
        # Neighbours are joined here whatever the reader does with scattered bundles.
        ticket = self._reader.submit(self._file, place.offsets(neurons), place.row_bytes, view, rows, gap=0)
        self._ahead.append(_Ahead(layer, start, buffer, ticket))
