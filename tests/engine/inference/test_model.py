"""A loaded model: streamed equals dense, whatever the window and the budget; and what happens when flash fails."""

import shutil
import threading

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import engine
from engine.errors import BudgetError, CancelledError, PressureError, ReadError
from engine.inference.evaluate import evaluate
from engine.inference.load import load
from engine.memory.budget import PoolDemand
from engine.settings import GenerationOptions, Settings
from engine.store.manifest import BUNDLES, PreparedModel
from engine.system import pressure
from engine.tokens.corpus import Sequence

TOKENS = np.random.default_rng(1).integers(3, 320, size=40).tolist()


def logits(folder, prefill=False, **settings) -> np.ndarray:
    model = load(folder, Settings(**settings))
    try:
        return evaluate(model, [Sequence(TOKENS, 0)], prefill=prefill, keep_logits=True)[1]
    finally:
        model.close()


def assert_equal_to_rounding(first: np.ndarray, second: np.ndarray) -> None:
    assert np.abs(first - second).max() <= 1e-3 * (first.max() - first.min())


@pytest.fixture(scope="module")
def dense(tiny_model):
    return logits(tiny_model, selection="dense")


@pytest.mark.parametrize("window", [1, 2, 5, 32])
def test_exact_selection_equals_dense_whatever_the_window(tiny_model, dense, window):
    assert_equal_to_rounding(dense, logits(tiny_model, selection="exact", window=window))


@pytest.mark.parametrize("selection", ["dense", "exact", "predictor"])
def test_prefill_is_exact(tiny_model, dense, selection):
    assert_equal_to_rounding(dense, logits(tiny_model, prefill=True, selection=selection))


def test_exact_selection_equals_dense_in_the_smallest_budget(tiny_model, dense):
    with pytest.raises(BudgetError, match="smallest that works") as refused:
        load(tiny_model, Settings(selection="exact", memory_budget=1000))
    smallest = logits(tiny_model, selection="exact", window=32, memory_budget=refused.value.smallest)
    assert_equal_to_rounding(dense, smallest)


@pytest.mark.parametrize("off", [{"bundling": False}, {"overlap": True}, {"read_gap": -1}, {"hot_neurons": True}])
def test_the_logits_are_the_same_with_each_technique_on_and_off(tiny_model, dense, off):
    assert_equal_to_rounding(dense, logits(tiny_model, selection="exact", **off))


def test_a_window_of_nothing_reads_every_active_neuron_of_every_token(tiny_model, dense):
    assert_equal_to_rounding(dense, logits(tiny_model, selection="exact", window=0))
    model = load(tiny_model, Settings(selection="exact", window=0))
    try:
        result = evaluate(model, [Sequence(TOKENS, 0)])[0]
        assert result.hits == 0 < result.wanted
    finally:
        model.close()


def test_dense_selection_keeps_what_the_budget_lets_and_reads_only_the_rest(tiny_model, dense):
    budget = load_and_close(tiny_model, selection="dense").budget.smallest
    row = 96 * 2 * 24 * 4  # bytes of a layer's bundles
    kept = logits(tiny_model, selection="dense", memory_budget=budget + row)
    assert_equal_to_rounding(dense, kept)

    def read(extra):
        model = load(tiny_model, Settings(selection="dense", memory_budget=budget + extra))
        try:
            return evaluate(model, [Sequence(TOKENS[:5], 0)])[0].bytes_read
        finally:
            model.close()

    assert 0 == read(10 * row) - 2 * row < read(row) - 2 * row < read(0) - 2 * row


def load_and_close(folder, **settings):
    model = load(folder, Settings(**settings))
    model.close()
    return model


def test_without_bundling_each_part_is_a_read_of_its_own(tiny_model):
    def reads(**settings):
        model = load(tiny_model, Settings(selection="exact", window=0, read_gap=-1, **settings))
        try:
            model.prefill(TOKENS[:3])
            return model.decode(TOKENS[3])[1].reads
        finally:
            model.close()

    assert reads(bundling=False) == 2 * reads(bundling=True) > 0


