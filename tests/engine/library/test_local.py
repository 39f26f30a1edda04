"""A checkpoint that is on disk already, on its way into the models folder."""

import json
import shutil

import pytest

from engine.cli.main import main
from engine.errors import CheckpointError
from engine.library.local import add, added, adding, give_up, is_checkpoint
from engine.library.removing import remove
from engine.store.installed import installed
from engine.store.manifest import PreparedModel
from engine.store.mlx_folder import is_mlx_folder
from tests.helpers.adding import add_half
from tests.helpers.checkpoints import write_text
from tests.helpers.gguf_files import write_gguf
from tests.helpers.mlx_models import write_moe, write_original


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_a_checkpoint_is_told_from_other_folders(tiny_checkpoint, tiny_model, tmp_path):
    assert is_checkpoint(tiny_checkpoint)
    assert not is_checkpoint(tmp_path)


def test_it_is_prepared_in_lines_of_progress(capsys, folder, tiny_checkpoint, tmp_path):
    mine = shutil.copytree(tiny_checkpoint, tmp_path / "my model")
    arguments = ["models", "get", "--progress", str(mine), "--calibration", str(write_text(tmp_path / "text.txt"))]
    assert main(arguments) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["stage"] for line in lines} == {"preparing", "done"}
    assert lines[-1]["folder"] == str(folder / "my-model")
    assert [model.folder for model in installed()] == [folder / "my-model"]
    assert is_checkpoint(mine)
    assert main(arguments) == 0  # it is there: nothing to be done


def test_what_was_begun_is_known_and_goes_on(folder, tiny_checkpoint, tmp_path):
    text = add_half(tiny_checkpoint, tmp_path)
    assert adding() == [tiny_checkpoint]
    assert installed() == []
    add(tiny_checkpoint, calibration=text)
    assert adding() == []
    assert added(tiny_checkpoint) == folder / tiny_checkpoint.name


def test_checkpoints_of_one_name_become_models_of_their_own(folder, tiny_checkpoint, tmp_path):
    one, other = (shutil.copytree(tiny_checkpoint, tmp_path / place / "mine") for place in ("one", "other"))
    text = add_half(one, tmp_path)
    assert added(one) is None
    assert add(other, calibration=text) == folder / "mine-2"
    assert adding() == [one]
    assert add(one, calibration=text) == folder / "mine"
    assert [PreparedModel.open(model.folder).name for model in installed()] == ["mine", "mine 2"]
    assert [added(checkpoint) for checkpoint in (one, other)] == [folder / "mine", folder / "mine-2"]
    remove("mine")
    assert added(one) is None
    assert add(other) == folder / "mine-2"  # it is there: nothing to be done
    assert add(one, calibration=text) == folder / "mine"


def test_a_model_of_another_origin_is_left_alone(folder, tiny_checkpoint, tmp_path):
    """Also a checkpoint that lies in the models folder itself."""
    there = shutil.copytree(tiny_checkpoint, folder / "mine")
    assert add(there, calibration=write_text(tmp_path / "text.txt")) == folder / "mine-2"
    assert is_checkpoint(there)


def test_what_was_begun_can_be_given_up(folder, tiny_checkpoint, tmp_path):
    add_half(tiny_checkpoint, tmp_path)
    assert list(folder.glob("*.partial"))
    give_up(tiny_checkpoint)
    assert not list(folder.glob("*.partial"))
    assert not list((folder / ".adding").iterdir())
    assert adding() == []


def test_a_note_that_is_damaged_is_none(folder, tiny_checkpoint, tmp_path):
    add_half(tiny_checkpoint, tmp_path)
    next((folder / ".adding").iterdir()).write_text('{"check')
    assert adding() == []


def test_what_cannot_be_prepared_says_so(folder, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(CheckpointError):
        add(tmp_path / "model")
    assert adding() == []
    assert not list((folder / ".adding").iterdir())


def test_what_runs_as_it_is_stays_where_it_is(folder, tmp_path):
    moe = write_moe(tmp_path / "moe")
    assert add(moe) == moe.resolve()
    assert not folder.exists()


def test_a_gguf_file_becomes_a_model_in_the_models_folder(folder, tmp_path):
    write_gguf(tmp_path / "tiny.gguf")
    shares = []
    made = add(tmp_path / "tiny.gguf", lambda stage, share: shares.append(share))
    assert made == folder / "tiny" == added(tmp_path / "tiny.gguf")
    assert [(model.repo, model.prepared) for model in installed()] == [("tiny", False)]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert remove("tiny") > 0
    assert not made.exists()
    assert (tmp_path / "tiny.gguf").is_file()


def test_an_original_checkpoint_of_experts_becomes_a_model(folder, tmp_path):
    made = add(write_original(tmp_path / "original"))
    assert made == folder / "original"
    assert is_mlx_folder(made)
