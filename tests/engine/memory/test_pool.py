"""The neuron pool against a dictionary."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.memory.pool import AHEAD, SLACK, NeuronPool
from engine.memory.window import Window

NEURONS, ROW_BYTES = 40, 32


def bundle(neuron: int) -> np.ndarray:
    return np.full(ROW_BYTES, neuron + 1, np.uint8)


def new_pool(capacity: int) -> NeuronPool:
    return NeuronPool(capacity, ROW_BYTES, "F32", np.arange(NEURONS, dtype=np.float32))


def fill(pool: NeuronPool, admission) -> None:
    for neuron, row in zip(admission.neurons, admission.rows, strict=True):
        pool.view[row] = bundle(neuron)


def check_structure(pool: NeuronPool) -> dict[int, int]:
    """Every invariant of the pool; returns neuron -> token at which it was last active."""
    used = pool.num_used
    held = pool.pointer[:used]
    assert 0 <= used <= pool.capacity
    assert (held >= 0).all()
    assert (pool.pointer[used:] == -1).all()
    assert len(set(held.tolist())) == used
    assert np.array_equal(np.flatnonzero(~pool.absent), np.sort(held))
    for row, neuron in enumerate(held):
        assert (pool.view[row] == bundle(neuron)).all(), f"neuron {neuron} holds another's bundle"
        assert pool.bias[row] == neuron
    return dict(zip(held.tolist(), pool.last_k_active[held].tolist(), strict=True))


active_sets = st.lists(st.sets(st.integers(0, NEURONS - 1), max_size=12), min_size=1, max_size=30)


@settings(deadline=None, max_examples=150)
@given(tokens=active_sets, size=st.integers(1, 8), capacity=st.integers(12, NEURONS))
def test_pool_holds_the_window_like_a_dictionary(tokens, size, capacity):
    pool, window = new_pool(capacity), Window(size)
    last: dict[int, int] = {}  # what a pool without a limit would hold
    for active in tokens:
        window.advance()
        admission = pool.admit(np.array(sorted(active), np.int64), window)
        fill(pool, admission)
        held = check_structure(pool)
        assert set(admission.neurons.tolist()) <= active
        assert active <= held.keys()
        last |= dict.fromkeys(active, window.token)
        last = {neuron: token for neuron, token in last.items() if token >= window.oldest}
        # What is held is what the window holds, at the same age; less only where the pool is full, and more by a few.
        in_window = {neuron: token for neuron, token in held.items() if token >= window.oldest}
        assert in_window.items() <= last.items()
        assert len(held) - len(in_window) <= SLACK * capacity
        if len(last) <= capacity and pool.left_early == 0:
            assert in_window == last
        if len(in_window) < len(last):
            assert pool.left_early > 0


@settings(deadline=None, max_examples=50)
@given(tokens=active_sets, capacity=st.integers(12, 20))
def test_a_full_pool_lets_its_oldest_neurons_go_first(tokens, capacity):
    pool, window = new_pool(capacity), Window(NEURONS)
    for active in tokens:
        before = check_structure(pool)
        window.advance()
        fill(pool, pool.admit(np.array(sorted(active), np.int64), window))
        held = check_structure(pool)
        left = before.keys() - held.keys()
        stayed = before.keys() & held.keys() - active
        if left and stayed:
            assert max(before[n] for n in left) <= min(before[n] for n in stayed)


def test_a_window_of_nothing_loads_every_token_anew():
    pool, window = new_pool(8), Window(0)
    for _ in range(3):
        window.advance()
        admission = pool.admit(np.array([1, 2], np.int64), window)
        fill(pool, admission)
        assert admission.neurons.tolist() == [1, 2]
        assert set(check_structure(pool)) == {1, 2}


@settings(deadline=None, max_examples=60)
@given(tokens=active_sets, size=st.integers(0, 4), capacity=st.integers(12, NEURONS))
def test_hot_neurons_stay_until_their_row_is_needed(tokens, size, capacity):
    pool, window = NeuronPool(capacity, ROW_BYTES, "F32", np.arange(NEURONS, dtype=np.float32), True), Window(size)
    for active in tokens:
        window.advance()
        before = check_structure(pool)
        admission = pool.admit(np.array(sorted(active), np.int64), window)
        fill(pool, admission)
        held = check_structure(pool)
        assert active <= held.keys()
        if size:  # nobody leaves without need
            assert len(held) == min(capacity, len(before.keys() | active))


@settings(deadline=None, max_examples=100)
@given(
    tokens=st.lists(st.tuples(*[st.sets(st.integers(0, NEURONS - 1), max_size=12)] * 2), min_size=1, max_size=20),
    size=st.integers(1, 4),
    capacity=st.integers(12, NEURONS),
    hot=st.booleans(),
)
def test_what_is_expected_takes_live_rows_only_where_the_window_does_not_fit(tokens, size, capacity, hot):
    pool, window = NeuronPool(capacity, ROW_BYTES, "F32", np.arange(NEURONS, dtype=np.float32), hot), Window(size)
    early = False  # whether the last token's active set made neurons of the window leave
    for active, likely in tokens:
        window.advance()
        before = check_structure(pool)
        expected = pool.expect(np.array(sorted(likely), np.int64), window)
        fill(pool, expected)
        held = check_structure(pool)
        live = {neuron for neuron, token in before.items() if token >= window.oldest}
        gone = before.keys() - held.keys()
        assert live <= held.keys() or early
        if gone & live:  # the oldest, and nothing that is expected
            assert not gone & likely
            assert max(before[n] for n in gone) <= min([before[n] for n in before.keys() - gone - likely], default=99)
        assert set(expected.neurons.tolist()) == (likely & held.keys()) - before.keys()
        assert len(expected.neurons) <= capacity // AHEAD
        if capacity - len(live) >= len(likely) and len(likely - before.keys()) <= capacity // AHEAD:
            assert likely <= held.keys()
        early = pool.left_early
        admission = pool.admit(np.array(sorted(active), np.int64), window)
        fill(pool, admission)
        assert active <= check_structure(pool).keys()
        assert set(admission.neurons.tolist()) == active - held.keys()
        early = pool.left_early > early


def test_the_most_used_of_the_neurons_that_left_the_window_stay():
    pool, window = NeuronPool(4, ROW_BYTES, "F32", np.zeros(NEURONS, np.float32), True), Window(1)
    for active in ([7], [7, 1], [2, 3], [3]):
        window.advance()
        pool.admit(np.array(active, np.int64), window)
    window.advance()
    pool.admit(np.array([5, 6], np.int64), window)
    assert set(pool.pointer[: pool.num_used].tolist()) == {7, 3, 5, 6}


def test_what_left_the_window_is_a_hit_until_its_row_is_needed():
    # S(t+1) is compared with the window of the k tokens before it (paper, section 3.1), then the oldest leaves.
    pool, window = new_pool(8), Window(2)
    for active in ([1, 2], [3]):
        window.advance()
        fill(pool, pool.admit(np.array(active, np.int64), window))
    window.advance()
    assert pool.admit(np.array([1], np.int64), window).neurons.size == 0
    assert set(check_structure(pool)) == {1, 3}


def test_freed_rows_are_given_to_incoming_neurons():
    pool, window = new_pool(8), Window(1)
    window.advance()
    fill(pool, pool.admit(np.array([1, 2, 3], np.int64), window))
    window.advance()
    admission = pool.admit(np.array([4, 5, 6], np.int64), window)
    assert sorted(admission.rows.tolist()) == [0, 1, 2]
    assert pool.num_used == 3


@settings(deadline=None, max_examples=100)
@given(
    resident=st.sets(st.integers(0, 19), max_size=10),
    incoming=st.dictionaries(st.integers(20, NEURONS - 1), st.integers(0, 9), max_size=18),
    capacity=st.integers(10, 24),
)
def test_seeding_keeps_the_most_recent(resident, incoming, capacity):
    pool, window = new_pool(capacity), Window(30)
    window.advance(5)
    fill(pool, pool.admit(np.array(sorted(resident), np.int64), window))
    neurons = np.array(sorted(incoming), np.int64)
    fill(pool, pool.seed(neurons, np.array([incoming[int(n)] for n in neurons], np.int64), window))
    held = check_structure(pool)
    everyone = dict.fromkeys(resident, 5) | incoming
    assert len(held) == min(capacity, len(everyone))
    gone = everyone.keys() - held.keys()
    assert pool.left_early == len(gone)
    if gone:
        assert max(everyone[n] for n in gone) <= min(held.values())


@settings(deadline=None, max_examples=100)
@given(
    tokens=active_sets,
    incoming=st.dictionaries(st.integers(0, NEURONS - 1), st.integers(0, 2), max_size=18),
    capacity=st.integers(12, NEURONS),
    prompt=st.integers(1, 4),
)
def test_seeding_leaves_hot_neurons_where_they_are(tokens, incoming, capacity, prompt):
    pool, window = NeuronPool(capacity, ROW_BYTES, "F32", np.arange(NEURONS, dtype=np.float32), True), Window(3)
    for active in tokens:
        window.advance()
        fill(pool, pool.admit(np.array(sorted(active), np.int64), window))
    window.advance(prompt)
    before, early = check_structure(pool), pool.left_early
    last = {neuron: window.token - age for neuron, age in incoming.items()}
    neurons = np.array(sorted(last), np.int64)
    seeded = pool.seed(neurons, np.array([last[int(n)] for n in neurons], np.int64), window)
    fill(pool, seeded)
    held = check_structure(pool)
    live = {neuron: token for neuron, token in (before | last).items() if token >= window.oldest}
    assert set(seeded.neurons.tolist()) == (last.keys() - before.keys()) & held.keys()
    assert len(held) == min(capacity, len(before.keys() | last.keys()))  # nobody leaves without need
    assert held.items() <= (before | last).items()
    if len(live) <= capacity:
        assert live.items() <= held.items()
        assert pool.left_early == early
    else:
        assert max(live[n] for n in live.keys() - held.keys()) <= min(held.values())


def test_a_pool_that_forgot_is_as_new():
    pool, window = NeuronPool(4, ROW_BYTES, "F32", np.zeros(NEURONS, np.float32), True), Window(1)
    for active in ([7], [7, 1], [7, 2]):
        window.advance()
        pool.admit(np.array(active, np.int64), window)
    pool.forget()
    assert check_structure(pool) == {}
    for active in ([1], [1, 7], [2, 3], [3]):  # 1 is the hot one now
        window.advance()
        fill(pool, pool.admit(np.array(active, np.int64), window))
    window.advance()
    pool.admit(np.array([5, 6], np.int64), window)
    assert set(pool.pointer[: pool.num_used].tolist()) == {1, 3, 5, 6}


def test_an_admission_that_could_not_be_read_leaves_no_trace():
    pool, window = new_pool(8), Window(4)
    window.advance()
    fill(pool, pool.admit(np.array([1, 2], np.int64), window))
    window.advance()
    pool.discard(pool.admit(np.array([2, 7, 9], np.int64), window))
    assert set(check_structure(pool)) == {1, 2}


def test_too_many_active_neurons_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        new_pool(2).admit(np.array([1, 2, 3], np.int64), Window(1))


def test_mlx_sees_what_is_written_through_the_view():
    pool, window = new_pool(8), Window(1)
    window.advance()
    admission = pool.admit(np.array([5], np.int64), window)
    pool.view[admission.rows[0]] = np.arange(8, dtype=np.float32).view(np.uint8)
    assert mx.sum(pool.matrix[: pool.num_used]).item() == 28.0


@settings(deadline=None, max_examples=100)
@given(tokens=active_sets, capacity=st.integers(12, NEURONS), smaller=st.integers(1, NEURONS))
def test_a_smaller_pool_has_the_neurons_that_were_active_last(tokens, capacity, smaller):
    pool, window = new_pool(capacity), Window(8)
    for token in tokens:
        window.advance(1)
        fill(pool, pool.admit(np.array(sorted(token), np.int64), window))
    held = check_structure(pool)
    less = pool.smaller(smaller)
    kept = check_structure(less)
    assert less.capacity == smaller
    assert len(kept) == min(smaller, len(held))
    assert all(held[neuron] == last for neuron, last in kept.items())
    gone = [last for neuron, last in held.items() if neuron not in kept]
    assert not gone or not kept or max(gone) <= min(kept.values())
