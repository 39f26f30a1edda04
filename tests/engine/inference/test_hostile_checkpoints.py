"""Folders that are damaged, that lie, or that change while they are used: one clear line each, and nothing else breaks.

Beside them the unusual ones that are right: mixed bits, several shards.
"""

import json
import os

import mlx.core as mx
import numpy as np
import pytest

from engine.errors import BudgetError, CheckpointError, ReadError
from engine.inference.load import load
from engine.settings import GenerationOptions, Settings
from tests.helpers.checkpoints import write_tokenizer
from tests.helpers.mlx_models import FORMS, InMemory, write_moe
from tests.helpers.moe_configs import VOCABULARY

TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, 40).tolist()
PROMPT = 24
EXPERTS = "model.layers.1.mlp.switch_mlp."


def smallest(folder) -> int:
    with pytest.raises(BudgetError) as raised:
        load(folder, Settings(memory_budget=1))
    assert raised.value.smallest
    return raised.value.smallest


def configure(folder, **changed) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changed))


def rewrite(folder, change) -> None:
    """Let `change` work on the weights by name, and write them anew."""
    weights = mx.load(str(folder / "model.safetensors"))
    mx.eval(weights)
    change(weights)
    mx.save_safetensors(str(folder / "new.safetensors"), weights)
    (folder / "new.safetensors").rename(folder / "model.safetensors")


def drop(name):
    return lambda folder: rewrite(folder, lambda weights: weights.pop(name))


def change(name, made):
    return lambda folder: rewrite(folder, lambda weights: weights.update({name: made(weights[name])}))


def cut(folder) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def lose_a_shard(folder) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut, "cut off"),
        (lose_a_shard, "lacks .*00002-of-00002"),
        (drop(EXPERTS + "up_proj.scales"), "cannot be loaded"),
        (drop(EXPERTS + "up_proj.biases"), "Missing.*up_proj.biases"),
        (drop(EXPERTS + "down_proj.weight"), "down_proj.weight"),
        (drop("model.norm.weight"), "Missing.*model.norm.weight"),
        (change(EXPERTS + "up_proj.weight", lambda a: a[:12]), "Expected shape .*up_proj.weight"),
        (change(EXPERTS + "up_proj.biases", lambda a: a[..., :1]), "cannot be loaded"),
        (change("model.norm.weight", lambda a: a[:32]), "Expected shape .*model.norm.weight"),
        (change(EXPERTS + "up_proj.weight", lambda a: a.astype(mx.float32)), "up_proj.weight' has the dtype float32"),
        (change(EXPERTS + "up_proj.scales", lambda a: a.astype(mx.int32)), "up_proj.scales' has the dtype int32"),
        (change("lm_head.weight", lambda a: a.astype(mx.int32)), "lm_head.weight' has the dtype int32"),
        (change(EXPERTS + "up_proj.weight", lambda a: a.view(mx.uint8)), "bits 16 is not supported"),
        (lambda folder: configure(folder, num_experts=12), "cannot be loaded"),
        (lambda folder: configure(folder, num_experts_per_tok=20), "config.json cannot be read"),
        (lambda folder: configure(folder, num_experts_per_tok="4"), "config.json cannot be read"),
        (lambda folder: configure(folder, num_hidden_layers=2), "cannot be loaded"),
        (lambda folder: configure(folder, num_hidden_layers=4), "Missing"),
        (lambda folder: configure(folder, num_hidden_layers=10**9), "which no model has"),
        (lambda folder: configure(folder, n_layer=10**6), "which no model has"),
        (lambda folder: configure(folder, hidden_size=None), "cannot be loaded"),
        (lambda folder: configure(folder, quantization=[4]), "cannot be loaded"),
        (lambda folder: configure(folder, model_type="unheard_of"), "^Models of type 'unheard_of' are not supported.$"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json"),
        (lambda folder: os.mkfifo(folder / "generation_config.json"), "generation_config.json is no file"),
        (lambda folder: (folder / "tokenizer_config.json").symlink_to("/dev/zero"), "tokenizer_config.json is no file"),
    ],
)
def test_a_folder_that_is_damaged_is_refused_in_a_line(tmp_path, spoil, said):
    folder = write_moe(tmp_path / "model")
    spoil(folder)
    with pytest.raises(CheckpointError, match=said) as raised:
        load(folder)
    assert "\n" not in str(raised.value)


def test_a_budget_below_the_smallest_is_refused_with_the_smallest(tmp_path):
    folder = write_moe(tmp_path / "model")
    with pytest.raises(BudgetError, match=r"too small\. The smallest that works is .*resident .*pool ") as raised:
        load(folder, Settings(memory_budget=smallest(folder) - 1))
    assert "\n" not in str(raised.value)
    load(folder, Settings(memory_budget=raised.value.smallest)).close()


@pytest.mark.parametrize(
    "name", [EXPERTS + "up_proj.scales", "model.layers.0.self_attn.q_proj.biases", "lm_head.scales"]
)
def test_weights_that_are_no_numbers_are_named(tmp_path, name):
    folder = write_moe(tmp_path / "model")
    rewrite(folder, lambda weights: weights.update({name: weights[name] * float("nan")}))
    model = load(folder)
    try:
        for _ in range(2):  # and the model can be asked again
            with pytest.raises(
                CheckpointError, match=f"no number .NaN.: {name} is damaged. Download it again"
            ) as raised:
                model.prefill(TOKENS[:PROMPT])
            assert "\n" not in str(raised.value)
            model.trim(0)
    finally:
        model.close()


