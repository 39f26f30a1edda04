"""Random checkpoints: mlx-lm loads them as it loads real ones, and they compute something."""

import mlx.core as mx
import pytest
from mlx_lm.utils import load_model

from engine.bench.expert_shapes import AFFINE, EXPERT_SHAPES, MXFP4
from engine.bench.random_checkpoint import checkpoint_bytes, write_random_checkpoint
from tests.helpers.moe_sizes import TINY_EXPERTS

QUANTISED = [
    None,
    AFFINE,
    AFFINE | {"bits": 8, "group_size": 32},
    MXFP4,
    {"group_size": 32, "bits": 8, "mode": "mxfp8"},
    {"group_size": 16, "bits": 4, "mode": "nvfp4"},
]


@pytest.mark.parametrize("quantization", QUANTISED, ids=lambda q: str(q and f"{q['mode']}-{q['bits']}"))
def test_mlx_lm_loads_what_is_written(tmp_path, quantization, monkeypatch):
    monkeypatch.setattr("engine.bench.random_checkpoint.SHARD_BYTES", 200_000)
    config = EXPERT_SHAPES["qwen3-30b-a3b"].config | TINY_EXPERTS
    size = write_random_checkpoint(tmp_path / "model", config, quantization)
    files = list((tmp_path / "model").glob("*.safetensors"))
    assert len(files) > 1
    assert size == checkpoint_bytes(config, quantization)
    assert size < sum(file.stat().st_size for file in files) < size + 200_000
    model, _ = load_model(tmp_path / "model")
    if quantization is None:
        model.set_dtype(mx.float32)  # 16-bit experts are not multiplied without a GPU
    logits = model(mx.array([[1, 2, 3]])).astype(mx.float32)
    assert mx.isfinite(logits).all().item()
    assert logits.std().item() > 0.01


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [("qwen3-30b-a3b", 17.2), ("qwen3.5-35b-a3b", 19.5), ("gpt-oss-20b", 11.1), ("olmoe-1b-7b", 3.9)],
)
def test_shapes_have_the_real_sizes(name, gigabytes):
    """Of mlx-community's files: 17.2, 19.5, 11.1 and 3.9 GB."""
    shape = EXPERT_SHAPES[name]
    assert checkpoint_bytes(shape.config, shape.quantization) == pytest.approx(gigabytes * 1e9, rel=0.01)


@pytest.mark.parametrize("name", EXPERT_SHAPES)
def test_a_shape_may_have_fewer_layers(name):
    shape = EXPERT_SHAPES[name]
    fewer = checkpoint_bytes(shape.of_layers(2).config, shape.quantization)
    assert 0 < fewer < checkpoint_bytes(shape.config, shape.quantization) / 2


def test_tokens_look_different_and_choose_different_experts(tmp_path):
    config = EXPERT_SHAPES["qwen3-30b-a3b"].config | TINY_EXPERTS | {"hidden_size": 1024, "num_experts": 64}
    write_random_checkpoint(tmp_path / "model", config, AFFINE)
    model, _ = load_model(tmp_path / "model")
    model.set_dtype(mx.float32)
    x, last = model.model.embed_tokens(mx.arange(100)), model.model.layers[-1]
    assert abs(mx.mean(x).item()) < 0.02 * mx.std(x).item()
    for layer in model.model.layers:
        x = layer(x[:, None])[:, 0]
    chosen = mx.argpartition(-last.mlp.gate(last.post_attention_layernorm(x)), 8, axis=-1)[:, :8]
    assert len(set(chosen.flatten().tolist())) > 48
