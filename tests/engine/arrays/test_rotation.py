"""A few tokens are turned as MLX turns them, to the bit, by every kind of rotary positions."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx_lm.models.rope_utils import Llama3RoPE, ProportionalRoPE, SuScaledRoPE, YarnRoPE

from engine.arrays import packed
from engine.arrays.layers import use_native_layers
from engine.arrays.packed import FEW_VECTORS
from engine.arrays.rotation import BLOCK_POSITIONS

pytestmark = pytest.mark.skipif(not packed.available(), reason="MLX computes on the GPU here")
KINDS = {
    "plain": lambda dims, pairs: nn.RoPE(dims, traditional=pairs, base=5e5),
    "linear": lambda dims, pairs: nn.RoPE(dims, traditional=pairs, scale=0.25),
    "llama3": lambda dims, pairs: Llama3RoPE(dims, 2048, pairs, 5e5, {"factor": 8.0}),
    "yarn": lambda dims, pairs: YarnRoPE(dims, pairs, scaling_factor=4.0),
    "proportional": lambda dims, pairs: ProportionalRoPE(dims, dims // 2, pairs),
    "long": lambda dims, _: SuScaledRoPE(dims, long_factor=[1.0 + i for i in range(dims // 2)]),
}


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(list(KINDS)),
    dims=st.sampled_from([4, 16, 20, 64]),
    beside=st.sampled_from([0, 0, 12]),
    interleaved=st.booleans(),
    tokens=st.integers(1, FEW_VECTORS + 2),
    offset=st.integers(0, 5) | st.integers(BLOCK_POSITIONS - 3, BLOCK_POSITIONS + 3) | st.integers(0, 100_000),
    seed=st.integers(0, 99),
)
def test_rotation_is_that_of_mlx(kind, dims, beside, interleaved, tokens, offset, seed):
    x = np.random.default_rng(seed).standard_normal((1, 3, tokens, dims + beside)).astype(np.float32)
    theirs, ours = (KINDS[kind](dims, interleaved) for _ in range(2))
    use_native_layers(ours)
    assert type(theirs) is not type(ours)
    wanted, found = (np.array(module(mx.array(x), offset=offset)) for module in (theirs, ours))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * np.abs(x).max())
    turned = ours(mx.array(x.astype(np.float16)), offset=offset)
    assert turned.dtype == mx.float16


def test_those_that_differ_in_anything_turn_differently():
    x = mx.ones((1, 1, 1, 8))
    modules = [nn.RoPE(8), nn.RoPE(8, base=500.0), nn.RoPE(8, scale=0.5), Llama3RoPE(8, scaling_config={"factor": 2.0})]
    modules += [Llama3RoPE(8, scaling_config={"factor": 32.0, "original_max_position_embeddings": 32}), nn.RoPE(4)]
    for module in modules:
        use_native_layers(module)
    assert len({np.array(module(x, offset=40)).tobytes() for module in modules}) == len(modules)


def test_a_token_is_turned_to_the_bit_as_among_others():
    rope, x = nn.RoPE(16), mx.random.normal((1, 2, 9, 16))
    use_native_layers(rope)
    together = rope(x, offset=BLOCK_POSITIONS - 4)
    alone = [rope(x[:, :, i : i + 1], offset=BLOCK_POSITIONS - 4 + i) for i in range(9)]
    assert mx.array_equal(together, mx.concatenate(alone, axis=2))
