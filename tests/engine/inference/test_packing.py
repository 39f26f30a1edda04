"""States as bytes and back: bit for bit, of every kind of cache."""

import mlx.core as mx
import numpy as np
import pytest
from mlx_lm.models.cache import ArraysCache, CacheList, KVCache, QuantizedKVCache, RotatingKVCache

from engine.inference.kept import BLOCK_TOKENS, DamagedContextError, Head
from engine.inference.packing import block_of, rest_of, row_shapes, state_of, stops_of
from engine.inference.states import ContextState, Snapshot, always_trims, arrays_of, copied

WIDTH = 64


def fresh() -> list:
    pair = CacheList(KVCache(), KVCache())
    return [KVCache(), QuantizedKVCache(bits=8), RotatingKVCache(8, keep=2), ArraysCache(2), pair]


def appended(caches: list, tokens: int, dtype=mx.bfloat16) -> list:
    for cache in caches:
        parts = cache.caches if isinstance(cache, CacheList) else [cache]
        for part in parts:
            if isinstance(part, ArraysCache):
                part[0] = mx.random.normal((1, 3, 4))
            else:
                part.update_and_fetch(*(mx.random.normal((1, 2, tokens, WIDTH)).astype(dtype) for _ in range(2)))
    return caches


def packed(state: ContextState, folder) -> tuple[Head, list, bytes]:
    """A head, the files of its blocks, and the rest."""
    tokens = list(range(state.tokens))
    blocks = []
    for number in range(state.tokens // BLOCK_TOKENS):
        blocks.append(folder / str(number))
        blocks[-1].write_bytes(block_of(state, number))
    head = Head("model", tokens, [], stops_of(state), row_shapes(state), [each.name for each in blocks], [])
    assert all(block.stat().st_size == head.block_bytes for block in blocks)
    return head, blocks, rest_of(state)


def assert_same(ours: list, theirs: list, tokens: int) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        assert type(mine) is type(other)
        if always_trims(mine):
            assert mine.offset == tokens
            other.trim(other.offset - tokens)
            mine, other = mine.keys_and_values(), other.keys_and_values()
        pairs = list(zip(arrays_of(mine), arrays_of(other), strict=True))
        assert pairs
        assert all(a.dtype == b.dtype and mx.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("dtype", [mx.bfloat16, mx.float16, mx.float32])
@pytest.mark.parametrize("tokens", [5, BLOCK_TOKENS, 2 * BLOCK_TOKENS + 9])
def test_what_comes_back_is_the_same_to_the_bit(tokens, dtype, tmp_path):
    state = ContextState(tokens, appended(fresh(), tokens, dtype))
    back = state_of(*packed(state, tmp_path), tokens, fresh())
    assert back.tokens == tokens
    assert_same(back.caches, state.caches, tokens)
    for mine, other in zip(back.caches, state.caches, strict=True):  # and goes on alike
        mx.random.seed(1)
        appended([mine], 1, dtype)
        mx.random.seed(1)
        appended([other], 1, dtype)
    assert_same(back.caches, state.caches, tokens + 1)


def test_a_beginning_comes_back_with_the_snapshot_there(tmp_path):
    caches = appended(fresh(), BLOCK_TOKENS + 3)
    saved = [None if always_trims(cache) else copied(cache) for cache in caches]
    expected = copied(caches)
    appended(caches, 40)
    state = ContextState(BLOCK_TOKENS + 43, caches, (Snapshot(BLOCK_TOKENS + 3, saved, True),))
    back = state_of(*packed(state, tmp_path), BLOCK_TOKENS + 3, fresh())
    assert_same(back.caches, expected, BLOCK_TOKENS + 3)
    assert [(each.tokens, each.lasting) for each in back.snapshots] == [(BLOCK_TOKENS + 3, True)]


def test_another_kind_of_cache_is_refused(tmp_path):
    state = ContextState(5, appended(fresh(), 5))
    head, blocks, rest = packed(state, tmp_path)
    for other in ([KVCache(), *fresh()[:4]], fresh()[:4], []):
        with pytest.raises(DamagedContextError):
            state_of(head, blocks, rest, 5, other)
    with pytest.raises(DamagedContextError):
        state_of(head, blocks, rest[:-9], 5, fresh())


def test_a_copy_of_a_beginning_is_its_own(tmp_path):
    state = ContextState(20, appended([KVCache(), QuantizedKVCache()], 20))
    copy = state.beginning(12)
    before = [np.array(array.astype(mx.float32)) for array in arrays_of(copy.caches)]
    appended(state.caches, 3)
    after = [np.array(array.astype(mx.float32)) for array in arrays_of(copy.caches)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert {cache.offset for cache in copy.caches} == {12}
    assert (state.reach(15), copy.reach(15)) == (15, 12)