def logits_of(model) -> np.ndarray:
    rows = [model.prefill(TOKENS[:PROMPT])[0][0, -1]]
    rows += [model.decode(token)[0][0, -1] for token in TOKENS[PROMPT:]]
    return np.stack([np.array(row) for row in rows])


def assert_equal(found: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(found - expected).max() <= 1e-4 * (expected.max() - expected.min())
    assert np.array_equal(found.argmax(-1), expected.argmax(-1))


def cut_short(path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 3)


def written_to(path) -> None:
    with path.open("r+b") as file:
        file.seek(-64, 2)
        file.write(bytes(64))


@pytest.mark.parametrize(("harm", "said"), [(cut_short, "model.safetensors"), (written_to, "was changed while")])
def test_a_folder_that_changes_while_it_is_used_ends_the_answer_and_no_more(tmp_path, harm, said):
    folder = write_moe(tmp_path / "model")
    write_tokenizer(folder, VOCABULARY)
    whole = (folder / "model.safetensors").read_bytes()
    expected = np.array(InMemory(folder).logits(TOKENS))[PROMPT - 1 :]
    model = load(folder, Settings(memory_budget=smallest(folder)))
    try:
        answer = iter(model.generate(TOKENS[:PROMPT], GenerationOptions(max_tokens=100, temperature=0)))
        next(answer)
        harm(folder / "model.safetensors")
        with pytest.raises(ReadError, match=said) as raised:
            for _ in answer:
                pass
        assert "\n" not in str(raised.value)
    finally:
        model.close()
    (folder / "model.safetensors").write_bytes(whole)
    model = load(folder, Settings(memory_budget=smallest(folder)))
    try:
        assert_equal(logits_of(model), expected)
    finally:
        model.close()


def test_a_folder_that_is_replaced_or_removed_is_read_to_the_end(tmp_path):
    """An open file stays what it was."""
    folder = write_moe(tmp_path / "model")
    expected = np.array(InMemory(folder).logits(TOKENS))[PROMPT - 1 :]
    model = load(folder, Settings(memory_budget=smallest(folder)))
    try:
        (folder / "other").write_bytes(bytes((folder / "model.safetensors").stat().st_size))
        (folder / "other").replace(folder / "model.safetensors")
        assert_equal(logits_of(model), expected)
        model.trim(0)
        (folder / "model.safetensors").unlink()
        assert_equal(logits_of(model), expected)
    finally:
        model.close()


def test_a_checkpoint_in_several_shards(tmp_path):
    """An expert's tensors may lie in different files."""
    folder = write_moe(tmp_path / "model")
    expected = np.array(InMemory(folder).logits(TOKENS))[PROMPT - 1 :]
    weights, places = mx.load(str(folder / "model.safetensors")), {}
    names = [f"model-{i:05d}-of-00003.safetensors" for i in (1, 2, 3)]
    for i, shard in enumerate(names):
        part = {name: array for number, (name, array) in enumerate(sorted(weights.items())) if number % 3 == i}
        mx.save_safetensors(str(folder / shard), part)
        places |= dict.fromkeys(part, shard)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    model = load(folder, Settings(memory_budget=smallest(folder)))
    try:
        assert max(len(layer.source.layout.paths) for layer in model.streaming.layers) == 3
        assert_equal(logits_of(model), expected)
    finally:
        model.close()


MIXED = ["affine-8-g64", "affine-3-g64", "mxfp4", "nvfp4", "affine-6-g32"]  # of gate, up and down in turn


def test_matrices_of_different_bits_and_modes(tmp_path):
    """Mixed quantisations: each of a layer's matrices has its own, and each layer others."""
    folder = write_moe(tmp_path / "model", form=None, hidden_size=128, moe_intermediate_size=64)
    config, weights = json.loads((folder / "config.json").read_text()), mx.load(str(folder / "model.safetensors"))
    forms = {}
    containers = sorted(name.removesuffix(".weight") for name in weights if ".switch_mlp." in name)
    for number, path in enumerate(containers):
        forms[path] = form = FORMS[MIXED[number % len(MIXED)]]
        packed = mx.quantize(weights.pop(f"{path}.weight"), **form)
        parts = zip(("weight", "scales", "biases"), packed, strict=False)
        weights |= {f"{path}.{part}": array for part, array in parts}
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    plain = {name.removesuffix(".weight"): False for name in weights if name.endswith(("_proj.weight", "gate.weight"))}
    plain |= {"model.embed_tokens": False, "lm_head": False}
    (folder / "config.json").write_text(json.dumps(config | {"quantization": FORMS["affine-4-g32"] | plain | forms}))
    expected = np.array(InMemory(folder).logits(TOKENS))[PROMPT - 1 :]
    model = load(folder, Settings(memory_budget=smallest(folder)))
    try:
        sizes = {layer.source.layout.bundle_bytes for layer in model.streaming.layers}
        assert len(sizes) > 1
        assert_equal(logits_of(model), expected)
    finally:
        model.close()
