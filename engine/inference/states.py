"""The state of a context: what layers remember, apart from the model, to be put aside, copied and taken up again."""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx.utils import tree_map
from mlx_lm.models import cache as mlx_caches
from mlx_lm.models.cache import QuantizedKVCache

from engine.arrays.kv_cache import KVCache
from engine.system.allocator import long_lived

Caches = list[Any]  # mlx-lm's, by layer


@dataclass(frozen=True)
class Snapshot:
    """The caches that cannot be trimmed, as they were after so many tokens; None in the place of the others.

    lasting: other conversations may branch off here.
    """

    tokens: int
    caches: Caches
    lasting: bool = False


@dataclass(frozen=True)
class ContextState:
    """The caches after so many tokens, and snapshots of them on the way there, the earliest first."""

    tokens: int
    caches: Caches
    snapshots: tuple[Snapshot, ...] = ()

    @property
    def bytes(self) -> int:
        """Bytes of memory that it takes; an array that is there twice counts twice, as it may have to be copied."""
        held = [self.caches, *(snapshot.caches for snapshot in self.snapshots)]
        return sum(array.nbytes for array in arrays_of(held))

    def reach(self, tokens: int) -> int:
        """The most tokens, up to `tokens`, to which there is a way back."""
        if tokens >= self.tokens or all(map(always_trims, self.caches)):
            return min(tokens, self.tokens)
        return max((each.tokens for each in self.snapshots if each.tokens <= tokens), default=0)

    def beginning(self, tokens: int) -> "ContextState":
        """A copy of its first tokens, to which there must be a way back: nothing that becomes of one changes the other.
        Layer by layer, evaluated."""
        snapshots = tuple(each for each in self.snapshots if each.tokens <= tokens)
        saved = self.caches if tokens == self.tokens else snapshots[-1].caches if snapshots else self.caches
        pairs = zip(self.caches, saved, strict=True)
        caches = [_shorter(cache, tokens) if always_trims(cache) else copied(other) for cache, other in pairs]
        return ContextState(tokens, caches, snapshots)


def always_trims(cache: Any) -> bool:
    """True for a cache that keeps every token, so that the last ones can be taken off."""
    return type(cache) in (KVCache, mlx_caches.KVCache, QuantizedKVCache)


def arrays_of(value: Any) -> Iterator[mx.array]:
    """All arrays of caches, whatever else they hold."""
    if isinstance(value, mx.array):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from arrays_of(each)
    elif hasattr(value, "state"):
        yield from arrays_of(list(vars(value).values()))


def copied(value: Any) -> Any:
    """A copy of a cache whose arrays are objects of their own: mlx-lm writes into its arrays in place."""
    if isinstance(value, mx.array):
        return mx.stop_gradient(value)
    if isinstance(value, list | tuple):
        return type(value)(map(copied, value))
    if not hasattr(value, "state"):
        return value
    other = copy(value)
    for name, attribute in vars(value).items():
        setattr(other, name, copied(attribute))
    return other


def _shorter(cache: Any, tokens: int) -> Any:
    """A copy of a cache that can be trimmed, with the rows of its first tokens, in arrays of their own."""
    other = copy(cache)
    other.offset = tokens
    if cache.keys is not None:
        with long_lived():
            other.keys, other.values = tree_map(lambda rows: _first(rows, tokens), (cache.keys, cache.values))
            mx.eval(other.keys, other.values)
    return other


def _first(rows: mx.array, tokens: int) -> mx.array:
    """The first rows of an array [..., rows, width], and room for one more at least, in whole steps."""
    *leading, _, width = rows.shape
    room = KVCache.step - tokens % KVCache.step
    return mx.concatenate([rows[..., :tokens, :], mx.zeros((*leading, room, width), rows.dtype)], axis=-2)
