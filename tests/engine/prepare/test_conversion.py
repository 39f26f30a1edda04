"""From original checkpoints to MLX's form: byte for byte what mlx-lm's own conversion makes, an expert at a time."""

import json

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from mlx_lm.utils import load_model, quantize_model

from engine.errors import CheckpointError, FlashbulbError
from engine.models.mlx_lm import build_mlx_lm
from engine.prepare.conversion import Quantisation, convert

BASE = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "vocab_size": 128,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e4,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
}
EXPERTS = 6
QWEN = BASE | {
    "model_type": "qwen3_moe",
    "moe_intermediate_size": 64,
    "num_experts": EXPERTS,
    "num_experts_per_tok": 2,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "norm_topk_prob": True,
}
MIXTRAL = BASE | {"model_type": "mixtral", "num_local_experts": EXPERTS, "num_experts_per_tok": 2}
GRANITE = BASE | {
    "model_type": "granitemoe",
    "num_local_experts": EXPERTS,
    "num_experts_per_tok": 2,
    "logits_scaling": 1.0,
    "embedding_multiplier": 1.0,
    "attention_multiplier": 1.0,
    "residual_multiplier": 1.0,
    "attention_bias": False,
    "tie_word_embeddings": True,
}
GPT_OSS = BASE | {
    "model_type": "gpt_oss",
    "num_local_experts": EXPERTS,
    "num_experts_per_tok": 2,
    "sliding_window": 16,
    "quantization_config": {"quant_method": "mxfp4"},
}
LLAMA = BASE | {"model_type": "llama"}


def random_weights(config):
    """An MLX model's parameters, random, by its own names."""
    plain = {name: value for name, value in config.items() if name != "quantization_config"}
    named = tree_flatten(build_mlx_lm(plain).parameters())
    return {name: (0.05 * mx.random.normal(array.shape)).astype(mx.bfloat16) for name, array in named}


def apart(weights, old, renamed):
    """Stacked experts as tensors of their own, under a checkpoint's names."""
    made = {}
    for name, array in weights.items():
        if old not in name:
            made[name] = array
            continue
        at, part = name.split(f".{old}.")
        for expert in range(EXPERTS):
            made[f"{at}.experts.{expert}.{renamed(part)}"] = array[expert]
    return made


def qwen():
    return QWEN, apart(random_weights(QWEN), "switch_mlp", lambda part: part)


def mixtral():
    names = {"gate_proj.weight": "w1.weight", "down_proj.weight": "w2.weight", "up_proj.weight": "w3.weight"}
    return MIXTRAL, apart(random_weights(MIXTRAL), "switch_mlp", names.__getitem__)


def granite():
    weights = random_weights(GRANITE)
    for layer in range(2):
        at = f"model.layers.{layer}.block_sparse_moe."
        parts = [weights.pop(f"{at}switch_mlp.{part}_proj.weight") for part in ("gate", "up", "down")]
        weights[f"{at}input_linear.weight"] = mx.concatenate(parts[:2], axis=1)
        weights[f"{at}output_linear.weight"] = parts[2]
    return GRANITE, weights


def gpt_oss():
    """Experts that are packed already, gate and up in turns."""
    weights = random_weights(GPT_OSS)
    for layer in range(2):
        at = f"model.layers.{layer}.mlp.experts."
        for part in ("gate_proj", "up_proj", "down_proj"):
            del weights[f"{at}{part}.weight"]
        gate, up = (weights.pop(f"{at}{part}_proj.bias") for part in ("gate", "up"))
        weights[f"{at}gate_up_proj_bias"] = mx.stack([gate, up], axis=-1).reshape(EXPERTS, -1)
        weights[f"{at}down_proj_bias"] = weights.pop(f"{at}down_proj.bias")
        for part, rows in (("gate_up_proj", 128), ("down_proj", 64)):
            weights[f"{at}{part}_blocks"] = mx.random.randint(0, 256, (EXPERTS, rows, 2, 16)).astype(mx.uint8)
            weights[f"{at}{part}_scales"] = mx.random.randint(118, 130, (EXPERTS, rows, 2)).astype(mx.uint8)
    return GPT_OSS, weights


def llama():
    return LLAMA, random_weights(LLAMA)


MADE = {"qwen3_moe": qwen, "mixtral": mixtral, "granitemoe": granite, "gpt_oss": gpt_oss, "llama": llama}


def write(folder, config, weights, shards=2):
    folder.mkdir()
    names = list(weights)
    for number in range(shards):
        part = {name: weights[name] for name in names[number::shards]}
        mx.save_safetensors(str(folder / f"model-{number}.safetensors"), part)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text("{}")
    return folder