def test_a_token_that_needs_more_than_the_pool_is_computed_in_rounds(tiny_model, dense, monkeypatch):
    def three_rows(layer):
        return PoolDemand(layer.bundles.bytes, 3, 3, 0.1)

    monkeypatch.setattr("engine.planning.layers.NeuronLayer.demand", three_rows)
    assert_equal_to_rounding(dense, logits(tiny_model, selection="exact"))


def test_bfloat16_and_float16_models_run(tiny_checkpoint, tmp_path, dense):
    from engine.prepare.prepare import prepare
    from tests.helpers.checkpoints import write_text

    for dtype in ("float16", "bfloat16"):
        prepare(tiny_checkpoint, tmp_path / dtype, write_text(tmp_path / "text"), dtype)
        halved = logits(tmp_path / dtype, selection="exact")
        assert_equal_to_rounding(logits(tmp_path / dtype, selection="dense"), halved)
        assert 0 < np.abs(dense - halved).max() < 0.1 * (dense.max() - dense.min())


@pytest.fixture(scope="module")
def halved_models(tiny_checkpoint, tmp_path_factory):
    """Folders of the tiny model in 16 bits by dtype."""
    from engine.prepare.prepare import prepare
    from tests.helpers.checkpoints import write_text

    folder = tmp_path_factory.mktemp("halved")
    for dtype in ("bfloat16", "float16"):
        prepare(tiny_checkpoint, folder / dtype, write_text(folder / "text"), dtype)
    return {dtype: folder / dtype for dtype in ("bfloat16", "float16")}


@settings(
    max_examples=8, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    dtype=st.sampled_from(["bfloat16", "float16"]),
    window=st.integers(0, 40),
    beyond=st.integers(0, 40_000),
    computed=st.sampled_from([None, "float32"]),
    hot=st.booleans(),
)
def test_in_sixteen_bits_exact_selection_equals_dense_to_the_bit(
    halved_models, monkeypatch, dtype, window, beyond, computed, hot
):
    """beyond: bytes of the budget above the smallest."""
    monkeypatch.setattr("engine.planning.prepared.MAX_FLOAT32_BYTES", 0)
    folder, how = halved_models[dtype], {"compute_dtype": computed}
    smallest = load_and_close(folder, selection="exact", **how).budget.smallest
    reference = logits(folder, selection="dense", **how)
    how |= {"window": window, "memory_budget": smallest + beyond, "hot_neurons": hot}
    assert np.array_equal(reference, logits(folder, selection="exact", **how))
    assert np.array_equal(reference, logits(folder, selection="dense", **how))


def test_weights_in_their_own_dtype_run(tiny_model, dense, monkeypatch):
    monkeypatch.setattr("engine.planning.prepared.MAX_FLOAT32_BYTES", 0)
    assert_equal_to_rounding(dense, logits(tiny_model, selection="exact"))


def test_a_larger_window_reads_less(tiny_model):
    def read(window):
        model = load(
            tiny_model, Settings(selection="exact", window=window, memory_budget=100_000_000, hot_neurons=False)
        )
        try:
            return evaluate(model, [Sequence(TOKENS, 0)])[0].bytes_read
        finally:
            model.close()

    assert read(1) > read(4) > read(32)


def test_a_lower_threshold_misses_fewer_neurons_until_none_is_missed(tiny_model, dense):
    missed, read, settings = [], [], {"memory_budget": 100_000_000, "window": 0}
    for shift in (2.0, 0.0, -2.0):
        model = load(tiny_model, Settings(threshold_shift=shift, **settings))
        missed.append(sum(evaluate(model, [Sequence(TOKENS, 0)], prefill=True)[0].false_negatives))
        read.append(evaluate(model, [Sequence(TOKENS, 0)])[0].bytes_read)
        model.close()
    assert missed == sorted(missed, reverse=True)
    assert missed[0] > missed[-1]
    assert read == sorted(set(read))
    assert_equal_to_rounding(dense, logits(tiny_model, threshold_shift=-1000.0, **settings))
    with pytest.raises(ValueError, match="threshold"):
        Settings(threshold_shift=float("nan"))


