"""Damaged prepared models: each is refused with a message that names the file and the cure."""

import json
import os
import shutil
from pathlib import Path

import pytest

from engine.errors import PreparedModelError
from engine.store.manifest import BUNDLES, MANIFEST, PREDICTOR, RESIDENT, PreparedModel, write_manifest
from engine.store.reports import CalibrationReport


@pytest.fixture
def model(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "model")


def test_a_whole_model_opens(model):
    prepared = PreparedModel.open(model, verify=True)
    assert prepared.name == "tiny-opt"
    assert prepared.bytes == sum((model / name).stat().st_size for name in (BUNDLES, RESIDENT, PREDICTOR))
    assert len(prepared.layer_reports) == len(prepared.bundles.layers) == 2


@pytest.mark.parametrize("name", [BUNDLES, RESIDENT, PREDICTOR, "config.json", "tokenizer.json"])
def test_a_missing_file_is_named(model, name):
    (model / name).unlink()
    with pytest.raises(PreparedModelError, match=rf"{name} is missing\. Prepare or download"):
        PreparedModel.open(model)


@pytest.mark.parametrize("name", [BUNDLES, RESIDENT, PREDICTOR, "config.json"])
@pytest.mark.parametrize("where", [0.0, 0.5, 0.999])
def test_a_flipped_byte_is_found(model, name, where):
    content = bytearray((model / name).read_bytes())
    content[int(where * len(content))] ^= 1
    (model / name).write_bytes(content)
    with pytest.raises(PreparedModelError, match=rf"{name} was changed or damaged.*Prepare or download"):
        PreparedModel.open(model)


def test_a_truncated_bundle_file_is_found(model):
    (model / BUNDLES).write_bytes((model / BUNDLES).read_bytes()[:-512])
    with pytest.raises(PreparedModelError, match=rf"{BUNDLES} has \d+ bytes instead of"):
        PreparedModel.open(model)


def test_large_files_are_hashed_on_demand(model, monkeypatch):
    monkeypatch.setattr("engine.store.manifest.MAX_HASHED_BYTES", 100)
    content = bytearray((model / BUNDLES).read_bytes())
    content[-1] ^= 1
    (model / BUNDLES).write_bytes(content)
    PreparedModel.open(model)
    with pytest.raises(PreparedModelError, match="damaged"):
        PreparedModel.open(model, verify=True)


def test_another_format_version_is_refused(model):
    manifest = json.loads((model / MANIFEST).read_text())
    (model / MANIFEST).write_text(json.dumps(manifest | {"version": 99}))
    with pytest.raises(PreparedModelError, match=r"format version 99, this Flashbulb reads version 2\. Update"):
        PreparedModel.open(model)


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "", "[]", "{}", '{"format": "other"}', '{"format": "flashbulb", "version": 1}']
)
def test_what_is_no_manifest_is_refused(model, content):
    (model / MANIFEST).write_text(content)
    with pytest.raises(PreparedModelError, match=r"manifest\.json cannot be read: it (is|does) .*Prepare or download"):
        PreparedModel.open(model)


def test_a_manifest_cannot_name_files_elsewhere(model):
    manifest = json.loads((model / MANIFEST).read_text())
    manifest["files"]["../secret"] = {"bytes": 1, "sha256": "0" * 64}
    (model / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(PreparedModelError, match="names a file elsewhere"):
        PreparedModel.open(model)


def test_a_folder_of_something_else_is_told_from_a_model_that_is_not_whole(model, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PreparedModelError, match="empty holds no model: it has neither"):
        PreparedModel.open(tmp_path / "empty")
    (model / "manifest.json").unlink()
    (model / "config.json").unlink()
    with pytest.raises(PreparedModelError, match="is no complete prepared model"):
        PreparedModel.open(model)


def test_a_checkpoint_is_told_from_a_prepared_model(tiny_checkpoint, tmp_path):
    with pytest.raises(PreparedModelError, match="Run `flashbulb prepare`"):
        PreparedModel.open(tiny_checkpoint)
    with pytest.raises(PreparedModelError, match="There is no folder"):
        PreparedModel.open(tmp_path / "nowhere")
    with pytest.raises(PreparedModelError, match=r"is a file\. Give the folder"):
        PreparedModel.open(tiny_checkpoint / "config.json")
    with pytest.raises(
        PreparedModelError, match=r"There is no model 'opt-125m' on this disk\. `flashbulb models` lists"
    ):
        PreparedModel.open(Path("opt-125m"))


def test_the_loss_is_what_predicting_costs_where_both_were_measured():
    assert CalibrationReport("x", exact_perplexity=20.0, predicted_perplexity=20.5).loss == pytest.approx(0.025)
    assert CalibrationReport("x").loss is None


@pytest.mark.parametrize("name", [".DS_Store", "._config.json", ".localized"])
def test_what_a_system_leaves_in_the_folder_is_no_part_of_the_model(model, name):
    manifest = json.loads((model / MANIFEST).read_text())
    listed = manifest["files"] | {name: {"bytes": 9, "sha256": "0" * 64}}  # as earlier versions did
    (model / MANIFEST).write_text(json.dumps(manifest | {"files": listed}))
    PreparedModel.open(model, verify=True)
    (model / name).write_bytes(b"\0\0\0\1Bud1")
    PreparedModel.open(model, verify=True)
    write_manifest(model, {key: value for key, value in manifest.items() if key != "files"})
    assert json.loads((model / MANIFEST).read_text())["files"] == manifest["files"]


def test_pointers_of_git_lfs_are_named(model):
    (model / BUNDLES).write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 9\n")
    with pytest.raises(PreparedModelError, match=rf"{BUNDLES} .* Git LFS pointer .*Run `git lfs pull`"):
        PreparedModel.open(model)


def test_a_pipe_in_place_of_a_file_is_not_waited_for(model):
    (model / "config.json").unlink()
    os.mkfifo(model / "config.json")
    with pytest.raises(PreparedModelError, match=r"config\.json cannot be read: it is no ordinary file"):
        PreparedModel.open(model)