def tensors(folder):
    found = {}
    for path in folder.glob("*.safetensors"):
        found |= mx.load(str(path))
    return found


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype, name
        assert mx.array_equal(found[name], array).item(), name


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr("engine.prepare.conversion.PIECE_BYTES", 4_000)
    monkeypatch.setattr("engine.prepare.conversion.SHARD_BYTES", 60_000)


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("form", [Quantisation(4, 32), Quantisation(8, 64), Quantisation(4, 32, "mxfp4")], ids=str)
def test_it_is_what_mlx_lm_makes(tmp_path, capsys, name, form):
    mx.random.seed(0)
    checkpoint = write(tmp_path / "checkpoint", *MADE[name]())
    model, config = load_model(checkpoint, lazy=True)
    wanted, _ = quantize_model(model, config, form.group_size, form.bits, form.mode)
    size = convert(checkpoint, tmp_path / "model", form)
    found = tensors(tmp_path / "model")
    assert_same(found, dict(tree_flatten(wanted.parameters())))
    assert size == sum(array.nbytes for array in found.values())
    again, _ = load_model(tmp_path / "model")
    assert_same(dict(tree_flatten(again.parameters())), found)
    assert (tmp_path / "model" / "generation_config.json").is_file()
    assert not [path.name for path in (tmp_path / "model").iterdir() if path.name.startswith("conversion")]


def test_sixteen_bits_stay_as_they_are(tmp_path):
    checkpoint = write(tmp_path / "checkpoint", *qwen())
    convert(checkpoint, tmp_path / "model")
    model, _ = load_model(checkpoint, lazy=True)
    assert_same(tensors(tmp_path / "model"), dict(tree_flatten(model.parameters())))


def test_an_interrupted_conversion_goes_on_where_it_was(tmp_path, monkeypatch):
    mx.random.seed(0)
    checkpoint, form = write(tmp_path / "checkpoint", *qwen()), Quantisation(4, 32)
    convert(checkpoint, tmp_path / "wanted", form)
    units, seen = [], []

    def stop(unit, share):
        units.append(unit)
        if len(units) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(checkpoint, tmp_path / "model", form, stop)
    assert not (tmp_path / "model").exists()
    convert(checkpoint, tmp_path / "model", form, lambda unit, share: seen.append(unit))
    assert seen[0] == units[3]
    assert_same(tensors(tmp_path / "model"), tensors(tmp_path / "wanted"))


def test_one_expert_is_in_memory_at_a_time(tmp_path):
    """Of a layer whose experts are most of the model."""
    config = QWEN | {"num_hidden_layers": 1, "num_experts": 32, "moe_intermediate_size": 1024, "hidden_size": 256}
    weights = {}
    for name, array in random_weights(config).items():
        if "switch_mlp" in name:
            at, part = name.split(".switch_mlp.")
            weights |= {f"{at}.experts.{expert}.{part}": array[expert] for expert in range(32)}
        else:
            weights[name] = array
    checkpoint = write(tmp_path / "checkpoint", config, weights)
    total = sum(array.nbytes for array in weights.values())
    del weights
    mx.clear_cache()
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    convert(checkpoint, tmp_path / "model", Quantisation(4, 64))
    assert total > 50_000_000
    assert mx.get_peak_memory() - before < total / 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda config, weights: weights.pop("model.norm.weight"), "lacks 1 of the model's tensors"),
        (lambda config, weights: weights.pop("model.layers.1.mlp.experts.3.up_proj.weight"), "Download it again"),
        (lambda config, weights: config.update(quantization={"bits": 4}), "already"),
        (lambda config, weights: config.update(model_type="nobody_knows"), "not supported"),
    ],
)
def test_what_cannot_be_converted_is_refused_in_a_line(tmp_path, change, words):
    config, weights = qwen()
    config = dict(config)
    change(config, weights)
    with pytest.raises(CheckpointError, match=words):
        convert(write(tmp_path / "checkpoint", config, weights), tmp_path / "model", Quantisation(4, 32))
    assert not (tmp_path / "model").exists()


def test_two_do_not_do_it_at_once(tmp_path):
    checkpoint, caught = write(tmp_path / "checkpoint", *llama()), []

    def second(*_):
        if not caught:
            with pytest.raises(FlashbulbError) as error:
                convert(checkpoint, tmp_path / "model", Quantisation(4, 32))
            caught.append(error.value)

    convert(checkpoint, tmp_path / "model", Quantisation(4, 32), second)
    assert caught


def test_values_that_are_not_numbers_are_refused(tmp_path):
    config, weights = llama()
    weights["model.norm.weight"] = mx.array(np.full(64, np.nan)).astype(mx.bfloat16)
    with pytest.raises(CheckpointError, match="NaN"):
        convert(write(tmp_path / "checkpoint", config, weights), tmp_path / "model", Quantisation(4, 32))
