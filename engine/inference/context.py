"""The context: keys and values of the tokens so far, with room made before it is needed."""

from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx_lm.models.cache import KVCache

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

    def make_room(self, tokens: int) -> None:
        """Let so many more tokens fit, in whole steps. What is in memory already stays as it is."""
        rows = -(-(self.tokens + tokens) // KVCache.step) * KVCache.step
        for cache in self.caches:
            lengthen(cache, rows)

    @property
    def state(self) -> ContextState:
        """All that it holds, which goes on changing with it until another state is taken up."""
        return ContextState(self.tokens, self.caches)

    def take(self, state: ContextState | None) -> None:
        """Go on from a state, which is the context's from now on; from nothing without one."""
        empty = (_empty(keys, values, self._dtype) for keys, values in self._shapes)
        self.caches: list[Any] = list(state.caches if state else empty)

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


def lengthen(cache: Any, rows: int) -> None:
    """Let a KVCache that has keys and values already hold `rows` tokens, one array after the other."""
    if cache.keys.shape[2] < rows:
        with long_lived():
            cache.keys = _longer(cache.keys, cache.offset, rows)
            cache.values = _longer(cache.values, cache.offset, rows)


def _longer(array: mx.array, used: int, rows: int) -> mx.array:
    """An array [batch, heads, rows, width] that begins with the `used` rows of a shorter one, evaluated."""
    batch, heads, _, width = array.shape
    room = mx.zeros((batch, heads, rows - used, width), array.dtype)
    longer = mx.concatenate([array[..., :used, :], room], axis=2)
    mx.eval(longer)
    return longer
