"""Linears of which a token reads the active rows alone, against mlx-lm with everything in memory."""

import mlx.core as mx
import numpy as np
import pytest

from engine.errors import ReadError
from engine.flash.profile import profile_path
from engine.inference.load import load
from engine.settings import Settings
from engine.streaming.active_rows import ActiveLinear
from tests.helpers.dense_models import GEMMA3N, write_dense
from tests.helpers.drives import FAST, profile
from tests.helpers.mlx_models import AFFINE4, FORMS, InMemory
from tests.helpers.planning import budgets_of

WIDE = {"text_config": GEMMA3N | {"intermediate_size": 4096, "hidden_size": 256}}
MANY_READS, LONG_READS = {"iops": 1e6, "bandwidth": 2e8}, {"iops": 1e4, "bandwidth": 5e9}  # what a drive is good at
TOKENS = [int(t) for t in np.random.default_rng(0).integers(0, 300, 13)]
PROMPT = 8
CONTEXT = 64


def write(folder, form=AFFINE4, dtype=None, drive=MANY_READS):
    """A Gemma 3n whose first layer's FFN is wide, on such a drive."""
    write_dense(folder, "gemma3n", form, dtype, WIDE)
    profile(processor=FAST, **drive).save(profile_path(folder))
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "model")


def active_linears(model):
    return {path: each for path, each in model.network.named_modules() if isinstance(each, ActiveLinear)}


def answers(model):
    """Logits [tokens - PROMPT + 1, vocabulary], and by token the bytes that were read."""
    found, read = [model.prefill(TOKENS[:PROMPT])[0][0, -1]], []
    for token in TOKENS[PROMPT:]:
        logits, current = model.decode(token)
        found.append(logits[0, -1])
        read.append(current.bytes_read)
    return mx.stack(found), read


def run(folder, budget, **settings):
    model = load(folder, Settings(memory_budget=budget, context=CONTEXT, **settings))
    try:
        return *answers(model), len(active_linears(model))
    finally:
        model.close()


@pytest.mark.parametrize(("form", "dtype"), [(AFFINE4, None), (FORMS["affine-8-g64"], None), (FORMS["mxfp4"], None),
                                             (None, mx.bfloat16), (None, mx.float32)])  # fmt: skip
def test_what_is_said_is_mlx_lm_s_at_any_budget_and_the_same_to_the_bit(form, dtype, tmp_path):
    folder = write(tmp_path / "model", form, dtype)
    expected = InMemory(folder).logits(TOKENS)[PROMPT - 1 :]
    low, middle, high = (run(folder, budget) for budget in budgets_of(folder, context=CONTEXT))
    assert (low[2], high[2]) == (1, 0)
    assert mx.array_equal(low[0], middle[0])
    assert mx.array_equal(low[0], high[0])
    assert float(mx.abs(low[0] - expected).max()) <= 1e-4 * float(mx.abs(expected).max())


@pytest.mark.parametrize("hot", [True, False])
def test_less_is_read_than_of_the_whole_linear(hot, folder):
    budget = budgets_of(folder, context=CONTEXT)[0]
    logits, rows, active = run(folder, budget, hot_neurons=hot)
    profile(processor=FAST, **LONG_READS).save(profile_path(folder))
    as_whole, blocks, none = run(folder, budget)
    assert (active, none) == (1, 0)
    assert mx.array_equal(logits, as_whole)
    up = 256 * 4096 * 5 // 8  # bytes: 4 bits, and of each 32 weights a scale and a bias
    assert all(after < before - 0.8 * up for after, before in zip(rows, blocks, strict=True))


def test_rows_that_are_in_memory_are_not_read_again(folder):
    model = load(folder, Settings(memory_budget=budgets_of(folder, context=CONTEXT)[1], context=CONTEXT))
    try:
        _, first = answers(model)
        [linear] = active_linears(model).values()
        assert 0 < linear.bundles.pool.num_held <= linear.bundles.pool.capacity
        model.trim(0)
        _, second = answers(model)
        assert sum(second) < sum(first)
    finally:
        model.close()


def test_several_tokens_at_once_say_what_each_says_alone(folder):
    budget = budgets_of(folder, context=CONTEXT)[0]
    expected, _, _ = run(folder, budget)
    model = load(folder, Settings(memory_budget=budget, context=CONTEXT))
    try:
        model.prefill(TOKENS[:PROMPT])
        found, _ = model.verify(TOKENS[PROMPT : PROMPT + 4])
        assert mx.allclose(found[0], expected[1:5], atol=1e-4 * float(mx.abs(expected).max()))
    finally:
        model.close()


def test_a_token_with_more_active_rows_than_the_pool_has_room_for_streams_the_linear(folder):
    expected, _, _ = run(folder, budgets_of(folder, context=CONTEXT)[0])
    model = load(folder, Settings(memory_budget=budgets_of(folder, context=CONTEXT)[0], context=CONTEXT))
    try:
        [linear] = active_linears(model).values()
        linear.bundles.resize(1, 1 << 20)
        found, _ = answers(model)
        assert mx.array_equal(found, expected)
        assert linear.bundles.pool.num_held == 0
    finally:
        model.close()


def test_mlx_s_own_products_say_the_same(folder, monkeypatch):
    expected = InMemory(folder).logits(TOKENS)[PROMPT - 1 :]
    monkeypatch.setattr("engine.streaming.linears.available", lambda: False)
    monkeypatch.setattr("engine.arrays.layers.available", lambda: False)
    found, _, active = run(folder, budgets_of(folder, context=CONTEXT)[0])
    assert active == 1
    assert float(mx.abs(found - expected).max()) <= 1e-4 * float(mx.abs(expected).max())


def test_a_read_that_fails_leaves_all_as_it_was(folder, monkeypatch):
    model = load(folder, Settings(memory_budget=budgets_of(folder, context=CONTEXT)[0], context=CONTEXT))
    try:
        expected, _ = answers(model)
        [linear] = active_linears(model).values()
        linear.bundles.forget()
        model.trim(0)
        model.prefill(TOKENS[:PROMPT])
        with monkeypatch.context() as broken, pytest.raises(ReadError):
            broken.setattr(type(linear.bundles.source), "read", _fails)
            model.decode(TOKENS[PROMPT])
        model.trim(0)
        assert mx.array_equal(answers(model)[0], expected)
    finally:
        model.close()


def _fails(*_):
    raise ReadError("The drive is gone.")
