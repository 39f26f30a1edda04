"""The caches of a model, of whatever architecture: what its layers remember of the tokens before."""

from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx_lm.models import cache as mlx_caches
from mlx_lm.models.cache import QuantizedKVCache, make_prompt_cache

from engine.arrays.evaluation import unevaluated
from engine.arrays.kv_cache import KVCache

KEY_VALUE_BITS = 8  # of a number of keys and values that are kept small
GROUP_SIZE = 64  # of those that share a scale
MAX_SNAPSHOTS = 4  # of what cannot be trimmed: points of a context that can be gone back to


def prompt_caches(model: Module, small: bool = False) -> list[Any]:
    """mlx-lm's caches by layer, empty. small: those that keep every token keep its keys and values in 8 bits, which
    loses some of their precision."""
    caches: list[Any] = make_prompt_cache(model)
    return [_keeping_all(small) if type(cache) is mlx_caches.KVCache else cache for cache in caches]


def _keeping_all(small: bool) -> Any:
    return QuantizedKVCache(GROUP_SIZE, KEY_VALUE_BITS) if small else KVCache()


def shaped_caches(model: Module, tokens: int = 1, small: bool = False) -> list[Any]:
    """mlx-lm's caches by layer, as they are after so many tokens: shapes and dtypes are known, nothing is evaluated."""
    caches = prompt_caches(model, small)
    with unevaluated():
        model(mx.zeros((1, tokens), mx.int32), cache=caches)
    return caches


def small_caches(model: Module, tokens: int) -> list[Any] | None:
    """The same with keys and values in 8 bits; None where a model's attention, or the width of its heads, knows no such
    caches, or where none keeps every token."""
    try:
        caches = shaped_caches(model, tokens, small=True)
    except (ValueError, TypeError, AttributeError, RuntimeError):
        return None
    return caches if any(isinstance(cache, QuantizedKVCache) for cache in caches) else None
