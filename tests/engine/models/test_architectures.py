"""A config decides which models are refused, and why; names, shapes and contexts of those that are not."""

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten
from mlx_lm.models.cache import KVCache

from engine.errors import CheckpointError
from engine.models import ARCHITECTURES, build
from tests.helpers.checkpoints import FAMILIES, OPT

TINY = {config["model_type"]: config for config in (*FAMILIES.values(), OPT)}


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_activations_without_exact_zeros_are_refused(model_type):
    config = TINY[model_type] | {ARCHITECTURES[model_type].key: "gelu"}
    with pytest.raises(CheckpointError, match=r"uses 'gelu', which leaves no neuron exactly zero.*ReLU.* is needed"):
        build(config)


def test_a_config_must_name_its_activation():
    config = {key: value for key, value in TINY["falcon"].items() if key != "activation"}
    with pytest.raises(CheckpointError, match="activation is missing"):
        build(config)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("llama", {"mlp_bias": True}, "gated FFN has biases"),
        ("falcon", {"alibi": True}, "ALiBi"),
        ("sparsellama", {"hidden_act_param": None}, "hidden_act_param, the threshold of fatrelu"),
        ("bamboo", {"hidden_act": "silu"}, "'silu', which leaves no neuron"),
        ("llama", {"model_type": "mixtral"}, "'mixtral' are not supported"),
        ("arcee", {"rope_scaling": {"type": "longrope", "factor": 2.0, "long_factor": [1.0]}}, "'longrope'"),
        ("phi", {"rope_scaling": {"type": "linear"}}, "not supported"),
        ("arcee", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "attention_factor": 1.5}}, "attention_factor"),
    ],
)
def test_what_is_not_computed_is_refused(name, changes, message):
    with pytest.raises(CheckpointError, match=message):
        build(TINY[name] | changes)


@pytest.mark.parametrize(("window", "context"), [(None, 64), (4096, 64), (16, 16)])
def test_a_sliding_window_limits_the_context(window, context):
    _, args = build(TINY["mistral"] | {"sliding_window": window})
    assert args.max_position_embeddings == context


@pytest.mark.parametrize("name", ["nemotron", "arcee"])
def test_an_ffn_without_a_gate_may_have_biases(name):
    model, args = build(TINY[name] | {"mlp_bias": True})
    shapes = [bias.shape for bias in model.layers[0].ffn.biases()]
    assert shapes == [(args.intermediate_size,), (args.hidden_size,)]


@pytest.mark.parametrize(
    ("name", "theirs", "ours"),
    [
        ("llama", "model.layers.0.self_attn.rotary_emb.inv_freq", None),
        ("llama", "lm_head.weight", "lm_head.weight"),
        ("bamboo", "model.layers.3.mlp.predictor.fc1.weight", None),
        ("bamboo", "model.layers.3.mlp.gate_proj.weight", "model.layers.3.ffn.gate.weight"),
        ("falcon", "transformer.h.1.mlp.dense_4h_to_h.weight", "model.layers.1.ffn.down.weight"),
        ("opt", "decoder.layers.1.fc1.weight", "model.layers.1.ffn.up.weight"),
    ],
)
def test_weights_are_renamed_or_left_out(name, theirs, ours):
    config = TINY[name] | ({"tie_word_embeddings": False} if name == "llama" else {})
    assert build(config)[0].rename(theirs) == ours


def test_a_tied_head_is_left_out():
    assert build(FAMILIES["falcon-7b"])[0].rename("lm_head.weight") is None


@pytest.mark.parametrize("name", FAMILIES)
def test_only_the_ffn_is_streamed_and_all_of_it(name):
    model, args = build(FAMILIES[name])
    ffn = {n for n, _ in tree_flatten(model.parameters()) if ".ffn." in n}
    layers = args.num_hidden_layers
    biases = sum(bias is not None for bias in model.layers[0].ffn.biases())
    assert len(ffn) == layers * (len(model.layers[0].ffn.activation.parts) + biases)
    neurons = model.layers[0].ffn.up.weight.shape[0]
    assert {part.shape for part in model.layers[0].ffn.bundle_parts()} == {(neurons, args.hidden_size)}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_planned_kv_cache_is_as_wide_as_the_real_one(name):
    model, args = build(FAMILIES[name])
    cache = [KVCache() for _ in model.layers]
    mx.eval(model(mx.array([[3, 4, 5]]), cache))
    widths = {state.shape[1] * state.shape[3] for layer in cache for state in (layer.keys, layer.values)}
    assert widths == {args.key_width}
