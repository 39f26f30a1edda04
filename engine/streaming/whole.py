"""Linears and tables that are the model's own while all of their rows have room in memory, and streamed while they have
not: a context that grows long takes its room from all that there is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module

from engine.arrays.layers import use_native_layers
from engine.errors import ReadError
from engine.flash.batches import Bytes, Ranges
from engine.flash.reader import Reader
from engine.models.checkpoint import module_at, replace_module
from engine.store.layout import SlotTensor
from engine.streaming.bundles import LayerBundles
from engine.streaming.source import SlotSource
from engine.system.allocator import long_lived

PIECE_BYTES = 1 << 20  # of a read, and of what is converted at once


class MatrixPlace:
    """The place of a linear or a table in a model: its own module is there, or a streamed one.

    own: with all of its tensors, evaluated or not. source: of what it is multiplied by or looked up in. bundles: of the
    streamed module; the first have a pool. whole: the model's own is there, as it is.
    """

    def __init__(
        self,
        network: Module,
        path: str,
        own: Module,
        source: SlotSource,
        streamed: Module,
        bundles: Sequence[LayerBundles],
        whole: bool,
    ):
        parent, _, self._name = path.rpartition(".")
        self._owner: Module = module_at(network, parent)  # whatever stands in its own place later
        self._bare, self._source, self._streamed, self._bundles = copy(own), source, streamed, bundles
        self._tensors = {name: (own[name].shape, own[name].dtype) for name in source.layout.tensors}
        for name in self._tensors:
            del self._bare[name]
        self._put(own if whole else streamed)

    def resize(self, capacity: int, movable_bytes: int) -> None:
        """Have room for so many bundles. With room for all of them the model's own is there, read anew; if that fails,
        they are streamed, which tells of it."""
        pool = self._bundles[0]
        whole = capacity == pool.source.bundles
        if whole and not pool.whole:
            pool.resize(0, 0)  # there is no room for two
            whole = self._bring()
        if not whole:
            if pool.whole:
                self._put(self._streamed)
                mx.clear_cache()
            pool.resize(capacity, movable_bytes)

    def _bring(self) -> bool:
        """Put the model's own in its place. Returns False where it cannot be read."""
        own = copy(self._bare)
        try:
            for name, (shape, dtype) in self._tensors.items():
                own[name] = read_tensor(self._source, self._source.layout.tensors[name], shape, dtype)
        except ReadError:
            return False
        self._put(own)
        return True

    def _put(self, module: Module) -> None:
        for bundles in self._bundles:
            bundles.whole = module is not self._streamed
        use_native_layers(module)
        replace_module(self._owner, self._name, module)


def read_tensor(source: SlotSource, tensor: SlotTensor, shape: tuple[int, ...], dtype: mx.Dtype) -> mx.array:
    """A whole tensor of a source's file, as `dtype`; little of it is in memory as it is stored. Raises ReadError."""
    with long_lived():
        array = mx.zeros(shape, dtype)
        mx.eval(array)
    if dtype == tensor.dtype:
        _read(source, tensor, tensor.offset, _bytes_of(array))
        return array
    place, memory = 0, _bytes_of(array)
    for piece in _pieces(source, tensor):
        converted = _bytes_of(piece.astype(dtype))
        memory[place : place + len(converted)] = converted
        place += len(converted)
    return array


def _pieces(source: SlotSource, tensor: SlotTensor) -> Iterator[mx.array]:
    """Its numbers in order, each piece valid until the next is asked for."""
    piece = mx.zeros(PIECE_BYTES // tensor.dtype.size, tensor.dtype)
    mx.eval(piece)
    memory = _bytes_of(piece)
    for start in range(tensor.offset, tensor.end, PIECE_BYTES):
        size = min(PIECE_BYTES, tensor.end - start)
        _read(source, tensor, start, memory[:size])
        yield piece[: size // tensor.dtype.size]


def _read(source: SlotSource, tensor: SlotTensor, offset: int, memory: Bytes) -> None:
    """Read the file from `offset` on into memory, uint8 [bytes]."""
    places = np.arange(0, len(memory), PIECE_BYTES)
    lengths = np.minimum(PIECE_BYTES, len(memory) - places)
    with _registered(source.reader, memory.reshape(1, -1)) as destination:
        file = source.files[tensor.path].checked
        ticket = source.reader.submit_ranges(file, Ranges.of(offset + places, lengths, places), destination)
        try:
            ticket.wait()
        finally:
            ticket.settle()


@contextmanager
def _registered(reader: Reader, memory: Bytes) -> Iterator[Bytes]:
    reader.register(memory)
    try:
        yield memory
    finally:
        reader.unregister(memory)


def _bytes_of(array: mx.array) -> Bytes:
    """The memory of an array, uint8 [bytes], evaluated."""
    mx.eval(array)
    return np.asarray(memoryview(array).cast("B"))  # type: ignore[arg-type] # MLX's arrays are buffers
