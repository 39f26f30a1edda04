"""The pool against a dictionary."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.memory.pool import (
    MAX_GUESSED_SHARE,
    MAX_STALE_SHARE,
    MIN_HOT_SHARE,
    MISS_DECAY,
    USE_DECAY,
    Admission,
    BundlePool,
)
from engine.memory.window import Window

BUNDLES, ROW_BYTES = 40, 32


def bytes_of(bundle: int) -> np.ndarray:
    return np.full(ROW_BYTES, bundle + 1, np.uint8)


def new_pool(capacity: int) -> BundlePool:
    return BundlePool(capacity, ROW_BYTES, "F32", BUNDLES)


def fill(pool: BundlePool, admission) -> None:
    for bundle, row in zip(admission.bundles, admission.rows, strict=True):
        pool.view[row] = bytes_of(bundle)


def check_structure(pool: BundlePool) -> dict[int, int]:
    """Every invariant of the pool; returns bundle -> token at which it was last active."""
    used = pool.num_used
    held = pool.pointer[:used]
    assert 0 <= used <= pool.capacity
    assert (pool.pointer[used:] == -1).all()
    assert (held >= 0).all() or not pool.dense
    rows, held = np.flatnonzero(held >= 0), held[held >= 0]
    assert len(set(held.tolist())) == len(held) == pool.num_held
    assert np.array_equal(np.flatnonzero(~pool.absent), np.sort(held))
    for row, bundle in zip(rows, held, strict=True):
        assert (pool.view[row] == bytes_of(bundle)).all(), f"bundle {bundle} holds another's bytes"
    return dict(zip(held.tolist(), pool.last_k_active[held].tolist(), strict=True))


active_sets = st.lists(st.sets(st.integers(0, BUNDLES - 1), max_size=12), min_size=1, max_size=30)


@settings(deadline=None, max_examples=150)
@given(tokens=active_sets, size=st.integers(1, 8), capacity=st.integers(12, BUNDLES))
def test_pool_holds_the_window_like_a_dictionary(tokens, size, capacity):
    pool, window = new_pool(capacity), Window(size)
    last: dict[int, int] = {}  # what a pool without a limit would hold
    for active in tokens:
        window.advance()
        admission = pool.admit(np.array(sorted(active), np.int64), window)
        fill(pool, admission)
        held = check_structure(pool)
        assert set(admission.bundles.tolist()) <= active
        assert active <= held.keys()
        last |= dict.fromkeys(active, window.token)
        last = {bundle: token for bundle, token in last.items() if token >= window.oldest}
        # What is held is what the window holds, at the same age; less only where the pool is full, and more by a few.
        in_window = {bundle: token for bundle, token in held.items() if token >= window.oldest}
        assert in_window.items() <= last.items()
        assert len(held) - len(in_window) <= MAX_STALE_SHARE * capacity
        if len(last) <= capacity and pool.left_early == 0:
            assert in_window == last
        if len(in_window) < len(last):
            assert pool.left_early > 0


@settings(deadline=None, max_examples=50)
@given(tokens=active_sets, capacity=st.integers(12, 20))
def test_a_full_pool_lets_its_oldest_bundles_go_first(tokens, capacity):
    pool, window = new_pool(capacity), Window(BUNDLES)
    for active in tokens:
        before = check_structure(pool)
        window.advance()
        fill(pool, pool.admit(np.array(sorted(active), np.int64), window))
        held = check_structure(pool)
        left = before.keys() - held.keys()
        stayed = before.keys() & held.keys() - active
        if left and stayed:
            assert max(before[n] for n in left) <= min(before[n] for n in stayed)


@settings(deadline=None, max_examples=50)
@given(tokens=active_sets, capacity=st.integers(12, 20))
def test_where_uses_are_counted_a_full_pool_lets_its_least_used_bundles_go_first(tokens, capacity):
    pool, window = BundlePool(capacity, ROW_BYTES, "F32", BUNDLES, True), Window(BUNDLES)
    uses: dict[int, float] = {}
    for active in tokens:
        before = check_structure(pool)
        window.advance()
        admission = pool.admit(np.array(sorted(active), np.int64), window)
        fill(pool, admission)
        held = check_structure(pool)
        left, stayed = before.keys() - held.keys(), before.keys() & held.keys() - active
        if left and stayed:
            assert max(uses[n] for n in left) <= min(uses[n] for n in stayed) * 1.0001
        decay = USE_DECAY * (1 - MISS_DECAY * (len(admission.bundles) / max(1, len(active))) ** 2)
        uses = {n: decay * uses.get(n, 0.0) + (n in active) for n in uses.keys() | active}


def test_a_window_of_nothing_loads_every_token_anew():
    pool, window = new_pool(8), Window(0)
    for _ in range(3):
        window.advance()
        admission = pool.admit(np.array([1, 2], np.int64), window)
        fill(pool, admission)
        assert admission.bundles.tolist() == [1, 2]
        assert set(check_structure(pool)) == {1, 2}


@settings(deadline=None, max_examples=60)
@given(tokens=active_sets, size=st.integers(0, 4), capacity=st.integers(12, BUNDLES))
def test_hot_bundles_stay_until_their_row_is_needed(tokens, size, capacity):
    pool, window = BundlePool(capacity, ROW_BYTES, "F32", BUNDLES, True), Window(size)
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
    tokens=st.lists(st.tuples(*[st.sets(st.integers(0, BUNDLES - 1), max_size=8)] * 2), min_size=1, max_size=20),
    passing=st.integers(0, 5),
    size=st.integers(1, 4),
    dense=st.booleans(),
)
def test_rows_of_what_is_still_on_its_way_are_given_to_nobody(tokens, passing, size, dense):
    """Tokens that pass between change nothing of it."""
    pool, window = BundlePool(12, ROW_BYTES, "F32", BUNDLES, keep_hot=True, dense=dense), Window(size)
    for active, likely in tokens:
        window.advance()
        expected, wanted = pool.expect(np.array(sorted(likely), np.int64), window), np.array(sorted(active), np.int64)
        window.advance(passing)
        spared = pool.spares_expected(wanted)
        admission = pool.make_room(wanted, window)
        assert not spared or not set(expected.rows.tolist()) & set(admission.rows.tolist())
        pool.settle(admission, wanted, window)


@settings(deadline=None, max_examples=100)
@given(
    tokens=st.lists(st.tuples(*[st.sets(st.integers(0, BUNDLES - 1), max_size=12)] * 2), min_size=1, max_size=20),
    size=st.integers(1, 4),
    capacity=st.integers(12, BUNDLES),
    hot=st.booleans(),
)
def test_what_is_expected_takes_live_rows_only_where_the_window_does_not_fit(tokens, size, capacity, hot):
    pool, window = BundlePool(capacity, ROW_BYTES, "F32", BUNDLES, hot), Window(size)
    early = False  # whether the last token's active set made bundles of the window leave
    for active, likely in tokens:
        window.advance()
        before = check_structure(pool)
        expected = pool.expect(np.array(sorted(likely), np.int64), window)
        fill(pool, expected)
        held = check_structure(pool)
        live = {bundle for bundle, token in before.items() if token >= window.oldest}
        gone = before.keys() - held.keys()
        outside, missing = (
            before.keys() - live - likely,
            min(len(likely - before.keys()), int(capacity * MAX_GUESSED_SHARE)),
        )
        wanted = max(0, missing - (capacity - len(before)))
        crowded = hot and len(outside) < max(wanted, MIN_HOT_SHARE * len(before))
        assert live <= held.keys() or early or crowded
        assert not gone & live & likely
        if gone & live and not hot:  # the oldest
            assert max(before[n] for n in gone) <= min([before[n] for n in before.keys() - gone - likely], default=99)
        assert set(expected.bundles.tolist()) == (likely & held.keys()) - before.keys()
        assert len(expected.bundles) <= int(capacity * MAX_GUESSED_SHARE)
        if capacity - len(live) >= len(likely) and len(likely - before.keys()) <= int(capacity * MAX_GUESSED_SHARE):
            assert likely <= held.keys()
        early = pool.left_early
        admission = pool.admit(np.array(sorted(active), np.int64), window)
        fill(pool, admission)
        assert active <= check_structure(pool).keys()
        assert set(admission.bundles.tolist()) == active - held.keys()
        early = pool.left_early > early


def test_the_most_used_of_the_bundles_that_left_the_window_stay():
    pool, window = BundlePool(4, ROW_BYTES, "F32", BUNDLES, True), Window(1)
    for active in ([7], [7, 1], [2, 3], [3]):
        window.advance()
        pool.admit(np.array(active, np.int64), window)
    window.advance()
    pool.admit(np.array([5, 6], np.int64), window)
    assert set(pool.pointer[: pool.num_used].tolist()) == {7, 3, 5, 6}


@pytest.mark.parametrize(("others", "stays"), [((), False), (range(20, 28), True)])
def test_a_window_that_leaves_room_for_what_is_used_most_spares_its_own(others, stays):
    """A bundle used once, two tokens ago, against ones used often before: by uses alone it would be the first to go."""
    pool, window = BundlePool(12, ROW_BYTES, "F32", BUNDLES, True), Window(3)
    often = [1, 2, 3, 4] if stays else [1, 2, *range(20, 28)]
    for active in ([*often, *others], often, often, [9], [10], [11, 12, 13] if stays else [11]):
        window.advance()
        fill(pool, pool.admit(np.array(active, np.int64), window))
    assert (9 in check_structure(pool)) == stays


def test_what_left_the_window_is_a_hit_until_its_row_is_needed():
    # S(t+1) is compared with the window of the k tokens before it (paper, section 3.1), then the oldest leaves.
    pool, window = new_pool(8), Window(2)
    for active in ([1, 2], [3]):
        window.advance()
        fill(pool, pool.admit(np.array(active, np.int64), window))
    window.advance()
    assert pool.admit(np.array([1], np.int64), window).bundles.size == 0
    assert set(check_structure(pool)) == {1, 3}


def test_freed_rows_are_given_to_incoming_bundles():
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
    incoming=st.dictionaries(st.integers(20, BUNDLES - 1), st.integers(0, 9), max_size=18),
    capacity=st.integers(10, 24),
)
def test_seeding_keeps_the_most_recent(resident, incoming, capacity):
    pool, window = new_pool(capacity), Window(30)
    window.advance(5)
    fill(pool, pool.admit(np.array(sorted(resident), np.int64), window))
    bundles = np.array(sorted(incoming), np.int64)
    fill(pool, pool.seed(bundles, np.array([incoming[int(n)] for n in bundles], np.int64), window))
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
    incoming=st.dictionaries(st.integers(0, BUNDLES - 1), st.integers(0, 2), max_size=18),
    capacity=st.integers(12, BUNDLES),
    prompt=st.integers(1, 4),
)
def test_seeding_leaves_hot_bundles_where_they_are(tokens, incoming, capacity, prompt):
    pool, window = BundlePool(capacity, ROW_BYTES, "F32", BUNDLES, True), Window(3)
    for active in tokens:
        window.advance()
        fill(pool, pool.admit(np.array(sorted(active), np.int64), window))
    window.advance(prompt)
    before, early = check_structure(pool), pool.left_early
    last = {bundle: window.token - age for bundle, age in incoming.items()}
    bundles = np.array(sorted(last), np.int64)
    seeded = pool.seed(bundles, np.array([last[int(n)] for n in bundles], np.int64), window)
    fill(pool, seeded)
    held = check_structure(pool)
    live = {bundle: token for bundle, token in (before | last).items() if token >= window.oldest}
    assert set(seeded.bundles.tolist()) == (last.keys() - before.keys()) & held.keys()
    assert len(held) == min(capacity, len(before.keys() | last.keys()))  # nobody leaves without need
    assert held.items() <= (before | last).items()
    if len(live) <= capacity:
        assert live.items() <= held.items()
        assert pool.left_early == early
    else:
        assert max(live[n] for n in live.keys() - held.keys()) <= min(held.values())


def test_a_pool_that_forgot_is_as_new():
    pool, window = BundlePool(4, ROW_BYTES, "F32", BUNDLES, True), Window(1)
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


def test_too_many_active_bundles_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        new_pool(2).admit(np.array([1, 2, 3], np.int64), Window(1))


def test_mlx_sees_what_is_written_through_the_view():
    pool, window = new_pool(8), Window(1)
    window.advance()
    admission = pool.admit(np.array([5], np.int64), window)
    pool.view[admission.rows[0]] = np.arange(8, dtype=np.float32).view(np.uint8)
    assert mx.sum(pool.matrix[: pool.num_used]).item() == 28.0


@settings(deadline=None, max_examples=100)
@given(
    tokens=active_sets,
    capacity=st.integers(12, BUNDLES),
    other=st.integers(0, BUNDLES),
    movable=st.integers(0, BUNDLES),
)
def test_a_pool_of_another_size_has_the_bundles_that_were_active_last(tokens, capacity, other, movable):
    pool, window = new_pool(capacity), Window(8)
    for token in tokens:
        window.advance(1)
        fill(pool, pool.admit(np.array(sorted(token), np.int64), window))
    held = check_structure(pool)
    pool.resize(other, movable * ROW_BYTES)
    kept = check_structure(pool)
    assert pool.capacity == len(pool.view) == pool.matrix.shape[0] == other
    assert len(kept) == min(other, len(held), movable)
    assert all(held[bundle] == last for bundle, last in kept.items())
    gone = [last for bundle, last in held.items() if bundle not in kept]
    assert not gone or not kept or max(gone) <= min(kept.values())


@settings(deadline=None, max_examples=150)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["use", "lose", "seed", "expect"]), st.sets(st.integers(0, BUNDLES - 1), max_size=12)
        ),
        min_size=1,
        max_size=25,
    ),
    size=st.integers(1, 4),
    capacity=st.integers(12, BUNDLES),
    hot=st.booleans(),
)
def test_where_rows_need_not_be_dense_nothing_moves_and_holes_are_filled_first(steps, size, capacity, hot):
    pool, window = BundlePool(capacity, ROW_BYTES, "F32", BUNDLES, hot, dense=False), Window(size)
    for step, chosen in steps:
        window.advance()
        before = rows_by_bundle(pool)
        chosen = np.array(sorted(chosen), np.int64)
        if step == "seed":
            fill(pool, pool.seed(chosen, np.full(len(chosen), window.token), window))
        elif step == "expect":
            fill(pool, pool.expect(chosen, window))
        elif step == "lose":
            pool.discard(pool.admit(chosen, window))
        else:
            fill(pool, pool.admit(chosen, window))
        held, after = check_structure(pool), rows_by_bundle(pool)
        assert all(before[bundle] == after[bundle] for bundle in before.keys() & after.keys())
        if step in ("use", "seed"):
            assert set(chosen.tolist()) <= held.keys()
        if step == "use" and len(before.keys() | set(chosen.tolist())) <= capacity and pool.num_used < capacity:
            assert pool.left_early == 0 or before.keys() <= after.keys()


def rows_by_bundle(pool: BundlePool) -> dict[int, int]:
    return {int(bundle): row for row, bundle in enumerate(pool.pointer[: pool.num_used]) if bundle >= 0}


def test_rows_are_found_by_bundle_and_all_are_here_once_each_was_needed():
    pool, window = BundlePool(BUNDLES, ROW_BYTES, "F32", BUNDLES, True, dense=False), Window(1)
    for active in np.array_split(np.random.default_rng(0).permutation(BUNDLES), 7):
        assert not pool.holds_all
        window.advance()
        fill(pool, pool.admit(np.sort(active), window))
        assert (pool.pointer[pool.rows_of(np.sort(active))] == np.sort(active)).all()
    assert pool.holds_all
    pool.discard(Admission(np.array([3]), pool.rows_of(np.array([3]))))
    assert not pool.holds_all


def test_what_a_prompt_used_most_stays_longest():
    pool, window = BundlePool(4, ROW_BYTES, "F32", BUNDLES, True, dense=False), Window(1)
    window.advance()
    pool.admit(np.array([1, 2, 3, 4]), window)
    pool.count_uses(np.array([1, 2, 3, 4]), np.array([50, 1, 400, 1]), tokens=500)
    for new in ([5], [6]):
        window.advance()
        pool.admit(np.array(new), window)
    assert set(pool.pointer.tolist()) == {1, 3, 5, 6}


@settings(deadline=None, max_examples=80)
@given(
    tokens=st.lists(st.sets(st.integers(0, BUNDLES - 1), min_size=4, max_size=4), min_size=1, max_size=60),
    capacity=st.integers(4, 20),
)
def test_an_experts_pool_is_least_frequently_used_with_ageing(tokens, capacity):
    """A token that misses much makes earlier ones count less."""
    pool, window = BundlePool(capacity, ROW_BYTES, "F32", BUNDLES, True, dense=False), Window(1)
    uses, held = np.zeros(BUNDLES), set()
    for active in tokens:
        window.advance()
        missed = active - held
        assert set(pool.admit(np.array(sorted(active), np.int64), window).bundles.tolist()) == missed
        staying = held - active
        while len(staying) + len(active) > capacity:
            least = min(uses[list(staying)])
            ties = {bundle for bundle in staying if np.isclose(uses[bundle], least, rtol=1e-3)}
            staying -= (ties - set(pool.held.tolist()) or ties) if len(ties) > 1 else ties
        held = staying | active
        assert held == set(pool.held.tolist())
        uses *= USE_DECAY * (1 - MISS_DECAY * (len(missed) / 4) ** 2)
        uses[list(active)] += 1


def test_a_smaller_pool_keeps_the_experts_that_are_used_most():
    pool, window = BundlePool(8, ROW_BYTES, "F32", BUNDLES, True, dense=False), Window(1)
    for active in ([1, 2], [1, 2], [1, 2], [1, 3], [4, 5], [6, 7]):
        window.advance()
        fill(pool, pool.admit(np.array(active, np.int64), window))
    pool.resize(3, 3 * ROW_BYTES)
    assert check_structure(pool).keys() >= {1, 2}
    assert pool.num_held == 3
    pool.resize(8, 3 * ROW_BYTES)
    assert check_structure(pool).keys() >= {1, 2}
    assert pool.num_held == 3
