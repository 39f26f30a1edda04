"""The models on the disk, by the names that programs have for them."""

import shutil

import pytest

from engine.server.models import find, served
from engine.server.refusals import RefusedError
from engine.system import built_in
from tests.helpers.mlx_models import write_moe


@pytest.fixture
def disk(tmp_path, monkeypatch, tiny_model):
    """A prepared model, a checkpoint that runs as it is, one of LM Studio's, and one that lacks a file."""
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    shutil.copytree(tiny_model, tmp_path / "models" / "facebook--tiny")
    write_moe(tmp_path / "models" / "mlx-community--Moe-4bit")
    other = write_moe(tmp_path / "home" / ".lmstudio" / "models" / "somebody" / "Other-4bit")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    lost = shutil.copytree(other, other.with_name("Lost-4bit"))
    (lost / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2.safetensors"}}')
    return tmp_path


def test_all_that_run_are_served_each_once(disk):
    found = {model.name: model for model in served()}
    assert {"starter", "mlx-community/Moe-4bit", "somebody/Other-4bit"} <= found.keys()
    assert not any("Lost" in name for name in found)
    assert all(model.bytes > 0 and model.modified > 0 for model in found.values())
    assert found["mlx-community/Moe-4bit"].config["model_type"] == "qwen3_moe"


@pytest.mark.parametrize(
    "said", ["mlx-community/Moe-4bit", "MLX-community/moe-4BIT", "moe-4bit", "Moe-4bit:latest", "other-4bit", "starter"]
)
def test_a_model_is_found_by_its_name_or_its_last_part_in_whatever_case(disk, said):
    assert said.removesuffix(":latest").lower() in find(said).name.lower()


@pytest.mark.parametrize("said", ["gpt-9", "/etc/passwd", "..", "", "somebody", "x" * 10_000])
def test_what_is_not_served_is_refused_with_the_names_there_are(disk, said):
    with pytest.raises(RefusedError, match=r"There are: .*starter.*mlx-community/Moe-4bit") as caught:
        find(said)
    assert caught.value.status == 404
    assert len(str(caught.value)) < 1000


def test_a_path_is_no_name(disk):
    """Else a program could have any folder loaded."""
    with pytest.raises(RefusedError):
        find(str(disk / "models" / "facebook--tiny"))


def test_the_assistant_that_is_not_ready_is_served_by_its_file(disk, monkeypatch, tmp_path):
    file = tmp_path / "assistant.gguf"
    file.write_bytes(b"x" * 9)
    monkeypatch.setattr("engine.server.models.built_in", lambda: (built_in.ASSISTANT,))
    monkeypatch.setattr("engine.server.models.assistant_file", lambda: file)
    model = find(built_in.ASSISTANT)
    assert (model.bytes, str(model.folder), model.config) == (9, built_in.ASSISTANT, {})
