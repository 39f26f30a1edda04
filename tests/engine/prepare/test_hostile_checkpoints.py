"""Checkpoints whose files were damaged or made by somebody who means harm: read, or one of our errors."""

import json
import random

import pytest
from mlx.utils import tree_flatten

from engine.models import build
from engine.prepare.checkpoint import Checkpoint
from tests.helpers.checkpoints import FAMILIES, write_opt
from tests.helpers.mutations import bounded, mutated_json, mutated_safetensors, seeds

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def fit(folder):
    source = Checkpoint.open(folder)
    model, _ = build(source.config)
    source.fit({name: weight.shape for name, weight in tree_flatten(model.parameters())}, model.rename)


def fitted(folder, name, original, mutate, count) -> int:
    """The number of a file's `count` mutations that still make a checkpoint."""
    whole = 0
    for seed in seeds(count):
        (folder / name).write_bytes(mutate(original, random.Random(f"{name} {seed}")))
        with bounded(folder, f"{name}, mutation {seed}"):
            fit(folder)
            whole += 1
    return whole


@pytest.mark.parametrize(
    ("name", "count"),
    [("config.json", 700), (WEIGHTS, 400), ("tokenizer_config.json", 100), ("tokenizer.json", 40)],
)
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path, name, count):
    folder = write_opt(tmp_path / "sandbox" / "x")
    original = (folder / name).read_bytes()
    mutate = (
        mutated_safetensors if name == WEIGHTS else lambda content, chance: mutated_json(json.loads(content), chance)
    )
    assert 0 < fitted(folder, name, original, mutate, count) < len(seeds(count))


def test_whatever_an_index_holds_it_is_read_or_refused(tmp_path):
    folder = write_opt(tmp_path / "sandbox" / "x", tokenizer=False, shards=3)
    original = (folder / INDEX).read_bytes()
    fitted(folder, INDEX, original, lambda content, chance: mutated_json(json.loads(content), chance), 200)


@pytest.mark.parametrize("family", FAMILIES)
def test_whatever_a_config_holds_a_model_is_built_or_refused(tmp_path, family):
    for seed in seeds(60):
        content = mutated_json(FAMILIES[family], random.Random(f"{family} {seed}"))
        try:
            config = json.loads(content)
        except (ValueError, RecursionError):
            continue
        if isinstance(config, dict):
            with bounded(tmp_path, f"{family}, mutation {seed}"):
                build(config)
