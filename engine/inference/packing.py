"""The state of a context as bytes, and back: rows of tokens in blocks, and the rest."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import mlx.core as mx
import msgspec
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.models.cache import KVCache
from numpy.typing import NDArray

from engine.inference.kept import BLOCK_TOKENS, DamagedContextError, Head, RowShape
from engine.inference.states import Caches, ContextState, Snapshot, always_trims
from engine.system.allocator import long_lived

DTYPES = {str(each).removeprefix("mlx.core."): each for each in (
    mx.bool_, mx.uint8, mx.uint16, mx.uint32, mx.int8, mx.int16, mx.int32, mx.int64, mx.float16, mx.bfloat16, mx.float32
)}  # fmt: skip
ROWS = ("keys", "values")  # attributes of caches that can be trimmed: arrays with a row for each token


class PackedArray(msgspec.Struct, tag="array"):
    """An array's bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


class PackedCache(msgspec.Struct, tag="cache"):
    """A cache's attributes by name; of one that can be trimmed, those that are no rows, unless it has none. kind: the
    name of its class."""

    kind: str
    attributes: "dict[str, Packed]"


class PackedList(msgspec.Struct, tag="list"):
    """The items of a list or a tuple."""

    items: "list[Packed]"


Packed = PackedArray | PackedCache | PackedList | int | float | bool | str | None


class PackedSnapshot(msgspec.Struct):
    """A snapshot, None in the place of caches that can be trimmed."""

    tokens: int
    lasting: bool
    caches: list[PackedCache | None]


class Rest(msgspec.Struct):
    """The part that is in no block. tail: the rows after the last whole block."""

    caches: list[PackedCache]
    snapshots: list[PackedSnapshot]
    tail: bytes


# ------------------------------------------------------------------------------------------------ to bytes
def row_shapes(state: ContextState) -> list[RowShape]:
    """The arrays that have a row for each token."""
    return [RowShape(_name(a), a.shape[:-2], a.shape[-1], a.shape[-1] * a.dtype.size) for a in _rows_of(state.caches)]


def stops_of(state: ContextState) -> list[int] | None:
    """The points that there is a way back to; None for each."""
    return None if all(map(always_trims, state.caches)) else [each.tokens for each in state.snapshots]


def block_of(state: ContextState, number: int) -> bytes:
    """The bytes of a whole block."""
    return _rows_between(state, number * BLOCK_TOKENS, (number + 1) * BLOCK_TOKENS)


def rest_of(state: ContextState) -> bytes:
    """The bytes of what is in no whole block."""
    whole = state.tokens - state.tokens % BLOCK_TOKENS
    caches = [_packed_cache(cache) for cache in state.caches]
    snapshots = list(map(_packed_snapshot, state.snapshots))
    return msgspec.msgpack.encode(Rest(caches, snapshots, _rows_between(state, whole, state.tokens)))


def _packed_snapshot(snapshot: Snapshot) -> PackedSnapshot:
    caches = [None if cache is None else _packed_cache(cache) for cache in snapshot.caches]
    return PackedSnapshot(snapshot.tokens, snapshot.lasting, caches)


def _rows_between(state: ContextState, start: int, end: int) -> bytes:
    return b"".join(_bytes(array[..., start:end, :]) for array in _rows_of(state.caches))


def _rows_of(caches: Caches) -> Iterator[mx.array]:
    """The arrays of rows, of caches that have any."""
    for cache in caches:
        if always_trims(cache) and cache.keys is not None:
            arrays: Any = tree_flatten((cache.keys, cache.values))
            yield from (array for _, array in arrays)


def _packed_cache(cache: Any) -> PackedCache:
    left_out = ROWS if always_trims(cache) and cache.keys is not None else ()
    attributes = {name: _packed(value) for name, value in vars(cache).items() if name not in left_out}
    return PackedCache(type(cache).__name__, attributes)


