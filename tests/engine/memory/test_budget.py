from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BudgetError
from engine.memory.budget import STEPS, PoolDemand, plan, total_of_share
from engine.text import readable

demands = st.lists(
    st.builds(
        PoolDemand,
        row_bytes=st.integers(16, 4096),
        bundles=st.integers(10, 500),
        minimum=st.integers(1, 10),
        weight=st.floats(0.01, 1.0),
    ),
    min_size=1,
    max_size=6,
)


@given(demands=demands, ceiling=st.integers(1, 10_000_000))
def test_a_plan_stays_below_its_ceiling_or_names_the_smallest_that_works(demands, ceiling):
    fixed = {"resident": 1000, "kv_cache": 500}
    try:
        budget = plan(ceiling, fixed, demands)
    except BudgetError as error:
        assert error.smallest > ceiling
        assert plan(error.smallest, fixed, demands).smallest == error.smallest
        return
    assert budget.total <= ceiling
    assert all(d.minimum <= rows <= d.bundles for d, rows in zip(demands, budget.capacities, strict=True))


def test_room_is_used_until_every_neuron_fits():
    demands = [PoolDemand(100, 50, 5, 0.9), PoolDemand(100, 50, 5, 0.1)]
    everything = plan(10**6, {}, demands)
    assert everything.capacities == (50, 50)
    some = plan(sum(d.bytes(25) for d in demands), {}, demands)
    assert some.capacities[0] > some.capacities[1] >= 5


def test_a_share_of_the_neurons_takes_so_many_bytes():
    demands = [PoolDemand(64, 1000, 10, 0.1)]
    ceiling = total_of_share(0.5, {"resident": 10}, demands)
    budget = plan(ceiling, {"resident": 10}, demands)
    assert budget.capacities == (500,)
    assert budget.total == ceiling


@given(demands=demands, room=st.integers(0, 3_000_000))
def test_room_is_used_but_for_less_than_a_row(demands, room):
    smallest = sum(d.bytes(d.minimum) for d in demands)
    budget = plan(smallest + room, {}, demands)
    left = budget.ceiling - budget.total
    for demand, rows in zip(demands, budget.capacities, strict=True):
        assert rows == demand.bundles or left < sum(d.bytes(1) - d.bytes(0) for d in demands)


@given(demands=demands, room=st.integers(0, 3_000_000), more=st.integers(0, 100_000))
def test_more_room_takes_no_row_from_anyone(demands, room, more):
    smallest = sum(d.bytes(d.minimum) for d in demands)
    less, enough = (plan(smallest + each, {}, demands).capacities for each in (room, room + more))
    assert all(a <= b for a, b in zip(less, enough, strict=True))


def test_a_little_less_room_moves_few_pools():
    demands = [PoolDemand(1000, 128, 8, 1.0)] * 48
    room = [plan(demands[0].bytes(64) * 48 - 9_000 * less, {}, demands).capacities for less in range(20)]
    for before, after in pairwise(room):
        assert 0 < sum(a != b for a, b in zip(before, after, strict=True)) <= 3
        assert max(after) - min(after) <= 128 // STEPS


def test_the_refusal_lists_what_needs_memory():
    with pytest.raises(BudgetError, match=r"smallest that works is .*resident 5 MB.*pool"):
        plan(1000, {"resident": 5_000_000}, [PoolDemand(64, 100, 10, 0.1)])


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (12_300, "12.3 KB"), (999_600, "1 MB"), (6.1e9, "6.1 GB")]
)
def test_bytes_for_people(count, text):
    assert readable(count) == text
