"""The distance of predicted selection from the whole, and which runs go through a layer together."""

import mlx.core as mx
import numpy as np
import pytest

from engine.models.activations import Activation
from engine.prepare.calibration import BATCH_TOKENS, BundledFFN, MaskedFFN, StoredRows, batches, run_through
from engine.sparsity.predictor import Predictor

WIDTH, NEURONS = 8, 40


@pytest.fixture
def rows():
    return np.random.default_rng(0).standard_normal((NEURONS, 2 * WIDTH)).astype(np.float32)


@pytest.fixture
def ffn(rows):
    return BundledFFN([StoredRows(rows[:, :WIDTH]), StoredRows(rows[:, WIDTH:])], Activation(), (None, None))


def masked(ffn, bias) -> MaskedFFN:
    """With a predictor that names neurons by their bias alone."""
    return MaskedFFN(ffn, Predictor(mx.zeros((1, WIDTH)), mx.zeros((NEURONS, 1)), mx.array(bias), 0.5))


class Layer:
    """The FFN, and a sum over the tokens so far, as attention would bring."""

    def __call__(self, x, mask):
        return mx.cumsum(x, axis=1) + self.ffn(x)


def test_the_error_is_that_of_the_outputs(ffn, rows):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((30, WIDTH)).astype(np.float32)
    half = np.where(np.arange(NEURONS) % 2, 1.0, -1.0).astype(np.float32)
    up, down = rows[:, :WIDTH], rows[:, WIDTH:]
    hidden = np.maximum(x @ up.T, 0)
    wanted = np.linalg.norm(hidden[:, ::2] @ down[::2]) / np.linalg.norm(hidden @ down)
    for bias, error in ((np.ones(NEURONS), 0), (-np.ones(NEURONS), 1), (half, wanted)):
        selected = masked(ffn, bias.astype(np.float32))
        list(run_through(Layer(), selected, [x[:10], x[10:]]))
        assert selected.error == pytest.approx(error, rel=1e-4, abs=1e-6)


def test_runs_that_go_together_do_not_mix(ffn):
    rng = np.random.default_rng(2)
    runs = [rng.standard_normal((length, WIDTH)).astype(np.float32) for length in (1, 5, 5, 17, 40)]
    selection = masked(ffn, np.ones(NEURONS, np.float32))
    together = list(run_through(Layer(), selection, runs))
    alone = [next(run_through(Layer(), selection, [run])) for run in runs]
    assert [len(states) for states in together] == [len(run) for run in runs]
    for one, other in zip(together, alone, strict=True):
        assert np.allclose(one, other, rtol=1e-5, atol=1e-5)


def test_a_batch_is_no_larger_than_it_may_be():
    lengths = [3, 100, 200, 300, 300, 600, 2 * BATCH_TOKENS]
    found = [[len(run) for run in batch] for batch in batches(np.zeros((n, 1)) for n in lengths)]
    assert found == [[3, 100, 200], [300, 300], [600], [2 * BATCH_TOKENS]]
