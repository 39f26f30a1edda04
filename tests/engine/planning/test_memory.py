"""A plan for a context of any length: what it does not need is the pools', and the ceiling holds."""

from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.bench.drafts import AFFINE4, DENSE_3B
from engine.bench.expert_shapes import EXPERT_SHAPES
from engine.errors import BudgetError
from engine.models.caches import MAX_SNAPSHOTS
from engine.planning.checkpoint import MIN_CHUNK, CheckpointSizes
from engine.planning.memory import FIRST_TOKENS, USUAL_CONTEXT, MemoryPlan, Planner, longest_context
from engine.planning.outlook import Outlook
from engine.planning.shape import ModelShape
from engine.settings import Settings
from tests.helpers.dense_models import GEMMA3N

SHAPES = {name: shape.config | {"quantization": shape.quantization} for name, shape in EXPERT_SHAPES.items()}
WITH_SNAPSHOTS = {"gemma-4-26b-a4b", "gpt-oss-20b", "qwen3.5-35b-a3b"}


@cache
def sizes_of(name: str) -> CheckpointSizes:
    network = ModelShape.from_config(SHAPES[name])
    return CheckpointSizes(network, network.model_bytes, 50_000_000, heads=1)


@settings(deadline=None, max_examples=150)
@given(name=st.sampled_from(sorted(SHAPES)), data=st.data())
def test_a_longer_context_takes_from_pools_and_the_ceiling_holds(name, data):
    sizes = sizes_of(name)
    smallest = Planner.of(sizes, Settings(memory_budget=1 << 50)).smallest(FIRST_TOKENS)
    budget = smallest + data.draw(st.integers(0, 30 << 30))
    chosen = Settings(memory_budget=budget)
    longest = longest_context(sizes, chosen)
    less, more = sorted(data.draw(st.tuples(*[st.integers(1, longest)] * 2)))
    short, long = (Planner.of(sizes, chosen).plan(tokens) for tokens in (less, more))
    for found, tokens in ((short, less), (long, more)):
        assert found.budget.total <= found.budget.ceiling == budget
        assert found.tokens == max(tokens, FIRST_TOKENS)
        assert found.budget.items["kv_cache"] >= sizes.network.context_bytes(tokens)
    assert all(a >= b for a, b in zip(short.budget.capacities, long.budget.capacities, strict=True))


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_without_a_gpu_what_a_prompt_is_computed_with_leaves_more_to_the_pools(share, monkeypatch):
    """It takes longer to compute a chunk than to read what that needs, so a larger one would save nothing."""
    sizes = sizes_of("olmoe-1b-7b")
    settings = Settings(memory_budget=int(share * sizes.network.model_bytes) + 300_000_000)

    def planned(gpu: bool) -> MemoryPlan:
        monkeypatch.setattr("mlx.core.metal.is_available", lambda: gpu)
        monkeypatch.setattr("engine.planning.checkpoint.available", lambda: not gpu)
        return Planner.of(sizes, settings).plan(0)

    slow, fast = planned(gpu=False), planned(gpu=True)
    assert slow.budget.items["workspace"] < 0.6 * fast.budget.items["workspace"]
    assert slow.budget.items["pool"] > fast.budget.items["pool"]
    assert slow.workspace.chunk >= MIN_CHUNK


