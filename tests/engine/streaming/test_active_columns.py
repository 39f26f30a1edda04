"""Experts of which a token reads the active neurons' columns alone, against mlx-lm with everything in memory."""

import mlx.core as mx
import numpy as np
import pytest

from engine.errors import ReadError
from engine.inference.load import load
from engine.prepare.columns import add_columns
from engine.settings import Settings
from engine.streaming.active_columns import ActiveColumns
from tests.helpers.mlx_models import AFFINE4, FORMS, InMemory
from tests.helpers.planning import budgets_of, outlook_of
from tests.helpers.sparse_experts import LONG_READS, MANY_READS, measure, write_sparse_experts

TOKENS = [int(t) for t in np.random.default_rng(0).integers(0, 320, 24)]
PROMPT, CONTEXT = 14, 64
SHARE = 0.05


def prepared(folder, form=AFFINE4, drive=MANY_READS):
    """A checkpoint with its columns, of whose experts it is known that few neurons fire, on such a drive."""
    source = write_sparse_experts(folder / "model", form)
    add_columns(source, folder / "by-neurons")
    measure(folder / "by-neurons", SHARE / 2, drive)
    return folder / "by-neurons"


@pytest.fixture
def folder(tmp_path):
    return prepared(tmp_path, FORMS["affine-8-g64"])


def columns_of(model):
    return list({id(m): m for m in model.network.modules() if isinstance(m, ActiveColumns)}.values())


def answers(model, tokens=TOKENS):
    """Logits after a prompt and each token that follows, and by token the bytes that were read."""
    found, read = [model.prefill(tokens[:PROMPT])[0][0, -1]], []
    for token in tokens[PROMPT:]:
        logits, current = model.decode(token)
        found.append(logits[0, -1])
        read.append(current.bytes_read)
    return mx.stack(found), read


def run(folder, budget):
    model = load(folder, Settings(memory_budget=budget, context=CONTEXT))
    try:
        return *answers(model), len(columns_of(model))
    finally:
        model.close()


def close_to(expected, found):
    return float(mx.abs(found - expected).max()) <= 1e-4 * float(mx.abs(expected).max())


@pytest.mark.parametrize("form", [AFFINE4, FORMS["affine-8-g64"], None])
def test_what_is_said_is_mlx_lm_s_at_any_budget(form, tmp_path):
    folder = prepared(tmp_path, form)
    assert outlook_of(folder).sizes.ways.reads_rows
    expected = InMemory(folder).step_by_step(TOKENS, PROMPT)
    for budget in budgets_of(folder, context=CONTEXT):
        logits, _, by_neurons = run(folder, budget)
        assert by_neurons == 1
        assert close_to(expected, logits)


def test_less_is_read_than_of_whole_experts(folder):
    budget = budgets_of(folder, context=CONTEXT)[0]
    logits, few, by_neurons = run(folder, budget)
    measure(folder, SHARE, LONG_READS)
    assert not outlook_of(folder).sizes.ways.reads_rows
    as_whole, all_of_it, none = run(folder, budgets_of(folder, context=CONTEXT)[0])
    assert (by_neurons, none) == (1, 0)
    assert sum(few) < 0.7 * sum(all_of_it)
    assert close_to(as_whole, logits)


def test_several_tokens_at_once_say_what_each_says_alone(folder):
    budget = budgets_of(folder, context=CONTEXT)[0]
    expected, _, _ = run(folder, budget)
    model = load(folder, Settings(memory_budget=budget, context=CONTEXT))
    try:
        model.prefill(TOKENS[:PROMPT])
        found, _ = model.verify(TOKENS[PROMPT : PROMPT + 4])
        assert close_to(expected[1:5], found[0])
    finally:
        model.close()


def test_memory_that_is_given_back_changes_nothing_that_is_said(folder):
    model = load(folder, Settings(memory_budget=budgets_of(folder, context=CONTEXT)[1], context=CONTEXT))
    try:
        expected, _ = answers(model)
        model.trim(0)
        model.give_back()
        found, _ = answers(model)
        assert close_to(expected, found)
        [columns] = columns_of(model)
        assert columns.part is None
    finally:
        model.close()


def test_a_read_that_fails_leaves_all_as_it_was(folder, monkeypatch):
    model = load(folder, Settings(memory_budget=budgets_of(folder, context=CONTEXT)[0], context=CONTEXT))
    try:
        expected, _ = answers(model)
        [columns] = columns_of(model)
        columns.bundles.forget()
        model.trim(0)
        model.prefill(TOKENS[:PROMPT])
        with monkeypatch.context() as broken, pytest.raises(ReadError):
            broken.setattr(type(columns.bundles.source), "read", _fails)
            for token in TOKENS[PROMPT:]:
                model.decode(token)
        model.trim(0)
        assert close_to(expected, answers(model)[0])
    finally:
        model.close()


def test_how_many_neurons_fire_is_learned_from_answers(folder):
    measure(folder, None, MANY_READS)
    assert outlook_of(folder).sizes.ways.unmeasured
    model = load(folder, Settings(memory_budget=budgets_of(folder, context=CONTEXT)[0], context=CONTEXT))
    try:
        assert not columns_of(model)
        model.prefill(TOKENS[:PROMPT])
        model.learn([model.decode(token)[1].statistics(model.bundles) for token in TOKENS[PROMPT:]])
        assert model.outlook.measured.active_share == pytest.approx(SHARE, abs=0.02)
    finally:
        model.close()
    assert outlook_of(folder).sizes.ways.choices[0].active_share == pytest.approx(SHARE, abs=0.02)


def _fails(*_):
    raise ReadError("The drive is gone.")
