"""Dense checkpoints whose linears come from flash block by block, against mlx-lm with everything in memory."""

from dataclasses import replace
from threading import Event

import mlx.core as mx
import numpy as np
import pytest

from engine.errors import BudgetError, CancelledError, ReadError
from engine.inference.load import load
from engine.models.checkpoint import load_lazily
from engine.models.linears import is_ffn, uses_of
from engine.planning.layers import TABLE_ROWS
from engine.settings import Settings
from engine.streaming.linears import StreamedLinear
from tests.helpers.dense_models import CONFIGS, write_dense
from tests.helpers.drives import FAST, profile
from tests.helpers.mlx_models import AFFINE4, FORMS, InMemory
from tests.helpers.planning import budgets_of, outlook_of

TOKENS = [int(t) for t in np.random.default_rng(0).integers(0, 320, 20)]
PROMPT = 16


def answers(model, tokens=TOKENS):
    """Logits [tokens - PROMPT + 1, vocabulary] after a prompt and each token that follows, and bytes read for the last
    token."""
    found, read = [model.prefill(tokens[:PROMPT])[0][0, -1]], 0
    for token in tokens[PROMPT:]:
        logits, current = model.decode(token)
        found.append(logits[0, -1])
        read = current.bytes_read
    return mx.stack(found), read


def close_to(expected, found, relative=1e-4):
    return float(mx.abs(found - expected).max()) <= relative * float(mx.abs(expected).max())


def run(folder, **settings):
    model = load(folder, Settings(**settings))
    try:
        return *answers(model), len(model.streaming.layers)
    finally:
        model.close()


@pytest.mark.parametrize("model_type", CONFIGS)
def test_an_architecture_says_what_mlx_lm_says_at_any_budget_and_the_same_to_the_bit(model_type, tmp_path):
    folder = write_dense(tmp_path / "model", model_type)
    expected = InMemory(folder).logits(TOKENS)[PROMPT - 1 :]
    found = [run(folder, memory_budget=budget, context=64) for budget in budgets_of(folder, context=64)]
    for logits, _, _ in found:
        assert close_to(expected, logits)
        assert mx.array_equal(logits, found[0][0])
    (_, most, all_linears), (_, some, fewer), (_, none, no_linears) = found
    assert most > some > none == 0
    assert all_linears > fewer > no_linears == 0


@pytest.mark.parametrize("form", ["mxfp4", "affine-8-g64", "affine-3-g64"])
def test_any_form_of_quantisation(form, tmp_path):
    folder = write_dense(tmp_path / "model", form=FORMS[form])
    expected = InMemory(folder).logits(TOKENS)[PROMPT - 1 :]
    found = [run(folder, memory_budget=budget)[0] for budget in budgets_of(folder)]
    assert all(mx.array_equal(logits, found[-1]) for logits in found)
    assert close_to(expected, found[-1], 1e-4)


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16])
def test_weights_that_are_not_quantised(dtype, tmp_path):
    folder = write_dense(tmp_path / "model", form=None, dtype=dtype)
    expected = InMemory(folder).logits(TOKENS)[PROMPT - 1 :]
    for budget in budgets_of(folder):
        assert close_to(expected, run(folder, memory_budget=budget)[0])


