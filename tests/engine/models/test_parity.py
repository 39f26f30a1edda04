"""Logits against an independent implementation: fixtures made with transformers, see make_parity.py."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from engine.cli.main import main
from engine.inference.evaluate import evaluate
from engine.inference.load import load
from engine.prepare.prepare import prepare
from engine.settings import Settings
from engine.tokens.corpus import Sequence
from tests.helpers.torch_files import as_bin

CASES = sorted(folder for folder in (Path(__file__).parent / "parity").iterdir() if folder.is_dir())


@pytest.fixture(scope="module", params=CASES, ids=lambda folder: folder.name)
def case(request, tmp_path_factory):
    """A prepared checkpoint, tokens, and the logits that they should give."""
    folder = tmp_path_factory.mktemp("parity") / request.param.name
    prepare(request.param, folder)
    expected = load_file(request.param / "expected.safetensors")
    return folder, expected["tokens"].tolist(), expected["logits"]


@pytest.mark.parametrize("path", ["decode", "prefill"])
@pytest.mark.parametrize("selection", ["dense", "exact"])
def test_logits_are_those_of_transformers(case, selection, path):
    folder, tokens, expected = case
    model = load(folder, Settings(selection=selection))
    try:
        _, logits = evaluate(model, [Sequence(tokens, 0)], prefill=path == "prefill", keep_logits=True)
    finally:
        model.close()
    assert logits.shape == expected.shape
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("checkpoint", CASES, ids=lambda folder: folder.name)
def test_the_command_line_gives_them_from_shards_of_the_old_kind(checkpoint, tmp_path):
    expected = load_file(checkpoint / "expected.safetensors")
    (tmp_path / "tokens.json").write_text(json.dumps(expected["tokens"].tolist()))
    folder, out, saved = as_bin(checkpoint, tmp_path / "old", shards=2), tmp_path / "out", tmp_path / "logits"
    measure = ["--tokens", tmp_path / "tokens.json", "--selection", "exact", "--save-logits", saved]
    for command in (["prepare", folder, out], ["eval", out, *measure]):
        assert main([str(word) for word in command]) == 0
    logits = load_file(saved)["logits"]
    assert np.abs(logits - expected["logits"]).max() <= 1e-4 * np.abs(expected["logits"]).max()
