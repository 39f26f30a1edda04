"""The context's caches grow by themselves, before they are needed."""

import mlx.core as mx
import numpy as np
import pytest
from mlx_lm.models.cache import KVCache

from engine.inference.context import KeyValueContext
from engine.models import build
from tests.helpers.checkpoints import FAMILIES


def filled(context: KeyValueContext, tokens: int, rng: np.random.Generator) -> None:
    """Append random keys and values to every layer."""
    for cache in context.caches:
        shapes = [(*array.shape[:2], tokens, array.shape[3]) for array in (cache.keys, cache.values)]
        cache.update_and_fetch(*(mx.array(rng.standard_normal(shape).astype(np.float32)) for shape in shapes))


@pytest.mark.parametrize("family", ["llama-grouped-tied", "falcon-7b", "falcon-40b", "phi", "nemotron"])
def test_room_is_made_ahead_and_nothing_is_lost(family):
    network, _ = build(FAMILIES[family])
    context = KeyValueContext(network, mx.float32)
    reference = [KVCache() for _ in context.caches]
    rng, again = np.random.default_rng(0), np.random.default_rng(0)
    for tokens in (3, 300, 1, 200, 1, 1):
        context.make_room(tokens)
        rows = context.caches[0].keys.shape[2]
        filled(context, tokens, rng)
        assert context.caches[0].keys.shape[2] == rows, "room was made before"
        for ours, theirs in zip(context.caches, reference, strict=True):
            shapes = [(*array.shape[:2], tokens, array.shape[3]) for array in (ours.keys, ours.values)]
            theirs.update_and_fetch(*(mx.array(again.standard_normal(s).astype(np.float32)) for s in shapes))
    for ours, theirs in zip(context.caches, reference, strict=True):
        for mine, other in zip(ours.keys_and_values(), theirs.keys_and_values(), strict=True):
            assert mx.array_equal(mine, other)
    assert context.tokens == 506
    assert context.caches[0].keys.shape[2] == 512


def test_room_that_is_there_is_left_alone():
    context = KeyValueContext(build(FAMILIES["llama"])[0], mx.float16)
    context.make_room(256)
    filled(context, 256, np.random.default_rng(0))
    context.trim(10)
    before = [cache.keys for cache in context.caches]
    context.make_room(246)
    assert all(cache.keys is keys for cache, keys in zip(context.caches, before, strict=True))
    assert context.tokens == 10
