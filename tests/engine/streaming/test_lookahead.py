"""Guesses one layer ahead: they become as strict as they have to be, and what is read for them is never wrong."""

import numpy as np

from engine.inference.load import load
from engine.settings import Settings
from engine.streaming.lookahead import FIRST_SHIFT, ExpertLookAhead, LookAhead
from engine.streaming.overlap import Way

TOKENS = np.random.default_rng(3).integers(3, 320, size=60).tolist()


def test_wrong_guesses_make_it_stricter_and_right_ones_less():
    wrong, right = LookAhead(), LookAhead()
    for _ in range(20):
        assert wrong.learn(np.array([1, 2, 3]), np.array([7, 8])) == 0
        assert right.learn(np.array([1, 2, 3]), np.array([1, 2, 3, 9])) == 3
    assert wrong.shift > FIRST_SHIFT + 2
    assert right.shift < FIRST_SHIFT
    assert (wrong.read, wrong.right, right.read, right.right) == (60, 0, 60, 60)


def test_what_keeps_the_drive_from_real_misses_makes_it_stricter():
    late, early = LookAhead(), LookAhead()
    for _ in range(20):
        late.learn(np.array([1, 2, 3, 4]), np.array([1, 2, 3]), late=True)
        early.learn(np.array([1, 2, 3, 4]), np.array([1, 2, 3]))
    assert late.shift > FIRST_SHIFT > early.shift


def test_a_layer_that_guesses_nothing_tries_again_in_time():
    ahead = LookAhead()
    ahead.learn(np.array([1, 2]), np.array([3]))
    strict = ahead.shift
    for _ in range(200):
        ahead.learn(np.array([], np.int64), np.array([3]))
    assert 0 <= ahead.shift < strict


def test_routers_that_are_wrong_are_believed_less_and_asked_again_in_time():
    wrong, right = ExpertLookAhead(), ExpertLookAhead()
    for _ in range(5):
        wrong.learn(np.array([1, 2, 3, 4]), np.array([7, 8]))
        right.learn(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 9]))
    assert (wrong.width(8), right.width(8)) == (0, 8)
    for _ in range(20):
        wrong.learn(np.array([], np.int64), np.array([7, 8]))
    assert 0 < wrong.width(8) < 8


def test_experts_that_keep_the_drive_from_real_misses_make_it_narrower():
    late, early = ExpertLookAhead(), ExpertLookAhead()
    for _ in range(3):
        late.learn(np.array([1, 2, 3, 4]), np.array([1, 2, 3]), late=True)
        early.learn(np.array([1, 2, 3, 4]), np.array([1, 2, 3]))
    assert late.width(100) < early.width(100) == 100


def test_what_is_read_ahead_is_in_its_rows_and_counted(tiny_model):
    model = load(tiny_model, Settings(window=2, overlap=True))
    bundles = [_whole_layer(model, layer) for layer in range(model.layers)]
    try:
        model.streaming.overlap.begin = lambda: None
        model.streaming.overlap.way = Way.AHEAD
        model.prefill(TOKENS[:8])
        for token in TOKENS[8:]:
            _, current = model.decode(token)
            for layer, rows in zip(model.streaming.layers, bundles, strict=True):
                used = layer.pool.num_used
                assert np.array_equal(layer.pool.view[:used], rows[layer.pool.pointer[:used]])
                assert current.loaded[layer.layer] <= current.active[layer.layer]
        for layer in model.streaming.layers:
            assert layer.look_ahead.read >= layer.look_ahead.right > 0
    finally:
        model.close()


def _whole_layer(model, layer: int) -> np.ndarray:
    return np.concatenate([part.view.copy() for part in model.streaming.layers[layer].stream()])
