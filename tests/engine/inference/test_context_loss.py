"""The loss by a conversation in 8 bits is measured against the exact, kept, and said where it is chosen."""

import json

import pytest

from engine.inference.context_loss import Comparison, compare
from engine.inference.evaluate import Evaluation
from engine.planning.measured import ContextLoss
from engine.settings import Settings
from engine.tokens.corpus import Sequence
from tests.helpers.checkpoints import write_tokenizer
from tests.helpers.command_line import run
from tests.helpers.mlx_models import write_moe
from tests.helpers.moe_configs import VOCABULARY


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    folder = write_moe(tmp_path / "model", num_attention_heads=2, num_key_value_heads=2, head_dim=64)
    write_tokenizer(folder, VOCABULARY)
    return folder


def test_perplexities_and_likeliest_tokens_are_compared():
    exact = Evaluation(predicted=4, nats=4.0, likeliest=[1, 2, 3, 4])
    small = Evaluation(predicted=4, nats=4.4, likeliest=[1, 2, 9, 4])
    loss = Comparison(exact, small).loss
    assert (loss.tokens, loss.agreement) == (4, 0.75)
    assert loss.loss == pytest.approx(0.10517, rel=1e-3)  # e to the 0.1, less 1


def test_it_is_measured_and_kept_for_just_this_model(folder, tmp_path):
    sequence, told = Sequence([5, 6, 7, 8, 9] * 30, 100), []
    found = compare(folder, Settings(), lambda _: [sequence], told.append)
    assert found.loss.tokens == 149
    assert 0 < abs(found.exact.nats - found.small.nats) < 0.05 * found.exact.nats
    assert 0.8 <= found.loss.agreement <= 1
    assert told == sorted(told)
    assert told[-1] == 1
    assert ContextLoss.load(folder) == found.loss
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"changed": 1}))
    assert ContextLoss.load(folder) is None


def test_the_commands_say_it(folder, capsys, tmp_path):
    (tmp_path / "ids.json").write_text(json.dumps([5, 6, 7, 8, 9] * 20))
    assert "was not measured here" in run(capsys, "info", folder)[1]
    status, out, err = run(capsys, "eval", folder, "--tokens", tmp_path / "ids.json", "--context-loss")
    assert status == 0, err
    words = out[out.index(": perplexity") + 2 :].strip()
    assert "of the likeliest tokens are the same (99 tokens)." in words
    assert words in run(capsys, "info", folder)[1]
    report = json.loads(run(capsys, "info", folder, "--json")[1])["conversation"]
    assert report["smaller"]["measured"]["tokens"] == 99
    assert report["smaller"]["bytes_a_thousand"] < report["bytes_a_thousand"] / 2
    assert report["tokens"] > 0


def test_a_model_that_cannot_keep_less_says_so(capsys, tmp_path, tiny_model):
    (tmp_path / "ids.json").write_text(json.dumps([5, 6, 7]))
    status, _, err = run(capsys, "eval", tiny_model, "--tokens", tmp_path / "ids.json", "--context-loss")
    assert status == 1
    assert "cannot be kept in 8 bits" in err
    assert "--small-context" not in run(capsys, "info", tiny_model)[1]


def test_damaged_notes_are_none(folder):
    ContextLoss(5, 0.1, 0.9).save(folder)
    note = next((folder.parent / "models" / ".measured").glob("*.context.json"))
    for content in ("", "{", '{"tokens": 0, "loss": 1, "agreement": 2}', "[]"):
        note.write_text(content)
        assert ContextLoss.load(folder) is None
