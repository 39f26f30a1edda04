"""Neurons in the order of what is read together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.prepare import order as module
from engine.prepare.order import neuron_order


def order_of(active: np.ndarray) -> np.ndarray:
    """active: bool [tokens, neurons]."""
    return neuron_order(np.packbits(active, axis=1), active.shape[1])


def reads(active: np.ndarray, window: int, gap: int = 0) -> int:
    """Runs of neurons that have to be read, token by token, when as many as `gap` others are read through."""
    total = 0
    for token in range(window, len(active)):
        misses = np.flatnonzero(active[token] & ~active[token - window + 1 : token].any(axis=0))
        total += int(len(misses) > 0) + int((np.diff(misses) > gap + 1).sum())
    return total


@given(st.integers(1, 70), st.integers(1, 40), st.floats(0, 1), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_an_order_holds_every_neuron_once(neurons, tokens, density, seed):
    active = np.random.default_rng(seed).random((tokens, neurons)) < density
    order = order_of(active)
    assert order.dtype == np.int32
    assert sorted(order) == list(range(neurons))


@pytest.mark.parametrize("seed", range(3))
def test_neurons_that_fire_together_come_to_lie_together(seed):
    rng = np.random.default_rng(seed)
    groups = rng.permutation(240).reshape(40, 6)
    active = np.zeros((2000, 240), bool)
    for token in active:
        token[groups[rng.choice(40, 3, replace=False)]] = True
        token[rng.integers(240, size=2)] = True
    order = order_of(active)
    assert reads(active[:, order], 5) < 0.5 * reads(active, 5)


def test_what_the_window_holds_is_not_read_again_and_does_not_count():
    active = np.zeros((4000, 8), bool)
    rng = np.random.default_rng(0)
    active[:, [0, 1]] = True  # always resident: no reason to be neighbours
    for token in range(0, 4000, 7):
        active[token, [2, 5] if rng.random() < 0.5 else [4, 7]] = True
    order = order_of(active).tolist()
    for one, other in ((2, 5), (4, 7)):
        assert abs(order.index(one) - order.index(other)) == 1


@pytest.mark.parametrize("seed", range(3))
def test_neighbours_but_one_count_as_gaps_are_read_through(seed):
    rng = np.random.default_rng(seed)
    line = rng.permutation(320)
    active = np.zeros((3000, 320), bool)
    for token in active:
        token[line[rng.integers(316) + rng.permutation(5)[:3]]] = True
        token[rng.integers(320, size=4)] = True
    best = reads(active[:, line], 5, gap=2)
    assert reads(active[:, order_of(active)], 5, gap=2) < 1.015 * best  # 1.02 to 1.04 if only adjacent ones counted
    assert reads(active, 5, gap=2) > 1.3 * best


def test_a_text_with_too_many_pairs_is_counted_in_even_steps(monkeypatch):
    active = np.random.default_rng(0).random((700, 30)) < 0.1
    misses = active.copy()
    for token in range(700):
        misses[token] &= ~active[max(0, token - module.WINDOW_TOKENS) : token].any(axis=0)
    pairs = np.square(misses.sum(axis=1)).sum()
    monkeypatch.setattr(module, "MAX_PAIRS", pairs / 2.5)
    counted = misses[::3].astype(int)
    assert (module.read_together(np.packbits(active, axis=1), 30) == counted.T @ counted).all()
