"""The shape of a model, counted on the model: against files that were written, and caches that were filled."""

import json
from typing import Any

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten
from mlx_lm.models.cache import make_prompt_cache

from engine.bench.expert_shapes import EXPERT_SHAPES
from engine.bench.random_checkpoint import write_random_checkpoint
from engine.bench.random_model import write_random_model
from engine.errors import CheckpointError
from engine.models.mlx_lm import build_mlx_lm
from engine.planning.shape import CacheShape, ModelShape
from engine.store.manifest import PreparedModel
from engine.system.built_in import STARTER_FOLDER
from tests.helpers.checkpoints import FAMILIES, OPT

TINY: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "moe_intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 128,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
QWEN = TINY | {
    "model_type": "qwen3_moe",
    "num_hidden_layers": 3,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [0],
    "norm_topk_prob": True,
}
NEXT = QWEN | {
    "model_type": "qwen3_next",
    "num_hidden_layers": 4,
    "mlp_only_layers": [],
    "shared_expert_intermediate_size": 64,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "linear_conv_kernel_dim": 4,
    "full_attention_interval": 4,
    "partial_rotary_factor": 0.25,
}
GPT_OSS = TINY | {
    "model_type": "gpt_oss",
    "num_hidden_layers": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "sliding_window": 32,
}
DENSE = TINY | {"model_type": "qwen3", "num_hidden_layers": 2}
AFFINE, MXFP4 = {"group_size": 32, "bits": 4, "mode": "affine"}, {"group_size": 32, "bits": 4, "mode": "mxfp4"}


def held(shape: ModelShape) -> int:
    return shape.resident_bytes + shape.bundle_bytes


def file_bytes(path) -> int:
    return sum(tensor.nbytes for tensor in mx.load(str(path)).values())


@pytest.mark.parametrize("name", FAMILIES)
def test_it_counts_what_a_prepared_model_of_each_family_stores(name, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.bench.random_model.BLOCK_NUMBERS", 1 << 12)  # random numbers, of which any will do
    config = FAMILIES[name]
    write_random_model(tmp_path / "model", name, config, "float16", 0.1)
    shape = ModelShape.from_config(config, "float16")
    assert shape.resident_bytes == file_bytes(tmp_path / "model" / "resident.safetensors")
    assert shape.bundle_bytes == file_bytes(tmp_path / "model" / "bundles.safetensors")
    assert ModelShape.from_config(config, "float16", "float32").resident_bytes == 2 * shape.resident_bytes


def test_it_counts_what_the_starter_stores():
    prepared = PreparedModel.open(STARTER_FOLDER)
    shape = ModelShape.from_config(prepared.config, prepared.manifest.dtype)
    assert shape.resident_bytes == file_bytes(STARTER_FOLDER / "resident.safetensors")
    assert shape.bundle_bytes == sum(layer.bytes for layer in prepared.bundles.layers)
    assert shape.head_bytes + shape.looked_up_bytes + shape.attention_bytes == shape.resident_bytes


@pytest.mark.parametrize("quantization", [None, AFFINE, MXFP4, AFFINE | {"bits": 6, "group_size": 64}])
@pytest.mark.parametrize("config", [QWEN, NEXT, GPT_OSS, DENSE], ids=lambda config: config["model_type"])
def test_it_counts_what_a_checkpoint_of_mlx_lm_s_stores(config, quantization, tmp_path):
    size = write_random_checkpoint(tmp_path / "model", config, quantization)
    shape = ModelShape.from_config(json.loads((tmp_path / "model" / "config.json").read_text()))
    stored = shape.resident_bytes + sum(bundle.count * bundle.stored_bytes for bundle in shape.bundles)
    assert stored == pytest.approx(size, rel=0.01)
    moe = config["model_type"] != "qwen3"
    assert shape.kind == ("expert" if moe else "block")
    assert {bundle.kind for bundle in shape.bundles} == {shape.kind, "block", "row"}
    assert all(bundle.chosen == (2 if moe else None) for bundle in shape.chief_bundles)
    paths = [bundle.path for bundle in shape.chief_bundles]
    assert not moe or paths == sorted(paths)


@pytest.mark.parametrize("config", [QWEN, NEXT, GPT_OSS, DENSE], ids=lambda config: config["model_type"])
@pytest.mark.parametrize("tokens", [1, 30, 256, 300, 700])
def test_caches_are_as_large_as_they_become(config, tokens):
    model = build_mlx_lm(config)
    caches = make_prompt_cache(model)
    for start in range(0, tokens, 20):  # in pieces: a rotating cache keeps a whole piece beside its window
        model(mx.zeros((1, min(20, tokens - start)), mx.int32), cache=caches)
    real = sum(array.nbytes for cache in caches for _, array in tree_flatten(cache.state[:2]) if hasattr(array, "size"))
    told = ModelShape.from_config(config).context_bytes(tokens)
    assert told >= real or config["model_type"] == "gpt_oss"
    assert told == pytest.approx(real, rel=0.02, abs=60_000)


@pytest.mark.parametrize("name", EXPERT_SHAPES)
def test_the_largest_models_take_no_memory(name):
    before = mx.get_active_memory()
    shape = ModelShape.from_config(EXPERT_SHAPES[name].config | {"quantization": EXPERT_SHAPES[name].quantization})
    assert mx.get_active_memory() - before < 1_000_000
    assert {bundle.count for bundle in shape.chief_bundles} == {EXPERT_SHAPES[name].experts}
    assert {bundle.chosen for bundle in shape.chief_bundles} == {EXPERT_SHAPES[name].top_k}
    assert shape.resident_bytes < 0.05 * held(shape)


@given(
    rows=st.integers(0, 10**6), fixed=st.integers(0, 10**6), window=st.none() | st.integers(1, 10**5),
    tokens=st.lists(st.integers(0, 10**6), min_size=2, max_size=2).map(sorted),
)  # fmt: skip
def test_more_context_never_takes_less(rows, fixed, window, tokens):
    cache = CacheShape(rows, fixed, window)
    fewer, more = (cache.bytes(count) for count in tokens)
    assert fixed <= fewer <= more
    assert fewer >= fixed + rows * min(tokens[0], window or tokens[0])
    if window:
        assert more <= fixed + rows * window


HOSTILE = st.sampled_from([None, -1, 0, 10**9, 10**30, 1.5, float("inf"), "x", "../../os", [], {}, [1], True])


@settings(max_examples=150, deadline=None)
@given(family=st.sampled_from([OPT, QWEN, GPT_OSS, *FAMILIES.values()]), data=st.data())
def test_a_config_gives_a_shape_or_one_clear_error(family, data):
    key = data.draw(st.sampled_from(sorted(family)))
    try:
        shape = ModelShape.from_config(family | {key: data.draw(HOSTILE)})
    except CheckpointError as error:
        assert "Traceback" not in str(error)
    else:
        assert shape.resident_bytes >= 0


@pytest.mark.parametrize("model_type", ["../cache", "base.x", "os", "", 3, None, "switch_layers"])
def test_only_architectures_of_mlx_lm_are_built(model_type):
    with pytest.raises(CheckpointError):
        ModelShape.from_config(TINY | {"model_type": model_type, "num_hidden_layers": 1})
