"""Whole layers, read in sequence and double-buffered against compute: prefill, and the dense reference."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import mlx.core as mx
import numpy as np

from engine.flash.bundles import BundleFile
from engine.memory.buffers import aligned_rows


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


class LayerStream:
    """Two buffers that take turns: while one is computed on, the next piece of the layer (or of the next) is read."""

    def __init__(self, reader, file, bundles: BundleFile, piece_bytes: int):
        self._reader, self._file, self._bundles = reader, file, bundles
        row_bytes = max(layer.row_bytes for layer in bundles.layers)
        self._rows = max(1, min(piece_bytes // row_bytes, max(layer.neurons for layer in bundles.layers)))
        self._buffers = [aligned_rows(self._rows, row_bytes, bundles.dtype) for _ in range(2)]
        for _, view in self._buffers:
            reader.register(view)
        self._ahead = None  # (layer, start, ticket, buffer) of the read that is under way
        self.first = [0] * len(bundles.layers)  # by layer, the neuron to begin with: those before it are in memory

    def pieces(self, layer: int) -> Iterator[Piece]:
        """The pieces of a layer, in order. A piece is valid until the next is asked for: evaluate before."""
        for start in range(self.first[layer], self._bundles.layers[layer].neurons, self._rows):
            if self._ahead is None or self._ahead[:2] != (layer, start):
                self.drop()
                self._ahead = self._submit(layer, start, 0)
            _, _, ticket, buffer = self._ahead
            self._ahead = None
            began = perf_counter()
            ticket.wait()
            waited = perf_counter() - began
            self._ahead = self._submit(*self._after(layer, start), 1 - buffer)
            stop = min(start + self._rows, self._bundles.layers[layer].neurons)
            matrix, view = self._buffers[buffer]
            yield Piece(start, stop, matrix[: stop - start], view[: stop - start], waited, ticket.bytes, ticket.reads)

    def drop(self) -> None:
        """Give up the read ahead, if there is one."""
        if self._ahead is not None:
            ticket, self._ahead = self._ahead[2], None
            ticket.cancel()
            ticket.settle()

    def close(self) -> None:
        self.drop()
        for _, view in self._buffers:
            self._reader.unregister(view)

    def _after(self, layer: int, start: int) -> tuple[int, int]:
        if start + self._rows < self._bundles.layers[layer].neurons:
            return layer, start + self._rows
        layer += 1
        while layer < len(self.first) and self.first[layer] == self._bundles.layers[layer].neurons:
            layer += 1
        return layer, self.first[layer] if layer < len(self.first) else 0

    def _submit(self, layer: int, start: int, buffer: int):
        if layer == len(self._bundles.layers):
            return None
        place = self._bundles.layers[layer]
        neurons = np.arange(start, min(start + self._rows, place.neurons))
        rows = np.arange(len(neurons), dtype=np.int64)
        ticket = self._reader.submit(
            self._file, place.offsets(neurons), place.row_bytes, self._buffers[buffer][1], rows
        )
        return layer, start, ticket, buffer