@pytest.mark.parametrize("form", [AFFINE4, None])
def test_mlx_s_own_products_say_the_same(form, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.streaming.linears.available", lambda: False)
    monkeypatch.setattr("engine.arrays.layers.available", lambda: False)
    folder = write_dense(tmp_path / "model", form=form, dtype=mx.float32)
    expected = InMemory(folder).logits(TOKENS)[PROMPT - 1 :]
    found = [run(folder, memory_budget=budget)[0] for budget in budgets_of(folder)]
    assert all(close_to(expected, logits) for logits in found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_dense(tmp_path_factory.mktemp("dense") / "llama")


def test_a_token_reads_just_the_blocks_that_have_no_room(folder):
    _, budget, _ = budgets_of(folder)
    model = load(folder, Settings(memory_budget=budget))
    try:
        _, read = answers(model)
        planned = dict(zip(model.budget.demands, model.budget.capacities, strict=False))
        assert len(planned) > 1
        layers = model.streaming.layers
        stored = sum(layer.source.layout.bundle_bytes * layer.source.bundles for layer in layers)
        pinned = sum(layer.source.layout.bundle_bytes * layer.pool.capacity for layer in layers)
        assert 0 < pinned < stored
        assert stored - pinned - read < 0.1 * stored  # the last block of a linear may be smaller
        assert all(layer.pool.num_used == layer.pool.capacity for layer in layers)
    finally:
        model.close()


def test_ffns_are_streamed_first_and_evenly(folder):
    model = load(folder, Settings(memory_budget=budgets_of(folder)[1]))
    try:
        streamed = {path for path, module in model.network.named_modules() if isinstance(module, StreamedLinear)}
        assert streamed
        assert all(is_ffn(path) for path in streamed)
        by_shape = {}
        for layer in model.streaming.layers:
            by_shape.setdefault(layer.source.bundles, set()).add(layer.pool.capacity)
        assert all(max(slots) - min(slots) <= 1 for slots in by_shape.values())
    finally:
        model.close()


def test_below_the_smallest_budget_it_is_refused_and_plans_are_kept(folder):
    outlook = outlook_of(folder)
    low, middle, high = budgets_of(folder)
    with pytest.raises(BudgetError):
        load(folder, Settings(memory_budget=low - 1))
    for budget in (low, middle, high):
        plan = outlook.plan(Settings(memory_budget=budget))
        assert plan.total <= budget
    *linears, table = outlook.plan(Settings(memory_budget=low)).capacities
    assert set(linears) == {0}
    assert table == TABLE_ROWS


def test_a_forecast_is_the_drive_s_time_for_what_has_no_room_or_computing_s(folder):
    outlook = replace(outlook_of(folder), profile=profile(processor=FAST))
    low, middle, high = (outlook.predict(Settings(memory_budget=budget)) for budget in budgets_of(folder))
    assert low.bytes_read > middle.bytes_read > high.bytes_read == 0
    assert low.total_ms >= middle.total_ms >= high.total_ms
    assert high.io_ms == 0
    assert (low.hit_rate, high.hit_rate) == (0, 1)


def test_memory_that_is_given_back_changes_nothing_that_is_said(folder):
    model = load(folder, Settings(memory_budget=budgets_of(folder)[1]))
    try:
        expected, before = answers(model)
        model.trim(0)
        model.give_back()
        found, after = answers(model)
        assert mx.array_equal(found, expected)
        assert after > before
        assert model.streaming.capacities < tuple(layer.source.bundles for layer in model.streaming.layers)
    finally:
        model.close()


def test_a_pass_that_was_stopped_or_failed_leaves_all_as_it_was(folder, monkeypatch):
    model = load(folder, Settings(memory_budget=budgets_of(folder)[0]))
    try:
        expected, _ = answers(model)
        model.trim(PROMPT)
        stopped = Event()
        stopped.set()
        with pytest.raises(CancelledError):
            model.decode(TOKENS[PROMPT], cancelled=stopped)
        source = model.streaming.layers[3].source
        with monkeypatch.context() as broken:
            broken.setattr(type(source), "read_in_sequence", _fails)
            with pytest.raises(ReadError):
                for token in TOKENS[PROMPT:]:
                    model.decode(token)
        model.trim(PROMPT)
        found = [model.decode(token)[0][0, -1] for token in TOKENS[PROMPT:]]
        assert mx.array_equal(mx.stack(found), expected[1:])
    finally:
        model.close()


def _fails(*_):
    raise ReadError("The drive is gone.")


def test_linears_are_found_in_the_order_of_their_calls_but_for_those_that_are_looked_into(folder):
    lazy = load_lazily(folder)
    found = [path for path, _ in uses_of(lazy.network).linears]
    first = [path.removeprefix("model.layers.0.") for path in found if ".layers.0." in path]
    assert first[:3] == ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]
    assert first[3:] == ["self_attn.o_proj", *("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")]
    assert found[-1] == "lm_head"
    attention = lazy.network.model.layers[1].self_attn
    own = type(attention).__call__

    class Looking(type(attention)):
        def __call__(self, x, mask=None, cache=None):
            assert self.q_proj.weight.ndim == 2
            return own(self, x, mask, cache)

    attention.__class__ = Looking
    assert set(found) - {path for path, _ in uses_of(lazy.network).linears} == {"model.layers.1.self_attn.q_proj"}
