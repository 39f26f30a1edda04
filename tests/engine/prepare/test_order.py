"""Neurons in the order of what is read together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.prepare.order import neuron_order
from engine.sparsity.training import LayerActivity


def activity(active: np.ndarray) -> LayerActivity:
    tokens, neurons = active.shape
    bits = np.packbits(active, axis=1)
    return LayerActivity(np.zeros((tokens, 1), np.float32), bits, neurons, np.zeros(tokens, bool))


def reads(active: np.ndarray, window: int) -> int:
    """Runs of adjacent neurons that have to be read, token by token."""
    total = 0
    for token in range(window, len(active)):
        misses = active[token] & ~active[token - window + 1 : token].any(axis=0)
        total += int(misses[0]) + int((misses[1:] & ~misses[:-1]).sum())
    return total


@given(st.integers(1, 70), st.integers(1, 40), st.floats(0, 1), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_an_order_holds_every_neuron_once(neurons, tokens, density, seed):
    active = np.random.default_rng(seed).random((tokens, neurons)) < density
    order = neuron_order(activity(active))
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
    order = neuron_order(activity(active))
    assert reads(active[:, order], 5) < 0.5 * reads(active, 5)


def test_what_the_window_holds_is_not_read_again_and_does_not_count():
    active = np.zeros((4000, 8), bool)
    rng = np.random.default_rng(0)
    active[:, [0, 1]] = True  # always resident: no reason to be neighbours
    for token in range(0, 4000, 7):
        active[token, [2, 5] if rng.random() < 0.5 else [4, 7]] = True
    order = neuron_order(activity(active)).tolist()
    for one, other in ((2, 5), (4, 7)):
        assert abs(order.index(one) - order.index(other)) == 1
