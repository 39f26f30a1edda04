"""The built-in model is what its README says, and keeps the product's promises."""

import importlib.util
import json
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from engine.errors import BudgetError
from engine.inference.evaluate import evaluate
from engine.inference.load import load
from engine.settings import Settings
from engine.store.manifest import PreparedModel
from engine.system.built_in import STARTER_FOLDER
from engine.tokens.corpus import Corpus
from tests.conftest import STARTER as FOLDER

MEASURED = json.loads((FOLDER / "evaluation.json").read_text())


@cache
def evaluation_script():
    spec = importlib.util.spec_from_file_location("starter_evaluate", FOLDER / "evaluate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sample_logits(tokens: int, prefill: bool = False, **settings) -> np.ndarray:
    model = load("starter", Settings(**settings))
    try:
        sequence = Corpus.read(FOLDER / "heldout.jsonl.gz").sequences(model.tokenizer)[3]
        cut = type(sequence)(sequence.tokens[:tokens], 0)
        return evaluate(model, [cut], prefill=prefill, keep_logits=True)[1]
    finally:
        model.close()


def test_it_is_small_enough_to_ship_and_whole():
    assert PreparedModel.open(STARTER_FOLDER, verify=True).bytes <= 48_000_000


def test_it_was_measured_to_be_good_enough():
    heldout = MEASURED["heldout"]
    assert heldout["bits_per_byte"] <= 1.02
    assert np.mean(heldout["sparsity"]) >= 0.93
    assert max(heldout["false_negatives"]) <= 0.05
    loss = MEASURED["sample_predictor"]["perplexity"] / MEASURED["sample_exact"]["perplexity"] - 1
    assert loss <= 0.005
    assert MEASURED["sample_predictor"]["flash_share_per_token"] <= 0.05


def test_what_was_measured_is_true():
    known, again = MEASURED["check"], evaluation_script().measure("predictor", True, evaluation_script().CHECK)
    assert again["bits_per_byte"] == pytest.approx(known["bits_per_byte"], rel=1e-3)
    for name in ("sparsity", "false_negatives", "false_positives"):
        assert again[name] == pytest.approx(known[name], abs=2e-3)


def test_the_readme_says_what_was_measured():
    readme = (FOLDER / "README.md").read_text()
    heldout = MEASURED["heldout"]
    assert f"{heldout['bits_per_byte']:.3f} bits per byte" in readme
    for layer, values in enumerate(
        zip(heldout["sparsity"], heldout["false_negatives"], heldout["false_positives"], strict=True)
    ):
        row = " | ".join(f"{100 * value:.1f} %" for value in values)
        assert f"| {layer} | {row} |" in readme


@pytest.mark.parametrize("window", [1, 5, 32])
def test_exact_selection_equals_dense(window):
    dense, exact = sample_logits(24, selection="dense"), sample_logits(24, selection="exact", window=window)
    assert np.abs(dense - exact).max() <= 1e-3 * (dense.max() - dense.min())


def test_exact_selection_equals_dense_in_the_smallest_budget():
    with pytest.raises(BudgetError) as refused:
        load("starter", Settings(selection="exact", memory_budget=1))
    smallest = sample_logits(24, selection="exact", window=8, memory_budget=refused.value.smallest)
    dense = sample_logits(24, selection="dense")
    assert np.abs(dense - smallest).max() <= 1e-3 * (dense.max() - dense.min())


def generate(*arguments: str) -> dict:
    prompt = ["--prompt", "Hi! I just got a puppy and I am looking for a name.", "--seed", "7", "--temperature", "1"]
    command = [sys.executable, "-m", "app", "generate", "starter", *prompt, "--max-tokens", "40", "--json", *arguments]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.fixture(scope="module")
def smallest_budget() -> int:
    command = [sys.executable, "-m", "app", "info", "starter", "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)[
        "smallest_budget_bytes"
    ]


@pytest.mark.parametrize("share", [1.0, 1.2, 2.0])
def test_the_footprint_grows_by_no_more_than_the_budget(smallest_budget, share):
    report = generate("--memory-budget", str(int(share * smallest_budget)))
    growth = report["footprint_bytes"] - report["baseline_bytes"]
    assert 0 < growth <= report["budget_bytes"]


def test_a_token_reads_little_of_the_ffn():
    report = generate("--window", "5")
    assert len(report["tokens"]) > 5
    assert report["per_token"]["bytes_read"] <= 0.05 * report["flash_bytes"]
