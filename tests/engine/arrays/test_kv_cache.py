"""Keys and values are kept as mlx-lm's cache keeps them, to the bit, and attention finds them where they lie."""

import gc
from weakref import ref

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx_lm.models import cache as mlx_caches

from engine.arrays import packed
from engine.arrays.attention import attended
from engine.arrays.kv_cache import KVCache, held_of
from engine.arrays.packed import FEW_VECTORS

pytestmark = pytest.mark.skipif(not packed.available(), reason="MLX computes on the GPU here")
DTYPES = [mx.float32, mx.float16, mx.bfloat16]


def normal(random, *shape, dtype=mx.float32):
    values = random.choice([1e-8, 1, 1e4]) * random.standard_normal(shape)
    return mx.array(values.astype(np.float32)).astype(dtype)


def same(one, other):
    return mx.array_equal(one.keys, other.keys) and mx.array_equal(one.values, other.values)


@settings(max_examples=60, deadline=None)
@given(
    held=st.sampled_from(DTYPES),
    new=st.sampled_from(DTYPES),
    steps=st.lists(
        st.integers(1, FEW_VECTORS + 2) | st.integers(250, 258) | st.integers(-9, -1), min_size=1, max_size=8
    ),
    transposed=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_cache_holds_what_that_of_mlx_lm_holds(held, new, steps, transposed, seed):
    random, ours, theirs = np.random.default_rng(seed), KVCache(), mlx_caches.KVCache()
    for cache in (ours, theirs):
        cache.keys, cache.values = mx.zeros((1, 2, 0, 8), held), mx.zeros((1, 2, 0, 6), held)
    for step in steps:
        if step < 0:
            assert ours.trim(-step) == theirs.trim(-step)
            continue
        keys, values = (normal(random, 1, 2, step, width, dtype=new) for width in (8, 6))
        if transposed:
            keys, values = (each.transpose(0, 2, 1, 3).transpose(0, 2, 1, 3) for each in (keys, values))
        found, wanted = ours.update_and_fetch(keys, values), theirs.update_and_fetch(keys, values)
        assert all(mx.array_equal(one, other) for one, other in zip(found, wanted, strict=True))
        assert ours.offset == theirs.offset
    assert ours.keys.dtype == theirs.keys.dtype
    assert same(ours, theirs)


def test_what_is_no_number_stays_none():
    cache = KVCache()
    cache.keys = cache.values = mx.zeros((1, 1, 4, 2), mx.bfloat16)
    cache.values = mx.zeros((1, 1, 4, 2), mx.float16)
    broken = mx.array([[[[np.nan, np.inf]]]])
    for array in cache.update_and_fetch(broken, 1e30 * mx.ones((1, 1, 1, 2))):
        assert not mx.any(mx.isfinite(array))
    assert mx.array_equal(mx.isnan(cache.keys[0, 0, 0]), mx.array([True, False]))


def test_attention_is_the_same_whether_the_cache_is_found_or_not():
    random, cache = np.random.default_rng(0), KVCache()
    cache.update_and_fetch(*(normal(random, 1, 2, 40, 16) for _ in range(2)))
    keys, values = cache.update_and_fetch(*(normal(random, 1, 2, 3, 16) for _ in range(2)))
    queries = normal(random, 1, 4, 3, 16)
    assert held_of(keys, values) == (cache.keys, cache.values)
    found = attended(queries, keys, values, cache, 0.2, "causal")
    others = tuple(mx.array(np.array(array)) for array in (keys, values))
    assert held_of(*others) == others
    assert mx.array_equal(found, attended(queries, *others, cache, 0.2, "causal"))


def test_nothing_is_kept_alive():
    cache = KVCache()
    for _ in range(2):
        cache.update_and_fetch(mx.ones((1, 1, 1, 4)), mx.ones((1, 1, 1, 4)))
    held = ref(cache), ref(cache.keys)
    del cache
    gc.collect()
    assert [each() for each in held] == [None, None]
