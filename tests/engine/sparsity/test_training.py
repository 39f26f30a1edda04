import mlx.core as mx
import numpy as np
import pytest

from engine.sparsity.predictor import Predictor, load_predictors, predictor_weights
from engine.sparsity.training import LayerActivity, train_predictor

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
def trained(layer):
    up, bias, x, active = layer
    return train_predictor(LayerActivity(x, np.packbits(active, axis=1), NEURONS), up, bias, rank=12)


def test_a_trained_predictor_recalls_what_was_asked_for(layer, trained):
    _, _, x, active = layer
    assert 0.02 < active.mean() < 0.2
    assert trained.recall >= 0.97
    assert trained.false_positives < 0.06
    predictor = Predictor(mx.array(trained.down), mx.array(trained.up), mx.array(trained.bias), trained.threshold)
    said = np.array(predictor.active(mx.array(x)))
    assert said[active].mean() == pytest.approx(trained.recall, abs=0.02)
    assert said[~active].mean() == pytest.approx(trained.false_positives, abs=0.02)


def test_training_beats_the_factorisation_it_starts_from(layer, trained):
    up, bias, x, active = layer
    activity = LayerActivity(x, np.packbits(active, axis=1), NEURONS)
    untrained = train_predictor(activity, up, bias, rank=12, epochs=0)
    assert trained.false_positives < untrained.false_positives


def test_a_full_rank_predictor_is_nearly_exact(layer):
    up, bias, x, active = layer
    full = train_predictor(LayerActivity(x, np.packbits(active, axis=1), NEURONS), up, bias, rank=HIDDEN, epochs=0)
    assert full.recall >= 0.97
    assert full.false_positives < 0.005


def test_predictors_survive_their_file(tmp_path):
    rng = np.random.default_rng(0)
    saved = [
        Predictor(*(mx.array(rng.standard_normal(s).astype(np.float32)) for s in ((4, 8), (16, 4), (16,))), 0.5)
        for _ in range(2)
    ]
    mx.save_safetensors(str(tmp_path / "p.safetensors"), predictor_weights(saved, mx.float32))
    x = mx.array(rng.standard_normal((3, 8)).astype(np.float32))
    for before, after in zip(saved, load_predictors(tmp_path / "p.safetensors", [0.5, 0.5], mx.float32), strict=True):
        assert mx.array_equal(before.active(x), after.active(x))
        assert after.rank == 4
