"""Contexts that come back from disk: the answer is the one that there would have been without the interruption."""

import shutil

import numpy as np
import pytest

from engine.inference.generate import Recalled
from engine.inference.keeping import fingerprint_of
from engine.inference.kept import BLOCK_TOKENS, KeptContexts
from engine.inference.load import load
from engine.planning.outlook import Outlook
from engine.settings import GenerationOptions, Settings
from engine.store.installed import open_stored
from engine.system.built_in import STARTER_FOLDER
from tests.helpers.checkpoints import write_tokenizer
from tests.helpers.late import Late
from tests.helpers.mlx_models import write_moe
from tests.helpers.moe_configs import VOCABULARY

MOE = ("qwen3_moe", "qwen3_next", "gpt_oss", "granitemoehybrid")
KINDS = ("starter", *MOE)
QUESTION_TOKENS = BLOCK_TOKENS + 50


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {kind: write_moe(tmp_path_factory.mktemp(kind) / "model", kind) for kind in MOE}
    for folder in made.values():
        write_tokenizer(folder, VOCABULARY)
    return made | {"starter": STARTER_FOLDER}


@pytest.fixture
def files(tmp_path):
    return KeptContexts(tmp_path / "contexts")


@pytest.fixture
def opened(folders, files):
    models = []

    def open_one(kind, **settings):
        models.append(load(folders[kind], Settings(**settings)))
        models[-1].keep_in(files)
        return models[-1]

    yield open_one
    for model in models:
        model.close()


def tokens_of(number: int, length: int = QUESTION_TOKENS) -> list[int]:
    return [int(token) for token in np.random.default_rng(number).integers(3, 60, length)]


def answered(model, prompt: list[int], seed: int | None = 5, conversation: str = "a", **options):
    chosen = {"max_tokens": 12, "temperature": 1.5, "top_p": 1.0, "seed": seed, "conversation": conversation}
    generation = model.generate(prompt, GenerationOptions(**chosen | options))
    list(generation)
    return generation.summary


@pytest.mark.parametrize("kind", KINDS)
def test_a_reopened_conversation_goes_on_as_if_it_had_never_been_closed(opened, kind):
    question, more = tokens_of(1), tokens_of(2, 7)
    model = opened(kind)
    first = answered(model, question)
    model.keep_contexts()
    turn = [*question, *first.tokens, *more]
    expected = answered(model, turn, 6)
    model.close()
    again = opened(kind)
    found = answered(again, turn, 6)
    assert found.tokens == expected.tokens
    assert len(turn) - found.cached_tokens <= len(more) + 1
    assert (found.read_back_tokens, found.context_trouble) == (found.cached_tokens, "")
    assert expected.read_back_tokens == 0


@pytest.mark.parametrize("kind", KINDS)
def test_another_conversation_that_begins_alike_reads_back_its_beginning(opened, kind, files):
    shared = tokens_of(1)
    model = opened(kind)
    answered(model, [*shared, 9], None)
    model.keep_contexts()
    model.close()
    again = opened(kind)
    other = [*shared, *tokens_of(3, 20)]
    found = answered(again, other, None, "b", temperature=0.0)
    assert 0 < found.read_back_tokens == found.cached_tokens <= len(shared)
    if kind in ("starter", "qwen3_moe"):
        assert found.read_back_tokens == len(shared)
    again.keep_contexts()
    first, second = (head for _, head in files.heads(fingerprint_of(again.stored.folder, again.settings)))
    assert set(first.blocks) & set(second.blocks)
    fresh = opened(kind)
    fresh.keep_in(None)
    assert answered(fresh, other, None, temperature=0.0).tokens == found.tokens


def test_a_damaged_context_is_prefilled_and_said_so(opened, files):
    model = opened("qwen3_moe")
    question = tokens_of(1)
    expected = answered(model, question).tokens
    model.keep_contexts()
    next(files.folder.glob("*.block")).write_bytes(b"nonsense")
    again = opened("qwen3_moe")
    found = answered(again, question)
    assert (found.tokens, found.cached_tokens, found.context_trouble) == (expected, 0, "damaged")
    again.keep_contexts()
    third = answered(opened("qwen3_moe"), question)
    assert (third.tokens, third.context_trouble) == (expected, "")
    assert third.read_back_tokens == len(question) - 1


