"""A model's layers compute what MLX's do, whatever the dtype and the number of tokens."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from mlx_lm.models import llama
from mlx_lm.models.cache import make_prompt_cache

from engine.arrays import packed
from engine.arrays.layers import NATIVE, use_native_layers
from engine.arrays.rotation import ROTARY

pytestmark = pytest.mark.skipif(not packed.available(), reason="MLX computes on the GPU here")


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.up = nn.Embedding(40, 128), nn.Linear(128, 64)
        self.plain = nn.Linear(128, 64, bias=False)
        self.packed_embed = nn.QuantizedEmbedding(40, 128, group_size=32, bits=8)
        self.packed_up = nn.QuantizedLinear(128, 64, bias=True, group_size=64, bits=4)
        self.norm, self.rms = nn.LayerNorm(128), nn.RMSNorm(128)
        self.bare = nn.LayerNorm(128, affine=False)

    def __call__(self, x):
        linears = [self.up, self.plain, self.embed.as_linear, self.packed_up, self.packed_embed.as_linear]
        return [layer(x) for layer in (*linears, self.norm, self.rms, self.bare)]


@pytest.mark.parametrize("tokens", [1, 20])
@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16, mx.float16])
def test_layers_are_those_of_mlx(tokens, dtype):
    mx.random.seed(0)
    model = Model()
    model.set_dtype(dtype)
    x = (3 * mx.random.normal((1, tokens, 128)) + 1).astype(dtype)
    exact = Model()
    exact.update(model.parameters())
    exact.set_dtype(mx.float32)
    before = exact(x.astype(mx.float32))
    mx.eval(before)
    use_native_layers(model)
    after = model(x)
    tolerance = {mx.float32: 1e-5, mx.bfloat16: 1e-2, mx.float16: 2e-3}[dtype]
    for one, other in zip(before, after, strict=True):
        wanted = np.array(one)
        np.testing.assert_allclose(np.array(other.astype(mx.float32)), wanted, atol=tolerance * np.abs(wanted).max())
        assert other.dtype == dtype


def test_dtypes_are_those_of_mlx():
    model, x = Model(), mx.random.normal((1, 1, 128)).astype(mx.bfloat16)
    model.packed_small = nn.QuantizedLinear(128, 64, bias=False, group_size=32, bits=4, mode="mxfp4")
    before = [y.dtype for y in (*model(x), model.packed_small(x))]
    use_native_layers(model)
    assert [y.dtype for y in (*model(x), model.packed_small(x))] == before


def test_weights_that_are_replaced_are_the_ones_that_count():
    model = Model()
    use_native_layers(model)
    assert {type(module) for module in model.modules()} >= set(NATIVE.values()) - set(ROTARY.values())
    x = mx.random.normal((1, 1, 128))
    first = np.array(model.plain(x))
    model.plain.weight = 2 * model.plain.weight
    np.testing.assert_allclose(np.array(model.plain(x)), 2 * first, rtol=1e-6)


def test_a_model_that_attends_keeps_its_answer_and_others_their_attention():
    mx.random.seed(0)
    args = llama.ModelArgs(
        model_type="llama", hidden_size=64, num_hidden_layers=2, intermediate_size=64, num_attention_heads=4,
        num_key_value_heads=2, rms_norm_eps=1e-5, vocab_size=50,
    )  # fmt: skip
    model, tokens = llama.Model(args), mx.array([[3, 1, 4, 1, 5]])
    kind = type(model.layers[0].self_attn)
    wanted = np.array(model(tokens))
    use_native_layers(model)
    caches = make_prompt_cache(model)
    found = [np.array(model(tokens[:, i : i + 1], cache=caches))[0, 0] for i in range(5)]
    np.testing.assert_allclose(found, wanted[0], atol=1e-5 * np.abs(wanted).max())
    assert type(model.layers[0].self_attn) is not kind
    assert type(llama.Model(args).layers[0].self_attn) is kind
