"""FFNs that leave most neurons at zero, against mlx-lm's own."""

import mlx.core as mx
import pytest
from mlx_lm.models.gemma3n import MLP, TextConfig

from engine.models.mlx_lm import build_mlx_lm
from engine.models.sparse_ffn import sparse_ffns
from tests.helpers.dense_models import CONFIGS, GEMMA3N


def test_those_are_found_whose_gate_is_cut_off():
    pattern = [0.95, 0.0, 0.9]
    config = {"model_type": "gemma3n", "text_config": GEMMA3N | {"activation_sparsity_pattern": pattern}}
    first, second = sparse_ffns(build_mlx_lm(config))
    assert (first.up, first.gate) == tuple(f"model.language_model.layers.0.mlp.{n}_proj" for n in ("up", "gate"))
    assert second.path == "model.language_model.layers.2.mlp"
    assert (first.active_share, second.active_share) == (pytest.approx(0.05), pytest.approx(0.1))


@pytest.mark.parametrize("model_type", ["llama", "gemma3_text", "gemma4_text"])
def test_others_have_none(model_type):
    assert not list(sparse_ffns(build_mlx_lm({"model_type": model_type, **CONFIGS[model_type]})))


@pytest.mark.parametrize("share", [0.95, 0.5])
def test_the_activation_is_mlx_lm_s_to_the_bit(share):
    mx.disable_compile()
    mx.random.seed(0)
    config = TextConfig.from_dict(GEMMA3N | {"activation_sparsity_pattern": [share] * 3, "intermediate_size": 2048})
    mlp, x = MLP(config), mx.random.normal((1, 3, 128))
    [ffn] = sparse_ffns(mlp)
    hidden = ffn.activation(mlp.gate_proj(x))
    assert mx.array_equal(mlp.down_proj(hidden * mlp.up_proj(x)), mlp(x))
    assert float(mx.mean(hidden != 0)) == pytest.approx(ffn.active_share, abs=0.03)
