"""Linears and tables that have room at first give it back to a long conversation, and say the same to the bit."""

import json

import mlx.core as mx
import numpy as np
import pytest

from engine.inference.load import load
from engine.models.checkpoint import module_at
from engine.settings import GenerationOptions, Settings
from engine.streaming.linears import StreamedLinear
from engine.streaming.tables import StreamedTable
from tests.helpers.checkpoints import write_tokenizer
from tests.helpers.dense_models import write_dense
from tests.helpers.mlx_models import AFFINE4, write_moe
from tests.helpers.moe_configs import VOCABULARY
from tests.helpers.planning import budgets_of

TOKENS = [int(t) for t in np.random.default_rng(0).integers(0, 320, 40)]
PROMPT = 16
STREAMED = (StreamedLinear, StreamedTable)


def long_folder(folder, tokens=32_768):
    """A checkpoint that was made for so many tokens."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": tokens}))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return long_folder(write_dense(tmp_path_factory.mktemp("dense") / "model"))


def streamed(model) -> list[str]:
    return [path for path, module in model.network.named_modules() if isinstance(module, STREAMED)]


def answers(model, budgets=()):
    """Logits of tokens after a prompt, the budget moved between them."""
    moves, found = iter(budgets), [model.prefill(TOKENS[:PROMPT])[0][0, -1]]
    for token in TOKENS[PROMPT:]:
        found.append(model.decode(token)[0][0, -1])
        if budget := next(moves, None):
            model.set_budget(budget)
            assert model.budget.total <= budget
            blocks = [layer for layer in model.streaming.layers if layer.pinned]
            assert all(layer.pool.capacity < layer.source.bundles for layer in blocks)
    return mx.stack(found)


@pytest.mark.parametrize(
    ("kind", "form", "dtype"),
    [("llama", AFFINE4, None), ("qwen3", AFFINE4, mx.bfloat16), ("gemma3n", AFFINE4, None), ("starcoder2", None, None),
     ("llama", None, mx.float16)],
)  # fmt: skip
def test_what_comes_and_goes_during_an_answer_changes_nothing_that_is_said(kind, form, dtype, tmp_path):
    folder = write_dense(tmp_path / "model", kind, form, dtype)
    low, middle, high = budgets_of(folder)
    model = load(folder, Settings(memory_budget=high))
    try:
        assert not streamed(model)
        expected = answers(model)
        model.trim(0)
        found = answers(model, [low, low, high, middle, high, high, low, middle, low, high])
        assert mx.array_equal(found, expected)
        assert not streamed(model)
        assert model.streams == ""
    finally:
        model.close()


def test_experts_and_the_linears_beside_them_come_and_go(tmp_path):
    folder = write_moe(tmp_path / "model", "qwen3_moe")
    low, middle, high = budgets_of(folder)
    model = load(folder, Settings(memory_budget=high))
    try:
        expected = answers(model)
        model.trim(0)
        found = answers(model, [low, high, middle, low, high, low])
        assert mx.allclose(found, expected, atol=2e-4)
        assert streamed(model)
        assert model.streams == "expert"
    finally:
        model.close()


def test_a_conversation_that_grows_long_takes_what_was_whole_and_the_next_one_has_it_again(folder):
    _, _, high = budgets_of(folder)
    model = load(folder, Settings(memory_budget=high))
    try:
        begun = model.budget
        assert not streamed(model)
        expected = model.prefill(TOKENS)[0][0, -1]
        model.reserve(model.context)  # as a conversation would that fills it
        assert model.context > 8192
        assert len(streamed(model)) >= 19
        assert model.budget.items["pool"] < begun.items["pool"] / 4
        assert model.budget.total <= high
        model.trim(0)
        assert mx.array_equal(model.prefill(TOKENS)[0][0, -1], expected)
        assert model.decode(5)[1].bytes_read > 0
        model.reserve(0)
        model.trim(0)
        assert mx.array_equal(model.prefill(TOKENS)[0][0, -1], expected)
        assert not streamed(model)
        assert model.budget == begun
        assert model.decode(5)[1].bytes_read == 0
    finally:
        model.close()


def test_a_dense_model_gives_to_a_system_that_is_short_of_memory(folder):
    model = load(folder, Settings(memory_budget=budgets_of(folder)[2]))
    try:
        before, expected = model.budget.total, answers(model)
        for _ in range(3):
            model.give_back()
        assert streamed(model)
        assert before - model.given_bytes == pytest.approx(model.budget.total, abs=5000)
        model.trim(0)
        assert mx.array_equal(answers(model), expected)
    finally:
        model.close()


def test_what_cannot_be_read_again_is_streamed_and_the_answer_tells_of_it(folder, monkeypatch):
    low, _, high = budgets_of(folder)
    model = load(folder, Settings(memory_budget=low))
    try:
        expected = answers(model)
        monkeypatch.setattr("engine.streaming.whole.read_tensor", _fails)
        model.set_budget(high)
        assert len(streamed(model)) == len(model.budget.capacities)
        model.trim(0)
        assert mx.array_equal(answers(model), expected)
        assert all(layer.pool.num_used == layer.source.bundles for layer in model.streaming.layers)
    finally:
        model.close()


def _fails(*_):
    from engine.errors import ReadError

    raise ReadError("The drive is gone.")


def test_progress_of_a_prompt_counts_what_is_streamed_alone(tmp_path):
    folder = write_moe(tmp_path / "model", "qwen3_moe")
    write_tokenizer(folder, VOCABULARY)
    model = load(folder, Settings(memory_budget=budgets_of(folder)[2]))
    try:
        list(model.generate([5, 6, 7], GenerationOptions(max_tokens=2)))
        current = model.streaming.passes.current
        assert (current.layers, current.others) == (len(model.streaming.layers), 0)
        model.set_budget(budgets_of(folder)[0])
        list(model.generate([5, 6, 7], GenerationOptions(max_tokens=2)))
        assert model.streaming.passes.current.others == len(model.streaming.others) > 0
    finally:
        model.close()


def test_nothing_of_a_matrix_is_there_twice(folder):
    _, _, high = budgets_of(folder)
    model = load(folder, Settings(memory_budget=high))
    try:
        path = "model.layers.1.mlp.down_proj"
        own = module_at(model.network, path)
        model.reserve(model.context)
        assert isinstance(module_at(model.network, path), StreamedLinear)
        held = mx.get_active_memory()
        del own
        mx.clear_cache()
        assert held > mx.get_active_memory()
        for layer in model.streaming.layers:
            assert len(layer.pool.view) == layer.pool.capacity
    finally:
        model.close()
