"""Keys and values of a few tokens, appended where those before them lie: without a GPU MLX takes longer for that than
it takes to attend to them."""

from typing import Any
from weakref import ref

import mlx.core as mx
from mlx_lm.models import cache

from engine.arrays.evaluation import evaluating
from engine.arrays.packed import FEW_VECTORS, available
from engine.arrays.products import as_numpy, stored_as

KeysAndValues = tuple[mx.array, mx.array]


class KVCache(cache.KVCache):
    """mlx-lm's, which without a GPU writes a few tokens into its own arrays: no other cache may share them."""

    keys: Any
    values: Any

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> KeysAndValues:
        """All keys and values, with those of the present tokens [batch, heads, length, dim] behind the others."""
        tokens = keys.shape[2]
        if not available() or not evaluating.get() or tokens > FEW_VECTORS or not self._has_room(tokens):
            grown: KeysAndValues = super().update_and_fetch(keys, values)
            return grown
        mx.eval(keys, values)
        for held, new in ((self.keys, keys), (self.values, values)):
            as_numpy(held)[..., self.offset : self.offset + tokens, :] = stored_as(new, held.dtype)
        self.offset += tokens
        found: KeysAndValues = self.keys_and_values()
        _Shown.newest = _Shown(self, found)
        return found

    def _has_room(self, tokens: int) -> bool:
        """True where they can be written as they lie."""
        if self.keys is None or self.offset + tokens > self.keys.shape[2]:
            return False
        mx.eval(self.keys, self.values)
        held = (memoryview(self.keys), memoryview(self.values))
        return all(array.c_contiguous for array in held)


class _Shown:
    """Arrays that a cache has given last, which nobody may ever evaluate. It keeps none of them alive."""

    newest: "_Shown | None" = None

    def __init__(self, cache: KVCache, arrays: KeysAndValues):
        self.cache, self.arrays = ref(cache), tuple(map(ref, arrays))


def held_of(keys: mx.array, values: mx.array) -> KeysAndValues:
    """Evaluated arrays that begin with these keys and values [batch, heads, tokens, dim]: the cache's own, where they
    come from one just now."""
    shown = _Shown.newest
    cache = shown.cache() if shown else None
    if shown and cache is not None and shown.arrays[0]() is keys and shown.arrays[1]() is values:
        return cache.keys, cache.values
    mx.eval(keys, values)
    return keys, values
