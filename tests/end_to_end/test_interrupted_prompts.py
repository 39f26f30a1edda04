"""A prompt that takes long goes on from where its user or its process was ended, and the receipt says so."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from app.chat.receipt import Receipt
from app.host.model_info import ModelInfo
from engine.inference.keeping import fingerprint_of
from engine.inference.kept import KeptContexts
from engine.inference.load import load
from engine.settings import GenerationOptions, Settings
from tests.helpers.checkpoints import write_tokenizer
from tests.helpers.late import Late
from tests.helpers.mlx_models import write_moe
from tests.helpers.moe_configs import VOCABULARY
from tests.helpers.slow_prompt import BLOCK_TOKENS, CONVERSATION

QUESTION = [int(token) for token in np.random.default_rng(5).integers(3, 60, 1500)]
SEED = 7
OPTIONS = GenerationOptions(seed=SEED, conversation=CONVERSATION, max_tokens=8)
PATIENCE_S = 120


@pytest.fixture(scope="module", params=["qwen3_moe", "qwen3_next"])
def folder(request, tmp_path_factory):
    folder = write_moe(tmp_path_factory.mktemp(request.param) / "model", request.param, max_position_embeddings=4096)
    write_tokenizer(folder, VOCABULARY)
    return folder


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """The prompt's, as the program computes them."""
    monkeypatch.setattr("engine.planning.checkpoint.MAX_CHUNK", BLOCK_TOKENS)


@pytest.fixture
def files(tmp_path):
    return KeptContexts(tmp_path / "contexts")


def answered(folder, files=None):
    """The answer's summary and receipt."""
    model = load(folder, Settings())
    try:
        model.keep_in(files)
        generation = model.generate(QUESTION, OPTIONS)
        list(generation)
        return generation.summary, Receipt.of(generation.summary, ModelInfo.of(model))
    finally:
        model.close()


def read_back(tokens: int) -> set[str]:
    """The receipt's words, with English's plural forms loaded or without."""
    return {f"{tokens} {word} read back from disk" for word in ("token(s)", "tokens")}


def kept_tokens(folder, files) -> int:
    return max((len(head.tokens) for _, head in files.heads(fingerprint_of(folder, Settings()))), default=0)


def killed_while_it_prefills(folder, files, tmp_path, least: int) -> None:
    (tmp_path / "question.json").write_text(json.dumps(QUESTION))
    arguments = [str(folder), str(files.folder), str(tmp_path / "question.json"), str(SEED)]
    process = subprocess.Popen([sys.executable, "-m", "tests.helpers.slow_prompt", *arguments], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"begun\n"
        until = time.monotonic() + PATIENCE_S
        while kept_tokens(folder, files) < least and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        process.kill()
        said, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert said == b"", "it did not come to its end"


def test_a_killed_process_s_prompt_goes_on_in_the_next_one(folder, files, tmp_path):
    expected, _ = answered(folder)
    done = 0
    for least in (1, 600):  # killed twice, the second time after it has gone on
        killed_while_it_prefills(folder, files, tmp_path, least)
        assert done < (done := kept_tokens(folder, files)) < len(QUESTION)
    found, receipt = answered(folder, files)
    assert found.tokens == expected.tokens
    assert found.read_back_tokens == done
    assert dict(receipt.rows())["Chat"] in read_back(done)


def test_a_cancelled_prompt_goes_on_from_memory_and_from_disk(folder, files):
    expected, _ = answered(folder)
    model = load(folder, Settings())
    try:
        model.keep_in(files)
        cancelled = model.generate(QUESTION, OPTIONS, Late(40))
        assert list(cancelled) == []
        assert cancelled.summary.finish_reason == "cancelled"
        model.keep_contexts()  # as when nothing is asked
        again = model.generate(QUESTION, OPTIONS)
        list(again)
        assert again.summary.tokens == expected.tokens
        assert BLOCK_TOKENS <= again.summary.cached_tokens < len(QUESTION) - 1
        assert again.summary.read_back_tokens == 0
    finally:
        model.close()
    found, receipt = answered(folder, files)
    assert found.tokens == expected.tokens
    assert found.read_back_tokens >= again.summary.cached_tokens  # more where that took long: it was saved as it went
    assert dict(receipt.rows())["Chat"] in read_back(found.read_back_tokens)
