"""A plan for a context of any length: what it does not need is the pools', and the ceiling holds."""

import json
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.bench.expert_shapes import EXPERT_SHAPES
from engine.errors import BudgetError
from engine.models.caches import MAX_SNAPSHOTS
from engine.planning.checkpoint import CheckpointSizes
from engine.planning.memory import FIRST_TOKENS, Planner, longest_context, plan_memory
from engine.planning.shape import ModelShape
from engine.settings import Settings
from engine.store.mlx_folder import MlxFolder
from tests.helpers.dense_models import write_dense

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
    short, long = (plan_memory(sizes, chosen, tokens) for tokens in (less, more))
    for found, tokens in ((short, less), (long, more)):
        assert found.budget.total <= found.budget.ceiling == budget
        assert found.tokens == max(tokens, FIRST_TOKENS)
        assert found.budget.items["kv_cache"] >= sizes.network.context_bytes(tokens)
    assert all(a >= b for a, b in zip(short.budget.capacities, long.budget.capacities, strict=True))


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
    found = plan_memory(sizes, chosen, longest)
    assert found.budget.ceiling - found.budget.smallest < found.budget.items["kv_cache"] / 2
    with pytest.raises(BudgetError):
        plan_memory(sizes, chosen, longest + 1)


def test_a_context_that_was_asked_for_is_a_limit():
    sizes = sizes_of("qwen3-30b-a3b")
    assert longest_context(sizes, Settings(context=3000)) == 3000
    with pytest.raises(BudgetError) as refused:
        longest_context(sizes, Settings(memory_budget=1, context=3000))
    smallest = Settings(memory_budget=refused.value.smallest, context=3000)
    assert longest_context(sizes, smallest) == FIRST_TOKENS


def test_what_stays_resident_is_never_planned_to_be_given_back(tmp_path):
    folder = write_dense(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 32_768}))
    sizes = CheckpointSizes.of(MlxFolder.open(folder))
    demands = tuple(layer.demand() for layer in sizes.layers(Settings()))
    smallest = Planner(sizes, Settings(), 0, 0, 32_768, demands).smallest(8192)
    planner = Planner.of(sizes, Settings(memory_budget=smallest + sizes.network.bundle_bytes // 2))
    whole = [demand.is_whole for demand in planner.demands]
    assert any(whole)
    assert not all(whole)
    for tokens in (0, 8192, planner.longest):
        capacities = planner.plan(tokens).budget.capacities
        assert all(rows == demand.bundles or not stays for rows, demand, stays in
                   zip(capacities, planner.demands, whole, strict=True))  # fmt: skip


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_snapshots_of_what_cannot_be_trimmed_are_planned(name):
    sizes = sizes_of(name)
    plan = plan_memory(sizes, Settings(memory_budget=1 << 50), 4096)
    chunk = plan.workspace.chunk
    untrimmed = [cache for cache in sizes.network.caches if cache.window is not None or cache.fixed_bytes]
    expected = sum(cache.bytes(4096, chunk) for cache in untrimmed)
    assert bool(expected) is (name in WITH_SNAPSHOTS)
    assert plan.budget.items["kv_cache"] >= sizes.network.context_bytes(4096, chunk) + (MAX_SNAPSHOTS + 1) * expected