def test_another_models_context_is_not_used_and_said_so(opened, files, folders, tmp_path):
    model = opened("qwen3_moe")
    question = tokens_of(1)
    answered(model, question)
    model.keep_contexts()
    other = load(write_moe(tmp_path / "model", "qwen3_moe", num_hidden_layers=2))
    try:
        write_tokenizer(other.stored.folder, VOCABULARY)
        other.keep_in(files)
        assert other.recall(question, conversation="a") == Recalled(0, 0, "other")
    finally:
        other.close()


def test_weights_that_have_changed_are_another_model(opened, files, folders, tmp_path):
    folder = shutil.copytree(folders["qwen3_moe"], tmp_path / "model")
    settings = Settings()
    assert fingerprint_of(folder, settings) == fingerprint_of(folder, Settings(window=9, memory_budget=10**9))
    found = {fingerprint_of(folder, settings), fingerprint_of(folder, Settings(selection="exact"))}
    found.add(fingerprint_of(folder, Settings(small_context=True)))
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    found.add(fingerprint_of(folder, settings))
    assert len(found) == 4


def test_what_has_not_changed_is_not_written_again_and_a_private_one_never(opened, files):
    model = opened("qwen3_moe")
    answered(model, tokens_of(1), conversation="")
    model.keep_contexts()
    assert not files.folder.exists()
    answered(model, tokens_of(1))
    model.keep_contexts(lambda: True)
    assert not list(files.folder.glob("*.context"))
    model.keep_contexts()
    path = files.file_of("a")
    written = path.stat().st_ino
    model.keep_contexts()
    assert path.stat().st_ino == written


def test_conversations_that_were_put_aside_are_written_too(opened, files):
    model = opened("qwen3_moe", memory_budget=10**9)
    for conversation in "abc":
        answered(model, tokens_of(ord(conversation)), conversation=conversation)
    model.keep_contexts()
    assert all(files.file_of(conversation).is_file() for conversation in "abc")


def test_a_prefill_is_saved_as_it_goes_and_goes_on_from_there(opened, files, monkeypatch):
    """The process may end any time: here nobody ends the answer, nor keeps it."""
    monkeypatch.setattr("engine.inference.model.KEEP_S", 0.0)
    question = tokens_of(1, 480)
    expected = answered(opened("qwen3_next"), question, conversation="b").tokens
    files.delete_all()
    model = opened("qwen3_next")
    cancelled = Late(8)
    generation = model.generate(question, GenerationOptions(seed=5, conversation="a"), cancelled)
    assert list(generation) == []
    ((path, head),) = files.heads(fingerprint_of(model.stored.folder, model.settings))
    assert path == files.file_of("a")
    assert 0 < len(head.tokens) < len(question)
    found = answered(opened("qwen3_next"), question)
    assert found.read_back_tokens == len(head.tokens)
    assert found.tokens == expected


def test_what_was_saved_as_it_went_is_saved_again_with_the_answer(opened, files, monkeypatch):
    monkeypatch.setattr("engine.inference.model.KEEP_S", 0.0)
    model = opened("qwen3_moe")
    answered(model, tokens_of(1))
    model.keep_contexts()
    ((_, head),) = files.heads(fingerprint_of(model.stored.folder, model.settings))
    assert head.tokens == model.cached_tokens


@pytest.mark.parametrize(("kind", "more"), [("starter", 8_000_000), ("qwen3_moe", 1_000_000)])
def test_decoding_starts_warm(opened, kind, more, folders):
    budget = Outlook.of(open_stored(folders[kind]), None).smallest_budget(Settings()) + more
    question = tokens_of(1)
    model = opened(kind, memory_budget=budget)
    answered(model, question, None)
    held = [set(layer) for layer in model.streaming.held]
    model.keep_contexts()
    again = opened(kind, memory_budget=budget)
    again.recall(question)
    assert [set(layer) for layer in again.streaming.held] == held
    assert any(held)
