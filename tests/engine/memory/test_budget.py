import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import BudgetError
from engine.memory.budget import PoolDemand, plan
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
        budget = plan(ceiling, fixed, demands, 0.5)
    except BudgetError as error:
        assert error.smallest > ceiling
        assert plan(error.smallest, fixed, demands, 0.5).smallest == error.smallest
        return
    assert budget.total <= ceiling
    assert all(d.minimum <= rows <= d.bundles for d, rows in zip(demands, budget.capacities, strict=True))


def test_room_is_used_until_every_neuron_fits():
    demands = [PoolDemand(100, 50, 5, 0.9), PoolDemand(100, 50, 5, 0.1)]
    everything = plan(10**6, {}, demands, 0.5)
    assert everything.capacities == (50, 50)
    some = plan(sum(d.bytes(25) for d in demands), {}, demands, 0.5)
    assert some.capacities[0] > some.capacities[1] >= 5


def test_without_a_ceiling_a_share_of_the_neurons_fits():
    budget = plan(None, {"resident": 10}, [PoolDemand(64, 1000, 10, 0.1)], 0.5)
    assert budget.capacities[0] == pytest.approx(500, abs=1)
    assert budget.total <= budget.ceiling


def test_the_refusal_lists_what_needs_memory():
    with pytest.raises(BudgetError, match=r"smallest that works is .*resident 5 MB.*pool"):
        plan(1000, {"resident": 5_000_000}, [PoolDemand(64, 100, 10, 0.1)], 0.5)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (12_300, "12.3 KB"), (999_600, "1 MB"), (6.1e9, "6.1 GB")]
)
def test_bytes_for_people(count, text):
    assert readable(count) == text


@given(demands=demands, ceiling=st.integers(1, 10_000_000))
def test_a_halved_plan_keeps_what_a_token_needs(demands, ceiling):
    try:
        budget = plan(ceiling, {"resident": 1000}, demands, 0.5)
    except BudgetError:
        return
    half = budget.halved()
    for demand, before, after in zip(demands, budget.capacities, half.capacities, strict=True):
        assert min(before, demand.minimum) <= after <= before
        assert after <= max(before // 2, demand.minimum)
    assert budget.smallest <= half.total <= budget.total
    for _ in range(30):
        half = half.halved()
    assert half.total == budget.smallest
