"""The draft model that is chosen among those on the disk."""

import json
import shutil
from dataclasses import replace

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

from engine.cli.main import main
from engine.inference.draft_choice import draft_models
from engine.inference.load import drafting_with, load
from engine.models.mlx_lm import build_quantised
from engine.planning.outlook import Outlook
from engine.settings import Settings
from engine.store import others
from engine.store.mlx_folder import MlxFolder
from engine.system.folders import models_folder
from engine.tokens import same_tokens
from tests.helpers.checkpoints import write_tokenizer
from tests.helpers.dense_models import DENSE
from tests.helpers.mlx_models import AFFINE4

LARGE = {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 8}
SIZES = {"large": LARGE, "small": {"hidden_size": 64, "intermediate_size": 128}, "smallest": {"hidden_size": 32}}


def write(folder, tokens=320, **changes):
    """A llama of random weights."""
    config = {"model_type": "llama", **DENSE, **changes}
    model, config = build_quantised(config, AFFINE4)
    folder.mkdir(parents=True)
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())))
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(folder, tokens)
    return folder


@pytest.fixture
def disk(home):
    """A large model, and smaller ones of its family and another in the models folder."""
    folder = models_folder()
    return {name: write(folder / name, **size) for name, size in SIZES.items()} | {
        "another family": write(folder / "another", 310, hidden_size=96, intermediate_size=128)
    }


def chosen(folder, **changes):
    stored = MlxFolder.open(folder)
    return drafting_with(stored, Outlook.of(stored, None).sizes, Settings(**changes))


def offered(folder, **changes):
    stored = MlxFolder.open(folder)
    return [each.name for each in draft_models(stored, Outlook.of(stored, None).sizes, Settings(**changes))]


def name_of(choice):
    return choice.source.name if choice.source else None


def test_it_is_the_largest_of_those_with_the_same_tokens_that_are_far_smaller(disk):
    choice = chosen(disk["large"])
    assert name_of(choice) == "small"
    assert choice.reason.startswith("small: it has the same tokens and takes ")
    shutil.rmtree(disk["small"])
    assert name_of(chosen(disk["large"])) == "smallest"
    shutil.rmtree(disk["smallest"])
    assert name_of(chosen(disk["large"])) is None
    assert "no other model on this disk" in chosen(disk["large"]).reason


def test_it_is_none_where_that_is_turned_off_or_it_is_not_far_smaller(disk):
    assert name_of(chosen(disk["large"], draft_model="none")) is None
    assert name_of(chosen(disk["large"], drafts="none")) is None
    assert name_of(chosen(disk["small"])) is None
    assert name_of(chosen(disk["smallest"])) is None


def test_a_damaged_one_is_passed_over(disk):
    (disk["small"] / "model.safetensors").write_bytes(b"nothing")
    assert name_of(chosen(disk["large"])) == "smallest"


def test_a_budget_without_room_has_none(disk):
    outlook = Outlook.of(MlxFolder.open(disk["large"]), None)
    smallest = outlook.smallest_budget(Settings())
    assert name_of(chosen(disk["large"], memory_budget=smallest)) is None
    assert name_of(chosen(disk["large"], memory_budget=smallest + 200_000_000)) == "small"


def test_a_damaged_number_is_found_when_it_is_loaded_and_nothing_drafts_then(disk):
    weights = mx.load(str(disk["small"] / "model.safetensors"))
    weights["model.norm.weight"] = mx.full(weights["model.norm.weight"].shape, mx.nan)
    mx.save_safetensors(str(disk["small"] / "model.safetensors"), weights)
    loaded = load(disk["large"], settings := Settings())
    assert loaded.draft_model is None
    assert "draft_model" not in loaded.budget.items
    loaded.close()
    loaded = load(disk["large"], replace(settings, draft_model=str(disk["smallest"])))
    assert loaded.draft_model.name == "smallest"
    loaded.close()


def test_info_says_which_and_why(disk, capsys):
    assert main(["info", str(disk["large"]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["draft_model"].startswith("small: it has the same tokens")
    assert main(["info", str(disk["large"]), "--draft-model", "none"]) == 0
    assert "Draft model: None: that is turned off." in capsys.readouterr().out


def test_an_answer_tells_of_it(disk, capsys):
    asked = ["generate", str(disk["large"]), "--prompt", "Hi", "--raw", "--max-tokens", "4", "--json"]
    assert main(asked) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["drafts"]["model"].startswith("small: ")
    assert report["budget_items"]["draft_model"] > 0
    assert main([*asked[:-1], "--draft-model", str(disk["another family"])]) == 0
    assert "Draft model: None: another has other tokens." in capsys.readouterr().err


def test_all_that_can_serve_are_those_that_are_smaller_have_the_same_tokens_and_fit(disk):
    assert offered(disk["large"]) == ["small", "smallest"]
    assert offered(disk["small"]) == ["smallest"]  # though not far smaller
    assert offered(disk["smallest"]) == []
    smallest = Outlook.of(MlxFolder.open(disk["large"]), None).smallest_budget(Settings())
    assert offered(disk["large"], memory_budget=smallest) == []
    (disk["small"] / "model.safetensors").write_bytes(b"nothing")
    assert offered(disk["large"]) == ["smallest"]
    assert load(disk["large"], Settings(draft_model="smallest")).draft_model.name == "smallest"


def test_a_choice_reads_each_file_once_and_the_next_one_none_that_stayed_as_it_was(disk, tmp_path, monkeypatch):
    """Models in the models folder, and where another tool keeps them."""
    monkeypatch.setenv(others.FOLDERS_VARIABLE, str(tmp_path / "elsewhere"))
    for i in range(3):
        write(tmp_path / "elsewhere" / f"model {i}", 311 + i)
    write(tmp_path / "elsewhere" / "the same", hidden_size=32)
    tokenizer = json.loads((tmp_path / "elsewhere" / "the same" / "tokenizer.json").read_text())
    (tmp_path / "elsewhere" / "the same" / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1))
    read = []

    def counting(function):
        return lambda path, *more: read.append(str(path)) or function(path, *more)

    monkeypatch.setattr(same_tokens, "read_bytes", counting(same_tokens.read_bytes))
    monkeypatch.setattr(others, "read_json", counting(others.read_json))
    assert offered(disk["large"]) == ["small", "smallest", "the same"]
    own = str(disk["large"] / "tokenizer.json")
    assert read.count(own) == 1
    configs = [path for path in read if path.endswith("config.json") and "elsewhere" in path]
    assert len(read) > 6
    assert len(configs) <= 5 + 1  # of what can serve, once more to see that it runs
    read.clear()
    assert name_of(chosen(disk["large"])) == "small"
    assert read == [str(disk["small"] / "config.json")]
    tokenizer["version"] = "1.0 "
    (disk["smallest"] / "tokenizer.json").write_text(json.dumps(tokenizer, indent=2))
    read.clear()
    offered(disk["large"])
    assert str(disk["smallest"] / "tokenizer.json") in read
