"""Checkpoints of other tools: found where they lie, whatever else lies beside them, and left as they are."""

import json
import os
import shutil

import pytest

from engine.cli.main import main
from engine.inference.load import find
from engine.store.others import Use, Verdict, other_checkpoints, use_of
from engine.system.folders import application_folder, given_path
from engine.text import Text
from tests.helpers.checkpoints import write_opt
from tests.helpers.mlx_models import write_moe, write_original

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def checkpoint(folder, config=None, weights=("model.safetensors",)):
    folder.mkdir(parents=True)
    config = {"model_type": "qwen3_moe", "quantization": {"group_size": 64, "bits": 4}} if config is None else config
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    for name in weights:
        (folder / name).write_bytes(b"x" * 100)
    return folder


def in_hub_cache(home, name="mlx-community--tiny", commit=COMMIT, main=COMMIT):
    """As huggingface-hub lays it out: snapshots of links to blobs."""
    repository = home / ".cache" / "huggingface" / "hub" / f"models--{name}"
    blobs = checkpoint(repository / "blobs")
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for file in ("config.json", "model.safetensors"):
        (snapshot / file).symlink_to(blobs / file)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(main)
    return snapshot


def test_the_hubs_cache(home):
    snapshot = in_hub_cache(home)
    (found,) = other_checkpoints()
    assert (found.name, found.folder, found.source) == ("mlx-community/tiny", snapshot, "Hugging Face")
    assert (found.model_type, found.bits, found.bytes, found.missing) == ("qwen3_moe", 4, 100, ())


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_HUB_CACHE"])
def test_the_hubs_cache_elsewhere(home, monkeypatch, variable):
    snapshot = in_hub_cache(home)
    moved = home / "elsewhere"
    (home / ".cache" / "huggingface").rename(moved)
    monkeypatch.setenv(variable, str(moved / "hub" if variable == "HF_HUB_CACHE" else moved))
    # The links still lead to the old place: what is not there is no weight.
    assert other_checkpoints() == []
    (home / ".cache" / "huggingface").symlink_to(moved)
    assert [found.folder.name for found in other_checkpoints()] == [snapshot.name]


def test_the_newest_snapshot_where_main_is_gone(home):
    in_hub_cache(home, commit="a" * 40, main="b" * 40)
    newest = home / ".cache/huggingface/hub/models--mlx-community--tiny/snapshots" / ("c" * 40)
    checkpoint(newest)
    os.utime(newest, (2_000_000_000, 2_000_000_000))
    (found,) = other_checkpoints()
    assert found.folder == newest


@pytest.mark.parametrize("models", [".lmstudio/models", ".cache/lm-studio/models"])
def test_lm_studios_folders(home, models):
    folder = checkpoint(home / models / "lmstudio-community" / "Tiny-MLX-4bit")
    (home / models / "lmstudio-community" / "a-gguf").mkdir()
    (found,) = other_checkpoints()
    assert (found.name, found.folder, found.source) == ("lmstudio-community/Tiny-MLX-4bit", folder, "LM Studio")


def test_named_folders_and_what_is_below_them(home, tmp_path):
    root = tmp_path / "models"
    folders = [checkpoint(root / "one"), checkpoint(root / "owner" / "two")]
    checkpoint(root / "a" / "b" / "too deep")
    checkpoint(root / "one" / "inside a checkpoint")
    assert [found.folder for found in other_checkpoints([root])] == folders
    assert [found.folder for found in other_checkpoints([folders[0], root])] == folders  # each once
    assert other_checkpoints([tmp_path / "gone"]) == []


def test_folders_are_named_in_the_window_and_in_the_environment(home, tmp_path, monkeypatch):
    one, two = checkpoint(tmp_path / "kept" / "one"), checkpoint(tmp_path / "more" / "two")
    settings = application_folder() / "settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"version": 1, "values": {"models.folders": [str(one.parent), 7]}}))
    monkeypatch.setenv("FLASHBULB_FOLDERS", os.pathsep.join([str(two.parent), ""]))
    assert [found.folder for found in other_checkpoints()] == [one, two]
    settings.write_text("no settings")
    assert [found.folder for found in other_checkpoints()] == [two]


