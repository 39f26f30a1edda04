"""The context: keys and values of the tokens so far, with room made before it is needed."""

from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module

from engine.arrays.kv_cache import KVCache
from engine.inference.states import ContextState
from engine.models.caches import shaped_caches
from engine.system.allocator import long_lived


class KeyValueContext:
    """The caches of all layers. mlx-lm's own grow by themselves, all layers within one graph; here each array grows by
    itself, before the pass that needs it: at most one is in memory twice."""

    def __init__(self, network: Module, dtype: mx.Dtype):
        """network: not yet evaluated, nor streamed. dtype: of keys and values."""
        self._shapes = [(cache.keys.shape, cache.values.shape) for cache in shaped_caches(network)]
        self._dtype = dtype
        self.take(None)

    @property
    def tokens(self) -> int:
        """Tokens in the context."""
        return int(self.caches[0].offset)

    @property
    def rows(self) -> int:
        """Tokens that there is room for."""
        return rows_of(self.caches[0])

    @property
    def trims(self) -> bool:
        """True: `trim` can go back to any token."""
        return True

    def mark(self, tokens: int) -> None:
        """A pass of so many decoded tokens is next: all can be taken back anyway."""

    def resize(self, rows: int) -> None:
        """Have room for so many tokens, no fewer than there are."""
        for cache in self.caches:
            set_rows(cache, rows)

    @property
    def state(self) -> ContextState:
        """All that it holds, which goes on changing with it until another state is taken up."""
        return ContextState(self.tokens, self.caches)

    def fresh(self) -> list[Any]:
        """Empty caches of the model's."""
        return [_empty(keys, values, self._dtype) for keys, values in self._shapes]

    def take(self, state: ContextState | None) -> None:
        """Go on from a state, which is the context's from now on; from nothing without one."""
        self.caches: list[Any] = list(state.caches) if state else self.fresh()

    def trim(self, tokens: int) -> int:
        """Keep the first `tokens` tokens. Returns how many."""
        for cache in self.caches:
            cache.trim(cache.offset - tokens)
        return tokens


def _empty(keys: tuple[int, ...], values: tuple[int, ...], dtype: mx.Dtype) -> KVCache:
    """A cache without room. keys, values: [batch, heads, rows, width]."""
    cache = KVCache()
    cache.keys, cache.values = (mx.zeros((*shape[:2], 0, shape[3]), dtype) for shape in (keys, values))
    return cache


def rows_of(cache: Any) -> int:
    """Tokens that a KVCache, quantised or not, has room for."""
    keys = cache.keys if cache.keys is None or isinstance(cache.keys, mx.array) else cache.keys[0]
    return 0 if keys is None else int(keys.shape[2])


def set_rows(cache: Any, rows: int) -> None:
    """Let a KVCache that has keys and values already, quantised or not, hold `rows` tokens, one array after the
    other."""
    for name in ("keys", "values"):
        arrays = getattr(cache, name)
        if isinstance(arrays, mx.array):
            setattr(cache, name, _of_rows(arrays, cache.offset, rows))
        else:  # numbers, scales and biases
            parts = list(arrays)
            setattr(cache, name, parts)
            del arrays
            for i in range(len(parts)):
                parts[i] = _of_rows(parts[i], cache.offset, rows)


def _of_rows(array: mx.array, used: int, rows: int) -> mx.array:
    """An array [batch, heads, rows, width] that begins with the `used` rows of another one, evaluated; the same, where
    it has as many."""
    batch, heads, before, width = array.shape
    if before == rows:
        return array
    with long_lived():
        room = mx.zeros((batch, heads, rows - used, width), array.dtype)
        other = mx.concatenate([array[..., :used, :], room], axis=2)
        mx.eval(other)
    return other
