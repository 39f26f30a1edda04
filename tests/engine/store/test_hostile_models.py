"""Prepared models whose files were damaged, or changed with fitting checksums: a result, or one of our errors."""

import json
import random
import shutil
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import FlashbulbError
from engine.inference.load import load
from engine.planning.outlook import Outlook
from engine.settings import GenerationOptions, Settings
from engine.store.installed import installed
from engine.store.manifest import BUNDLES, MANIFEST, PREDICTOR, RESIDENT, PreparedModel
from engine.system.folders import models_folder
from tests.helpers.mutations import bounded, mutated_json, mutated_safetensors, seeds

HEADERS = (BUNDLES, RESIDENT, PREDICTOR)
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")
GENERATION = b'{"eos_token_id": [2, 5], "do_sample": true}'
SHORT = GenerationOptions(max_tokens=2)


@pytest.fixture
def model(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "sandbox" / "model")


def change(model, whole, name, chance):
    """Put a mutation in the place of a file; the manifest says that it is as it should be."""
    original = (whole / name).read_bytes() if (whole / name).exists() else GENERATION
    content = mutated_safetensors(original, chance) if name in HEADERS else mutated_json(json.loads(original), chance)
    (model / name).write_bytes(content)
    if name != MANIFEST:
        manifest = json.loads((whole / MANIFEST).read_text())
        manifest["files"][name] = {"bytes": len(content), "sha256": sha256(content).hexdigest()}
        (model / MANIFEST).write_text(json.dumps(manifest))


def restore(model, whole, name):
    for changed in (name, MANIFEST):
        (model / changed).unlink()
        if (whole / changed).exists():
            shutil.copyfile(whole / changed, model / changed)


@pytest.mark.parametrize(("name", "count"), [(MANIFEST, 700), ("config.json", 700), *((name, 250) for name in HEADERS)])
def test_whatever_a_file_holds_it_is_planned_or_refused(model, tiny_model, name, count):
    planned = 0
    for seed in seeds(count):
        change(model, tiny_model, name, random.Random(f"{name} {seed}"))
        with bounded(model, f"{name}, mutation {seed}"):
            outlook = Outlook.of(PreparedModel.open(model), None)
            outlook.plan(Settings())
            planned += 1
        restore(model, tiny_model, name)
    assert 0 < planned < len(seeds(count))  # both outcomes are met


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # weights that are no numbers give sums that are none
@pytest.mark.parametrize("name", [MANIFEST, "config.json", *HEADERS, *TOKENIZER])
def test_whatever_a_file_holds_the_model_answers_or_is_refused(model, tiny_model, name):
    for seed in seeds(40):
        change(model, tiny_model, name, random.Random(f"loaded {name} {seed}"))
        with bounded(model, f"{name}, mutation {seed}"):
            loaded = load(model, Settings(memory_budget=400_000_000))
            try:
                for _ in loaded.generate("Do you like music?", SHORT):
                    pass
            finally:
                loaded.close()
        restore(model, tiny_model, name)


def test_a_bad_manifest_hides_no_other_model(tiny_model):
    folder = models_folder()
    for name in ("good", "bad"):
        shutil.copytree(tiny_model, folder / name)
    manifest = json.loads((tiny_model / MANIFEST).read_text())
    for seed in seeds(400):
        (folder / "bad" / MANIFEST).write_bytes(mutated_json(manifest, random.Random(seed)))
        with bounded(folder, f"mutation {seed}"):
            assert "good" in [found.repo for found in installed()]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(["files", "layers", "calibration", "source", "name", "dtype", "version"]), value=anything)
def test_any_value_in_a_manifest_is_read_or_refused(model, tiny_model, key, value):
    manifest = json.loads((tiny_model / MANIFEST).read_text())
    (model / MANIFEST).write_text(json.dumps(manifest | {key: value}))
    try:
        PreparedModel.open(model)
    except FlashbulbError as error:
        assert MANIFEST in str(error)
