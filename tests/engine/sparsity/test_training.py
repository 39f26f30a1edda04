import mlx.core as mx
import numpy as np
import pytest

from engine.bench.traces import Trace, statistics
from engine.sparsity.predictor import Predictor, load_predictors, weight_names
from engine.sparsity.training import LayerActivity, measure, ranks_for, train_predictor
from engine.store.reports import LayerReport

HIDDEN, NEURONS, TOKENS = 32, 256, 6000


@pytest.fixture(scope="module")
def layer():
    """A layer whose up projection is close to rank 8, and inputs that it saw: few neurons are active."""
    rng = np.random.default_rng(0)
    up = rng.standard_normal((NEURONS, 8)) @ rng.standard_normal((8, HIDDEN))
    up = (up + 0.5 * rng.standard_normal((NEURONS, HIDDEN))).astype(np.float32)
    bias = np.full(NEURONS, -22.0, np.float32)
    # Real inputs come in kinds, and are far from normal: that is what training has over a factorisation.
    kinds = 1.3 * rng.standard_normal((12, HIDDEN))
    x = kinds[rng.integers(12, size=TOKENS)] + 0.5 * rng.standard_normal((TOKENS, HIDDEN))
    x = x.astype(np.float32)
    return up, bias, x, x @ up.T + bias > 0


@pytest.fixture(scope="module")
def activity(layer):
    _, _, x, active = layer
    return LayerActivity(x, np.packbits(active, axis=1), NEURONS, np.arange(TOKENS) // 256 % 5 == 2)


@pytest.fixture(scope="module")
def trained(layer, activity):
    up, bias, _, _ = layer
    return train_predictor(activity, up, bias, [12])


@pytest.mark.parametrize("window", [1, 4])
def test_use_is_what_a_trace_of_the_same_tokens_says(activity, layer, window):
    trace = Trace(NEURONS, [[np.flatnonzero(token).astype(np.int32)] for token in layer[3]])
    _, resident, loaded = statistics(trace, (window,)).at(window)
    together, newly = activity.use(window)
    assert together == pytest.approx(resident, rel=1e-3)  # of windows that end one token earlier
    assert newly == pytest.approx(loaded)


def test_a_trained_predictor_recalls_what_was_asked_for(layer, trained):
    _, _, x, active = layer
    assert 0.02 < active.mean() < 0.2
    assert trained.quality.recall >= 0.97
    assert trained.quality.false_positives < 0.06
    weights = (mx.array(w) for w in (trained.down, trained.up, trained.bias))
    said = Predictor(*weights, trained.quality.threshold).active(mx.array(x))
    assert said[active].mean() == pytest.approx(trained.quality.recall, abs=0.02)
    assert said[~active].mean() == pytest.approx(trained.quality.false_positives, abs=0.02)


def test_training_beats_the_factorisation_it_starts_from(layer, activity):
    up, bias, _, _ = layer
    untrained, trained = (train_predictor(activity, up, bias, [6], epochs=epochs) for epochs in (0, 4))
    assert trained.quality.false_positives < 0.9 * untrained.quality.false_positives


def test_training_ends_where_it_does_not_help():
    """Of normally distributed inputs nothing is better than the factorisation."""
    rng = np.random.default_rng(0)
    up = rng.standard_normal((NEURONS, HIDDEN)).astype(np.float32)
    bias, x = np.full(NEURONS, -9.0, np.float32), rng.standard_normal((TOKENS, HIDDEN)).astype(np.float32)
    seen = LayerActivity(x, np.packbits(x @ up.T + bias > 0, axis=1), NEURONS, np.arange(TOKENS) % 5 == 2)
    untrained, trained = (train_predictor(seen, up, bias, [8], epochs=epochs) for epochs in (0, 4))
    assert trained.quality == untrained.quality
    assert np.array_equal(trained.up, untrained.up)


def test_a_full_rank_predictor_is_nearly_exact(layer, activity):
    up, bias, _, _ = layer
    full = train_predictor(activity, up, bias, [HIDDEN], epochs=0)
    assert full.quality.recall >= 0.97
    assert full.quality.false_positives < 0.005


def test_the_smallest_rank_that_is_nearly_as_good_is_taken(layer, activity):
    up, bias, x, _ = layer
    rng = np.random.default_rng(1)
    simple = (rng.standard_normal((NEURONS, 4)) @ rng.standard_normal((4, HIDDEN))).astype(np.float32)
    active = np.packbits(x @ simple.T - 12 > 0, axis=1)
    low = LayerActivity(x, active, NEURONS, activity.held_out)
    assert len(train_predictor(low, simple, np.full(NEURONS, -12.0), [2, 4, 8, 16, 32], epochs=0).down) == 4
    assert len(train_predictor(activity, up, bias, [2, 4, 8, 16, 32], epochs=0).down) > 4


@pytest.mark.parametrize("width", [1, 8, 24, 64, 256, 768, 2048, 4096, 9216])
def test_ranks_rise_and_stay_below_the_width(width):
    ranks = ranks_for(width)
    assert ranks == sorted(set(ranks))
    assert 1 <= ranks[0] <= ranks[-1] <= max(width // 2, 1)
    assert width != 4096 or ranks == [128, 256, 512, 1024]


def test_a_threshold_is_chosen_on_tokens_that_were_not_trained_on(layer, activity):
    up, bias, _, active = layer
    trained = train_predictor(activity, up, bias, [12], epochs=1)
    weights = [trained.down, trained.up, trained.bias]
    assert measure(weights, activity, np.flatnonzero(activity.held_out)) == trained.quality
    assert activity.density == pytest.approx(active.mean())


@pytest.mark.parametrize("kind", ["trained", "imported"])
def test_predictors_survive_their_file(tmp_path, kind):
    rng = np.random.default_rng(0)
    shapes = ((4, 8), (16, 4), (16,))
    saved = [[mx.array(rng.standard_normal(s).astype(np.float32)) for s in shapes] for _ in range(2)]
    named = {name: w for i, weights in enumerate(saved) for name, w in zip(weight_names(i), weights, strict=True)}
    mx.save_safetensors(str(tmp_path / "p.safetensors"), named)
    reports = [LayerReport(16, 0.9, 4, threshold=0.5, recall=1.0, false_positives=0.1, predictor=kind)] * 2
    x = mx.array(rng.standard_normal((3, 8)).astype(np.float32))
    for weights, loaded in zip(saved, load_predictors(tmp_path / "p.safetensors", reports, mx.float32), strict=True):
        inner = np.array(x @ weights[0].T)
        score = (np.maximum(inner, 0) if kind == "imported" else inner) @ np.array(weights[1]).T + np.array(weights[2])
        assert np.array_equal(loaded.active(x), score > 0)
        assert loaded.rank == 4
