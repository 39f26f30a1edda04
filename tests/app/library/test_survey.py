"""Rows of what there is, and what would become of it, told for this machine's drive and for what is free."""

import re
import shutil

import pytest

from app.library import survey as module
from app.library.picker import words_for
from app.library.rows import COMFORTABLE_RATE, Row, recommended
from app.library.survey import repository_in, survey
from app.library.verdict import Kind, Verdict
from engine.flash.profile import profile_path
from engine.prepare.prepare import prepare
from engine.system.built_in import STARTER
from tests.helpers.checkpoints import write_opt
from tests.helpers.drives import FAST, profile
from tests.helpers.mlx_models import write_moe, write_original

GB = 1_000_000_000


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """One of 16 GB, of which 8 are free."""
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path))
    monkeypatch.setattr(module, "memory_total", lambda: 16 * GB)
    monkeypatch.setattr(module, "memory_available", lambda: 8 * GB)
    return tmp_path


def in_hub_cache(monkeypatch, tmp_path, write):
    """A checkpoint that another tool has downloaded."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return write(tmp_path / "hf" / "hub" / "models--owner--tiny" / "snapshots" / ("0" * 40))


def test_what_another_tool_has_downloaded_is_listed_and_ready(machine, monkeypatch, tmp_path):
    folder = in_hub_cache(monkeypatch, tmp_path, write_moe)
    [row] = [row for row in survey().rows if row.found]
    assert (row.repo, row.found, row.folder, row.as_it_is) == ("owner/tiny", "Hugging Face", folder, True)
    assert row.size == (folder / "model.safetensors").stat().st_size
    assert row.verdict.kind is Kind.IN_MEMORY
    [once] = [row for row in survey(folders=(str(folder),)).rows if row.folder == folder]
    assert once.added


def test_what_another_tool_has_that_must_be_converted_says_so(machine, monkeypatch, tmp_path):
    folder = in_hub_cache(monkeypatch, tmp_path, write_original)
    [row] = [row for row in survey().rows if row.found]
    assert (row.repo, row.title, row.checkpoint, row.folder) == (str(folder), "owner/tiny", folder, None)
    assert "converted" in row.description


def test_what_another_tool_has_that_cannot_run_says_why(machine, monkeypatch, tmp_path):
    folder = in_hub_cache(monkeypatch, tmp_path, write_moe)
    (folder / "config.json").write_text('{"model_type": "no_such"}')
    [row] = [row for row in survey().rows if row.found]
    assert row.folder is None
    assert "no_such" in row.trouble


def test_a_model_of_quantised_neurons_says_what_that_costs(machine, tmp_path):
    checkpoint = write_opt(tmp_path / "checkpoint", False, hidden_size=64, word_embed_proj_dim=64)
    measured = prepare(checkpoint, machine / "quantised", bits=4, predictors="factorised")["calibration"]
    [row] = [row for row in survey().rows if row.folder == machine / "quantised"]
    assert row.bits == 4
    assert row.loss == pytest.approx(measured["exact_perplexity"] / measured["original_perplexity"] - 1)
    assert row.verdict.kind is Kind.IN_MEMORY


def test_what_people_ask_for_comes_before_what_is_for_research(machine):
    offered = [row for row in survey().rows if not row.on_disk]
    flags = [row.research for row in offered]
    assert flags == sorted(flags)
    assert False in flags
    [best] = [row for row in offered if row.recommended]
    assert not best.research
    assert best.verdict.kind is Kind.IN_MEMORY


def test_a_fast_machine_makes_a_larger_model_the_best(machine):
    def best():
        return next(row for row in survey().rows if row.recommended)

    before = best()
    profile(processor=FAST).save(profile_path(machine))
    assert best().size > before.size
    assert best().verdict.tokens_per_second >= COMFORTABLE_RATE


def test_a_model_that_fits_and_is_slow_is_not_the_best():
    slow = Row("owner/slow", "slow", size=9 * GB, chat=True, verdict=Verdict(Kind.IN_MEMORY, GB, GB, 0.5))
    quick = Row("owner/quick", "quick", size=2 * GB, chat=True, verdict=Verdict(Kind.STREAMS, GB, GB, 9.0))
    assert recommended([slow, quick]) is quick
    assert recommended([slow]) is None


def streaming(found):
    return [row.verdict for row in found.rows if row.verdict.kind is Kind.STREAMS]


def test_without_a_profile_no_speed_is_told(machine):
    assert streaming(survey())
    assert {verdict.tokens_per_second for verdict in streaming(survey())} == {None}


def test_speeds_follow_the_drive_the_budget_and_what_is_free(machine):
    profile(processor=FAST).save(profile_path(machine))
    found = [v for v in streaming(survey()) if not v.crowded]
    assert found
    assert all(v.tokens_per_second > 0 and v.budget <= 8 * GB for v in found)
    least, most = ({row.repo: row.verdict for row in survey(budget * GB, 32).rows} for budget in (8, 11))
    slow, fast = least["SparseLLM/prosparse-llama-2-7b"], most["SparseLLM/prosparse-llama-2-7b"]
    assert (slow.budget, fast.budget) == (8 * GB, 11 * GB)
    assert slow.tokens_per_second < fast.tokens_per_second
    small = {row.repo: row.verdict for row in survey(70_000_000).rows}["SparseLLM/prosparse-llama-2-7b"]
    assert small.budget >= small.needed_bytes  # a budget for the starter is none for a model of 13 GB


def test_what_fits_in_memory_has_a_speed_too_once_the_drive_was_measured(machine):
    assert survey().rows[0].verdict.tokens_per_second is None
    profile(processor=FAST).save(profile_path(machine))
    starter = survey().rows[0]
    assert (starter.repo, starter.verdict.kind) == (STARTER, Kind.IN_MEMORY)
    assert starter.verdict.tokens_per_second > 0
    assert re.fullmatch(r"Fits in memory: about [\d,.]+ tokens a second", words_for(starter))


def test_what_is_left_of_a_model_is_listed_once_and_hides_no_whole_one(machine, tiny_model):
    for folder in (machine / "me--lost", machine / ".downloads" / "me--lost"):
        folder.mkdir(parents=True)
        (folder / "bundles.safetensors").write_bytes(bytes(1000))
    left = [row for row in survey().rows if row.repo == "me/lost"]
    assert [(row.size, bool(row.trouble), row.can_get) for row in left] == [(2000, True, False)]
    shutil.copytree(tiny_model, machine / "me--lost", dirs_exist_ok=True)
    assert [bool(row.trouble) for row in survey().rows if row.folder == machine / "me--lost"] == [False]


@pytest.mark.parametrize(
    ("text", "repo"),
    [
        ("facebook/opt-1.3b", "facebook/opt-1.3b"),
        ("  facebook/opt-1.3b ", "facebook/opt-1.3b"),
        ("https://huggingface.co/facebook/opt-1.3b", "facebook/opt-1.3b"),
        ("https://huggingface.co/facebook/opt-1.3b/tree/main?x=1", "facebook/opt-1.3b"),
        ("hf.co/facebook/opt-1.3b", "facebook/opt-1.3b"),
        ("http://127.0.0.1:8080/tiny/opt", "tiny/opt"),
        ("opt", None),
        ("", None),
        ("../../etc/passwd", None),
        ("a b/c", None),
    ],
)
def test_a_name_or_a_link(text, repo):
    assert repository_in(text) == repo