@pytest.mark.parametrize("name", SHAPES)
def test_the_longest_context_leaves_the_smallest_pools(name):
    sizes = sizes_of(name)
    assert Planner.of(sizes, Settings(memory_budget=1 << 50)).longest == sizes.network.context
    with pytest.raises(BudgetError) as refused:
        Planner.of(sizes, Settings(memory_budget=1))
    planner = Planner.of(sizes, Settings(memory_budget=refused.value.smallest))  # nothing is whole
    chosen = Settings(memory_budget=(planner.smallest(FIRST_TOKENS) + planner.smallest(planner.most)) // 2)
    longest = longest_context(sizes, chosen)
    assert FIRST_TOKENS < longest < planner.most
    found = Planner.of(sizes, chosen).plan(longest)
    assert found.budget.ceiling - found.budget.smallest < found.budget.items["kv_cache"] / 2
    with pytest.raises(BudgetError):
        Planner.of(sizes, chosen).plan(longest + 1)


def test_a_context_that_was_asked_for_is_a_limit():
    sizes = sizes_of("qwen3-30b-a3b")
    assert longest_context(sizes, Settings(context=3000)) == 3000
    with pytest.raises(BudgetError) as refused:
        longest_context(sizes, Settings(memory_budget=1, context=3000))
    smallest = Settings(memory_budget=refused.value.smallest, context=3000)
    assert longest_context(sizes, smallest) == FIRST_TOKENS


LONG = {"max_position_embeddings": 131_072}
DENSE_SHAPES = {
    "llama-3b": DENSE_3B | LONG | {"quantization": AFFINE4},
    "gemma3n": {"model_type": "gemma3n", "text_config": GEMMA3N | LONG, "quantization": AFFINE4},  # with a large table
}


@cache
def dense_sizes(name: str) -> CheckpointSizes:
    network = ModelShape.from_config(DENSE_SHAPES[name])
    return CheckpointSizes(network, network.model_bytes, 50_000_000, heads=1)


@settings(deadline=None, max_examples=60)
@given(name=st.sampled_from(sorted(DENSE_SHAPES)), data=st.data())
def test_a_dense_model_gives_all_that_a_long_context_needs(name, data):
    sizes = dense_sizes(name)
    smallest = Planner.of(sizes, Settings(memory_budget=1 << 50)).smallest(FIRST_TOKENS)
    budget = smallest + data.draw(st.integers(0, 2 * sizes.network.model_bytes))
    planner = Planner.of(sizes, Settings(memory_budget=budget))
    assert planner.longest == planner.most or planner.smallest(planner.longest + 1) > budget
    counts = sorted(data.draw(st.lists(st.integers(1, planner.longest), min_size=2, max_size=6)))
    kept = data.draw(st.integers(0, max(0, budget - planner.smallest(max(FIRST_TOKENS, counts[-1])))))
    for before, after in pairwise([planner.plan(tokens, kept) for tokens in counts]):
        assert after.budget.total <= after.budget.ceiling == budget
        pairs = zip(before.budget.capacities, after.budget.capacities, strict=True)
        assert all(more >= less for more, less in pairs)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_what_is_whole_beside_a_usual_context_stays_until_a_longer_one_needs_it(share):
    outlook = Outlook(dense_sizes("llama-3b"), None)
    low, high = outlook.smallest_budget(Settings()), outlook.full_budget(Settings())
    planner = Planner.of(outlook.sizes, Settings(memory_budget=int(low + share * (high - low))))
    beside = planner.at_most(USUAL_CONTEXT)

    def whole(tokens: int) -> set[int]:
        rows = planner.plan(tokens).budget.capacities
        return {i for i, demand in enumerate(planner.demands) if rows[i] == demand.bundles}

    assert len(whole(beside)) == {0.0: 0, 1.0: len(planner.demands)}.get(share, len(whole(beside)))
    assert whole(1) >= whole(beside // 2) >= whole(beside)
    assert planner.longest > beside or share == 0
    assert len(whole(planner.longest)) < len(planner.demands)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_snapshots_of_what_cannot_be_trimmed_are_planned(name):
    sizes = sizes_of(name)
    plan = Planner.of(sizes, Settings(memory_budget=1 << 50)).plan(4096)
    chunk = plan.workspace.chunk
    untrimmed = [cache for cache in sizes.network.caches if cache.window is not None or cache.fixed_bytes]
    expected = sum(cache.bytes(4096, chunk) for cache in untrimmed)
    assert bool(expected) is (name in WITH_SNAPSHOTS)
    assert plan.budget.items["kv_cache"] >= sizes.network.context_bytes(4096, chunk) + (MAX_SNAPSHOTS + 1) * expected
