"""Attention equals MLX's, whatever the shapes, the mask and the dtype."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx_lm.models.base import scaled_dot_product_attention
from mlx_lm.models.cache import KVCache

from engine.arrays import packed
from engine.arrays.attention import attended
from engine.arrays.packed import FEW_VECTORS

pytestmark = pytest.mark.skipif(not packed.available(), reason="MLX computes on the GPU here")


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from([mx.float32, mx.bfloat16, mx.float16]),
    heads=st.integers(1, 3),
    group=st.integers(1, 4),
    dim=st.sampled_from([8, 20, 64]),
    before=st.integers(0, 300),
    length=st.sampled_from([1, 1, 1, 5, 40, 131]),
    masked=st.sampled_from([None, "causal", "window"]),
    with_sinks=st.booleans(),
    seed=st.integers(0, 99),
)
def test_attention_is_that_of_mlx(dtype, heads, group, dim, before, length, masked, with_sinks, seed):
    random, cache = np.random.default_rng(seed), KVCache()

    def normal(*shape):
        return mx.array(random.standard_normal(shape).astype(np.float32)).astype(dtype)

    cache.update_and_fetch(normal(1, heads, before + 1, dim), normal(1, heads, before + 1, dim))
    cache.trim(1)  # what is behind the end counts for nothing
    queries = normal(1, heads * group, length, dim)
    keys, values = cache.update_and_fetch(normal(1, heads, length, dim), normal(1, heads, length, dim))
    mask = mx.array(np.tri(length, before + length, before, bool)) if masked == "window" else masked
    sinks = normal(heads * group) if with_sinks else None
    found = attended(queries, keys, values, cache, dim**-0.5, mask, sinks)
    exact = (array.astype(mx.float32) for array in (queries, keys, values))
    sinks = None if sinks is None else sinks.astype(mx.float32)
    wanted = scaled_dot_product_attention(*exact, cache=cache, scale=dim**-0.5, mask=mask, sinks=sinks)
    assert found.dtype == dtype
    tolerance = {mx.float32: 1e-5, mx.bfloat16: 2e-2, mx.float16: 3e-3}[dtype]
    np.testing.assert_allclose(np.array(found.astype(mx.float32)), np.array(wanted), atol=tolerance, rtol=tolerance)


def test_several_conversations_and_keys_whose_numbers_do_not_follow_each_other():
    random = np.random.default_rng(0)
    queries, keys, values = (mx.array(random.standard_normal((2, 3, 20, 30)).astype(np.float32)) for _ in range(3))
    mask = mx.array(random.random((2, 1, 20, 20)) < 0.5) | mx.eye(20, dtype=mx.bool_)
    turned = mx.contiguous(keys.swapaxes(-1, -2)).swapaxes(-1, -2)
    found = attended(queries, turned, values, None, 0.2, mask)
    wanted = scaled_dot_product_attention(queries, keys, values, cache=None, scale=0.2, mask=mask)
    np.testing.assert_allclose(np.array(found), np.array(wanted), atol=1e-5)


@pytest.mark.parametrize("length", [2, FEW_VECTORS])
@pytest.mark.parametrize("dtype", [mx.float32, mx.float16])
def test_a_few_tokens_attend_to_the_bit_as_each_alone(dtype, length):
    random = np.random.default_rng(0)
    queries, keys, values = (
        mx.array(random.standard_normal((1, heads, tokens, 20)).astype(np.float32)).astype(dtype)
        for heads, tokens in ((6, length), (2, 130), (2, 130))
    )
    together = attended(queries, keys, values, None, 0.2, "causal")
    for i in range(length):
        seen = 130 - length + i + 1
        alone = attended(queries[:, :, i : i + 1], keys[:, :, :seen], values[:, :, :seen], None, 0.2)
        assert mx.array_equal(together[:, :, i : i + 1], alone)