def test_a_second_turn_prefills_only_what_is_new(tiny_model):
    model = load(tiny_model, Settings(selection="exact"))
    try:
        messages = [{"role": "user", "content": "Do you like music?"}]
        first = model.generate(messages, GenerationOptions(max_tokens=6, temperature=0))
        list(first)
        known = len(model.cached_tokens)
        prompt = [*model.cached_tokens, 5, 6, 7]
        second = model.generate(prompt, GenerationOptions(max_tokens=6, temperature=0))
        list(second)
        assert (second.summary.prompt_tokens, second.summary.cached_tokens) == (known + 3, known)
        fresh = load(tiny_model, Settings(selection="exact"))
        again = fresh.generate(prompt, GenerationOptions(max_tokens=6, temperature=0))
        list(again)
        fresh.close()
        assert again.summary.tokens == second.summary.tokens
    finally:
        model.close()


def test_cancelling_stops_within_a_layer_and_leaves_the_context_usable(tiny_model):
    model = load(tiny_model, Settings(selection="exact"))
    try:
        expected = [int(np.argmax(model.prefill(TOKENS[:9])[0])), *model.cached_tokens]
        model.trim(5)
        cancelled = threading.Event()
        cancelled.set()
        with pytest.raises(CancelledError):
            model.prefill(TOKENS[5:9], cancelled)
        with pytest.raises(CancelledError):
            model.decode(TOKENS[5], cancelled)
        assert model.cached_tokens == TOKENS[:5]
        assert [int(np.argmax(model.prefill(TOKENS[5:9])[0])), *model.cached_tokens] == expected
    finally:
        model.close()


def test_a_bundle_file_cut_short_while_in_use_is_a_clear_error_and_the_model_lives(tiny_model, tmp_path, dense):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    model = load(folder, Settings(selection="exact", window=1))
    try:
        content = (folder / BUNDLES).read_bytes()
        model.prefill(TOKENS[:3])
        with (folder / BUNDLES).open("r+b") as file:
            file.truncate(20_000)
        with pytest.raises(ReadError, match=BUNDLES):
            for token in TOKENS[3:]:
                model.decode(token)
        (folder / BUNDLES).write_bytes(content)
        model.trim(0)
        result = evaluate(model, [Sequence(TOKENS, 0)], keep_logits=True)[1]
        assert_equal_to_rounding(dense, result)
    finally:
        model.close()


def test_a_model_removed_while_in_use_goes_on(tiny_model, tmp_path, dense):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    model = load(folder, Settings(selection="exact"))
    try:
        shutil.rmtree(folder)
        assert_equal_to_rounding(dense, evaluate(model, [Sequence(TOKENS, 0)], keep_logits=True)[1])
    finally:
        model.close()


def test_closing_twice_is_harmless_and_memory_is_given_back(tiny_model):
    before = mx.get_active_memory()
    model = load(tiny_model)
    model.prefill(TOKENS[:10])
    model.decode(TOKENS[10])
    held = mx.get_active_memory() - before
    assert held > PreparedModel.open(tiny_model).bytes / 2
    model.close()
    assert mx.get_active_memory() - before < held / 100
    model.close()


def test_statistics_add_up(tiny_model):
    model = load(tiny_model, Settings(selection="exact"))
    try:
        model.prefill(TOKENS[:10])
        _, current = model.decode(TOKENS[10])
        statistics = current.statistics(model.bundles)
        row = model.stored.bundles.layers[0].row_bytes
        assert statistics.bytes_read == sum(statistics.loaded) * row
        assert all(loaded <= active <= resident for loaded, active, resident in zip(
            statistics.loaded, statistics.active, statistics.resident, strict=True))  # fmt: skip
        assert 0 <= statistics.hit_rate <= 1
        parts = statistics.io_ms + statistics.memory_ms + statistics.compute_ms
        assert statistics.total_ms == pytest.approx(parts)
        assert min(statistics.io_ms, statistics.memory_ms, statistics.compute_ms) >= 0
        assert statistics.footprint_bytes > 1_000_000
    finally:
        model.close()