def test_a_model_s_name_is_enough(home, tmp_path, monkeypatch):
    snapshot = in_hub_cache(home)
    folder = checkpoint(home / ".lmstudio/models/lmstudio-community/Other-4bit")
    monkeypatch.chdir(tmp_path)
    assert find("mlx-community/tiny") == find("tiny") == snapshot
    assert find("lmstudio-community/other-4bit") == find("Other-4bit") == folder
    assert find("nobody/other-4bit") == given_path("nobody/other-4bit")


def test_a_prepared_model_is_no_checkpoint(tmp_path, tiny_model):
    shutil.copytree(tiny_model, tmp_path / "models" / "prepared")
    assert other_checkpoints([tmp_path / "models"]) == []


def test_a_download_that_was_broken_off_names_what_is_missing(home):
    folder = checkpoint(home / ".lmstudio/models/owner/big", weights=["model-00001-of-00002.safetensors"])
    places = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors", "c": 7}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (found,) = other_checkpoints()
    assert found.missing == ("model-00002-of-00002.safetensors",)


@pytest.mark.parametrize("config", ["", "[]", "{", '{"model_type": 3}', "[" * 100_000, "{}", '"\\ud800"', "\x00"])
def test_one_bad_folder_never_hides_the_others(home, config):
    good = checkpoint(home / ".lmstudio/models/owner/good", {"model_type": "llama"})
    checkpoint(home / ".lmstudio/models/owner/bad", config)
    checkpoint(home / ".lmstudio/models/owner/no weights", weights=())
    (home / ".lmstudio/models/owner/not-utf8").mkdir()
    (home / ".lmstudio/models/owner/not-utf8/config.json").write_bytes(b"\xff\xfe")
    (found,) = other_checkpoints()
    assert (found.folder, found.bits) == (good, None)


def test_nothing_is_changed(home):
    in_hub_cache(home)
    before = {path: path.lstat().st_mtime_ns for path in home.rglob("*")}
    other_checkpoints()
    assert {path: path.lstat().st_mtime_ns for path in home.rglob("*")} == before


# ------------------------------------------------------------------------------------------------ verdicts
def test_a_checkpoint_in_mlx_form_runs_as_it_is(tmp_path):
    assert use_of(write_moe(tmp_path / "moe")) == Verdict(Use.AS_IT_IS)


def test_an_original_checkpoint_of_experts_is_converted_first(tmp_path):
    verdict = use_of(write_original(tmp_path / "moe"))
    assert verdict.use is Use.CONVERTED
    assert "4 bits" in str(verdict.reason)


def test_neurons_are_prepared_first(tmp_path):
    assert use_of(write_opt(tmp_path / "opt")).use is Use.CONVERTED


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "no_such"}, "not supported"),
        ({"model_type": "opt", "activation_function": "gelu"}, "gelu"),
        ([], "cannot be read"),
    ],
)
def test_what_cannot_run_says_why(tmp_path, config, words):
    folder = write_moe(tmp_path / "moe")
    (folder / "config.json").write_text(json.dumps(config))
    verdict = use_of(folder)
    assert verdict.use is Use.NONE
    assert words in str(verdict.reason)


def test_a_missing_part_is_named(tmp_path):
    folder = write_moe(tmp_path / "moe")
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert use_of(folder) == Verdict(Use.NONE, Text("{file} is missing.", file="model-2.safetensors"))


def test_the_command_line_lists_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    snapshot = tmp_path / "hf" / "hub" / "models--mlx-community--Tiny" / "snapshots" / ("0" * 40)
    write_moe(snapshot)
    before = {path: path.stat().st_mtime_ns for path in snapshot.rglob("*")}
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert "mlx-community/Tiny" in out
    assert str(snapshot) in out
    assert main(["models", "--json"]) == 0
    [other] = json.loads(capsys.readouterr().out)["others"]
    assert (other["name"], other["use"], other["folder"]) == ("mlx-community/Tiny", "as it is", str(snapshot))
    assert {path: path.stat().st_mtime_ns for path in snapshot.rglob("*")} == before
