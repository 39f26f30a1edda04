"""The context's caches grow before they are needed, and become smaller."""

import mlx.core as mx
import numpy as np
import pytest
from mlx_lm.models.cache import KVCache, QuantizedKVCache

from engine.inference.context import KeyValueContext, set_rows
from engine.models import build
from tests.helpers.checkpoints import FAMILIES


def filled(context: KeyValueContext, tokens: int, rng: np.random.Generator) -> None:
    """Append random keys and values to every layer."""
    for cache in context.caches:
        shapes = [(*array.shape[:2], tokens, array.shape[3]) for array in (cache.keys, cache.values)]
        cache.update_and_fetch(*(mx.array(rng.standard_normal(shape).astype(np.float32)) for shape in shapes))


@pytest.mark.parametrize("family", ["llama-grouped-tied", "falcon-7b", "falcon-40b", "phi", "nemotron"])
def test_room_is_made_ahead_and_given_back_and_nothing_is_lost(family):
    network, _ = build(FAMILIES[family])
    context = KeyValueContext(network, mx.float32)
    reference = [KVCache() for _ in context.caches]
    rng, again = np.random.default_rng(0), np.random.default_rng(0)
    for tokens, room in ((3, 256), (300, 512), (1, 304), (200, 1024), (1, 768), (1, 506)):
        context.resize(room)
        assert context.rows == room
        filled(context, tokens, rng)
        assert context.rows == room, "room was made before"
        for ours, theirs in zip(context.caches, reference, strict=True):
            shapes = [(*array.shape[:2], tokens, array.shape[3]) for array in (ours.keys, ours.values)]
            theirs.update_and_fetch(*(mx.array(again.standard_normal(s).astype(np.float32)) for s in shapes))
    for ours, theirs in zip(context.caches, reference, strict=True):
        for mine, other in zip(ours.keys_and_values(), theirs.keys_and_values(), strict=True):
            assert mx.array_equal(mine, other)
    assert context.tokens == 506


def test_room_that_is_there_is_left_alone():
    context = KeyValueContext(build(FAMILIES["llama"])[0], mx.float16)
    context.resize(256)
    filled(context, 256, np.random.default_rng(0))
    context.trim(10)
    before = [cache.keys for cache in context.caches]
    context.resize(256)
    assert all(cache.keys is keys for cache, keys in zip(context.caches, before, strict=True))
    assert context.tokens == 10


def test_a_quantised_cache_has_room_made_too():
    cache, reference = QuantizedKVCache(), QuantizedKVCache()
    rng = np.random.default_rng(0)
    for room in (256, 512, 400, 1024):
        if cache.keys is not None:
            set_rows(cache, room)
            assert {array.shape[2] for array in (*cache.keys, *cache.values)} == {room}
        both = [mx.array(rng.standard_normal((1, 2, 90, 64)).astype(np.float32)) for _ in range(2)]
        for each in (cache, reference):
            each.update_and_fetch(*both)
    for mine, other in zip(cache.keys_and_values(), reference.keys_and_values(), strict=True):
        assert all(mx.array_equal(a, b) for a, b in zip(mine, other, strict=True))