def _packed(value: Any) -> Packed:
    if isinstance(value, mx.array):
        return PackedArray(_name(value), value.shape, _bytes(value))
    if isinstance(value, list | tuple):
        return PackedList([_packed(each) for each in value])
    if hasattr(value, "state"):
        return _packed_whole(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a cache holds {type(value).__name__}, which cannot be kept")


def _packed_whole(cache: Any) -> PackedCache:
    """A cache within another, with its rows."""
    return PackedCache(type(cache).__name__, {name: _packed(value) for name, value in vars(cache).items()})


def _name(array: mx.array) -> str:
    return str(array.dtype).removeprefix("mlx.core.")


def _bytes(array: mx.array) -> bytes:
    if not array.size:
        return b""
    flat = mx.contiguous(array).reshape(-1).view(mx.uint8)
    return np.array(flat, copy=False).tobytes()


# ---------------------------------------------------------------------------------------------- from bytes
@dataclass(frozen=True)
class KeptRows:
    """The rows of a kept context. blocks: their files, which were checked."""

    head: Head
    blocks: Sequence[Path]
    tail: bytes

    def arrays(self, tokens: int) -> list[mx.array]:
        """All arrays with the rows of the first `tokens` tokens, and room for one more at least, in whole steps. One
        after the other: at most one is in memory twice. Raises DamagedContextError."""
        try:
            with ExitStack() as stack:
                files = [stack.enter_context(path.open("rb")) for path in self.blocks]
                places = np.cumsum([0, *(shape.token_bytes for shape in self.head.rows)]).tolist()
                return [self._array(files, *each, tokens) for each in zip(self.head.rows, places, strict=False)]
        except OSError as error:
            raise DamagedContextError("a block cannot be read") from error

    def _array(self, files: Sequence[BinaryIO], shape: RowShape, place: int, tokens: int) -> mx.array:
        steps = tokens // KVCache.step + 1
        rows = np.zeros((*shape.leading, steps * KVCache.step, shape.bytes), np.uint8)
        for start in range(0, tokens, BLOCK_TOKENS):
            number, end = start // BLOCK_TOKENS, min(tokens, start + BLOCK_TOKENS)
            block = self._part(files, number, shape, place)
            rows[..., start:end, :] = block[..., : end - start, :]
        with long_lived():
            array = mx.array(rows).view(DTYPES[shape.dtype])
            mx.eval(array)
        return array

    def _part(self, files: Sequence[BinaryIO], number: int, shape: RowShape, place: int) -> NDArray[np.uint8]:
        """One array's rows of a block, or of the tail."""
        if number < len(files):
            files[number].seek(place * BLOCK_TOKENS)
            content, count = files[number].read(shape.token_bytes * BLOCK_TOKENS), BLOCK_TOKENS
        else:
            count = len(self.head.tokens) % BLOCK_TOKENS
            content = self.tail[place * count : (place + shape.token_bytes) * count]
        return np.frombuffer(content, np.uint8).reshape(*shape.leading, count, shape.bytes)


def state_of(head: Head, blocks: Sequence[Path], rest: bytes, tokens: int, fresh: Caches) -> ContextState:
    """The state after the first `tokens` tokens of a kept context, to which there is a way back.

    blocks: the files that are needed, checked. fresh: the model's caches, empty: what is read has to fit them. Raises
    DamagedContextError.
    """
    try:
        packed = msgspec.msgpack.decode(rest, type=Rest)
        snapshots = tuple(_snapshot(each, fresh) for each in packed.snapshots if each.tokens <= tokens)
        saved: Sequence[PackedCache | None] = packed.caches
        if tokens < len(head.tokens) and head.stops is not None:
            saved = next(each.caches for each in packed.snapshots if each.tokens == tokens)
        arrays = iter(KeptRows(head, blocks, packed.tail).arrays(tokens))
        pairs = zip(fresh, saved, packed.caches, strict=True)
        caches = [_trimmed(own, whole, arrays, tokens) if always_trims(own) else _restored(own, other)
                  for own, other, whole in pairs]  # fmt: skip
    except (msgspec.DecodeError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise DamagedContextError("a kept context is not one of this model") from error
    return ContextState(tokens, caches, snapshots)


def _snapshot(packed: PackedSnapshot, fresh: Caches) -> Snapshot:
    pairs = zip(fresh, packed.caches, strict=True)
    return Snapshot(packed.tokens, [None if p is None else _restored(own, p) for own, p in pairs], packed.lasting)


def _trimmed(cache: Any, packed: PackedCache, arrays: Iterator[mx.array], tokens: int) -> Any:
    """A cache with its rows, of those that can be trimmed."""
    cache = _restored(cache, packed)
    if "keys" in packed.attributes:
        return cache
    if isinstance(cache, KVCache):
        cache.keys, cache.values = next(arrays), next(arrays)
    else:
        cache.keys, cache.values = (tuple(next(arrays) for _ in range(3)) for _ in ROWS)  # packed, scales, biases
    cache.offset = tokens
    return cache


def _restored(own: Any, packed: Packed) -> Any:
    """A value that was packed, with what the model has in its place: of the same classes. Raises ValueError."""
    if isinstance(packed, PackedArray):
        array = mx.array(np.frombuffer(packed.data, np.uint8)) if packed.data else mx.zeros(0, mx.uint8)
        return array.view(DTYPES[packed.dtype]).reshape(packed.shape)
    if isinstance(packed, PackedCache):
        return _restored_cache(own, packed)
    if isinstance(packed, PackedList):
        items = packed.items
        owned = own if isinstance(own, list | tuple) and len(own) == len(items) else [None] * len(items)
        return (tuple if isinstance(own, tuple) else list)(map(_restored, owned, items))
    return packed


def _restored_cache(own: Any, packed: PackedCache) -> Any:
    if type(own).__name__ != packed.kind or not vars(own).keys() >= packed.attributes.keys():
        raise ValueError(f"a {type(own).__name__} is no {packed.kind}")
    own = copy(own)
    for name, value in packed.attributes.items():
        setattr(own, name, _restored(getattr(own, name), value))
    return own
