"""Each stage of a token gets its own time, and the token its own answer."""

import mlx.core as mx
import numpy as np
import pytest

from engine.bench import stages
from engine.bench.stages import REST, STAGES, Stopwatch
from engine.inference.load import load
from engine.models.opt import Attention
from engine.settings import Settings
from engine.sparsity.selectors import PredictedSelection
from engine.streaming.neurons import NeuronProduct

TOKENS = [3, 5, 7, 9, 11]


@pytest.fixture
def model(tiny_model):
    model = load(tiny_model, Settings(selection="predictor"))
    yield model
    model.close()


class Clock:
    """Moves on only when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def slow(self, function, seconds: float):
        def slower(*args, **kwargs):
            self.now += seconds
            return function(*args, **kwargs)

        return slower


def test_each_stage_gets_its_time(model, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(Attention, "__call__", clock.slow(Attention.__call__, 0.1))
    monkeypatch.setattr(PredictedSelection, "select", clock.slow(PredictedSelection.select, 0.01))
    monkeypatch.setattr(NeuronProduct, "after", clock.slow(NeuronProduct.after, 1.0))
    monkeypatch.setattr(type(model), "decode", clock.slow(type(model).decode, 5.0))
    model.prefill(TOKENS[:2])
    watch = Stopwatch(model)
    monkeypatch.setattr(stages, "perf_counter", clock)
    for token in TOKENS[2:]:
        watch.decode(token)
    found = watch.milliseconds()
    assert found["attention"] == pytest.approx(100 * model.layers)
    assert found["selection"] == pytest.approx(10 * model.layers)
    real = found["flash"] + found["memory management"]  # counted by another clock
    assert found["FFN"] == pytest.approx(1000 * model.layers - real, abs=1)
    assert found["embedding"] == found["head"] == 0
    assert found[REST] == pytest.approx(5000, abs=1)
    assert list(found) == [*STAGES, REST]


def test_a_watched_token_is_the_same_token(model):
    model.prefill(TOKENS[:2])
    expected = [np.array(model.decode(token)[0]) for token in TOKENS[2:]]
    model.trim(0)
    model.prefill(TOKENS[:2])
    watch = Stopwatch(model)
    for token, logits in zip(TOKENS[2:], expected, strict=True):
        assert np.allclose(np.array(watch.decode(token)), logits, atol=1e-5 * float(mx.abs(mx.array(logits)).max()))
    assert watch.tokens == len(TOKENS) - 2
    assert sum(watch.milliseconds().values()) > 0