def test_importing_the_engine_is_light():
    import subprocess
    import sys

    code = "import engine, sys; assert not {'mlx', 'mlx_lm', 'PySide6', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert engine.load is load


def test_a_system_short_of_memory_gets_parts_of_the_pools_and_the_answer_goes_on(tiny_model, monkeypatch):
    options = GenerationOptions(max_tokens=24, temperature=0.0)
    model = load(tiny_model, Settings(selection="exact"))
    try:
        usual = [piece.token for piece in model.generate([5, 6, 7], options)]
    finally:
        model.close()
    normal, warning, critical = pressure.Pressure
    levels = iter([normal, warning, *[critical] * 3])
    monkeypatch.setattr(pressure, "memory_pressure", lambda: next(levels, pressure.Pressure.NORMAL))
    monkeypatch.setattr("engine.inference.model.LOOK_S", 0.0)
    monkeypatch.setattr("engine.memory.relief.CALM_S", 0.0)
    model = load(tiny_model, Settings(selection="exact"))
    try:
        before, totals, tokens = model.budget, [], []
        for piece in model.generate([5, 6, 7], options):
            tokens.append(piece.token)
            totals.append(model.budget.total)
            assert model.streaming.capacities == model.budget.capacities
            assert all(len(layer.pool.view) == layer.pool.capacity for layer in model.streaming.layers)
        assert tokens == usual
        assert before.total > totals[0] > totals[1] > totals[2] >= totals[3], "it shrinks by steps"
        assert totals[3] >= model.outlook.smallest_budget(model.settings)
        assert totals[3:] == sorted(totals[3:]), "and grows again"
        assert model.budget == before
    finally:
        model.close()


def test_a_system_critically_short_of_memory_gets_some_instead_of_an_answer(tiny_model, monkeypatch):
    model = load(tiny_model, Settings(selection="exact"))
    try:
        before = model.budget.total
        with monkeypatch.context() as short:
            short.setattr(pressure, "memory_pressure", lambda: pressure.Pressure.CRITICAL)
            with pytest.raises(PressureError, match="no answer was begun"):
                model.generate([5, 6, 7])
        assert before > model.budget.total == pytest.approx(before - model.given_bytes, abs=500)
        assert len(list(model.generate([5, 6, 7], GenerationOptions(max_tokens=3)))) == 3
    finally:
        model.close()


@pytest.mark.parametrize("selection", ["exact", "dense"])
def test_a_budget_that_is_moved_during_an_answer_changes_what_is_held_and_nothing_that_is_said(tiny_model, selection):
    options = GenerationOptions(max_tokens=24, temperature=0.0)
    model = load(tiny_model, Settings(selection=selection))
    try:
        usual = [piece.token for piece in model.generate([5, 6, 7], options)]
        model.trim(0)
        low, high = model.outlook.smallest_budget(model.settings), model.outlook.full_budget(model.settings)
        moves = iter([low, high, (low + high) // 2, low, high])
        tokens = []
        for count, piece in enumerate(model.generate([5, 6, 7], options)):
            tokens.append(piece.token)
            if count % 4 == 1 and (budget := next(moves, None)):
                model.set_budget(budget)
                assert model.budget.total <= model.budget.ceiling == budget == model.settings.memory_budget
                assert model.budget.capacities == model.streaming.capacities
        assert tokens == usual
        before = model.budget
        with pytest.raises(BudgetError):
            model.set_budget(low - 1)
        assert model.budget is before
        assert model.settings.memory_budget == high
    finally:
        model.close()
