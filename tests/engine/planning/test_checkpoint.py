"""The outlook on a checkpoint that runs as it is, against what happens when it is loaded."""

from dataclasses import replace
from itertools import pairwise

import pytest

from engine.bench.expert_shapes import EXPERT_SHAPES
from engine.errors import BudgetError
from engine.inference.load import load
from engine.planning.checkpoint import HEAD_KEYS, CheckpointSizes
from engine.planning.layers import TABLE_ROWS
from engine.planning.memory import Planner
from engine.planning.outlook import Outlook
from engine.planning.shape import ModelShape, first_number
from engine.settings import Settings
from engine.store.mlx_folder import MlxFolder
from tests.helpers.drives import profile
from tests.helpers.mlx_models import write_moe


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_moe(tmp_path_factory.mktemp("moe") / "qwen")


@pytest.fixture(scope="module")
def outlook(folder):
    return Outlook.of(MlxFolder.open(folder), profile())


def test_it_plans_what_loading_holds(folder, outlook):
    for budget in (outlook.smallest_budget(Settings()), outlook.full_budget(Settings()), None):
        model = load(folder, Settings(memory_budget=budget))
        try:
            assert model.budget == outlook.plan(model.settings) == model.outlook.plan(model.settings)
        finally:
            model.close()


def test_the_smallest_budget_is_just_enough(outlook):
    smallest = outlook.smallest_budget(Settings())
    experts, others = (capacities := outlook.plan(Settings(memory_budget=smallest)).capacities)[:3], capacities[3:]
    assert experts == (4, 4, 4)  # as many as a token needs
    assert others[:-1] == (0,) * (len(others) - 1)  # linears pass through the ring
    assert others[-1] == TABLE_ROWS
    with pytest.raises(BudgetError):
        outlook.plan(Settings(memory_budget=smallest - 1))


@pytest.mark.parametrize("model_type", ["qwen3_moe", "llama4", "gpt_oss"])
def test_every_budget_above_the_smallest_can_be_planned(model_type, tmp_path):
    """The memory that a prompt is computed with grows only with the memory that is left."""
    outlook = Outlook.of(MlxFolder.open(write_moe(tmp_path / "model", model_type)), profile())
    smallest = outlook.smallest_budget(Settings())
    for more in range(0, 400_000_000, 7_000_000):
        assert outlook.plan(Settings(memory_budget=smallest + more)).total <= smallest + more


@pytest.mark.parametrize("name", EXPERT_SHAPES)
def test_every_budget_beyond_the_smallest_has_a_plan(name):
    """Of real sizes: what computing wants grows more slowly than the budget, also where scores are not fused."""
    config = EXPERT_SHAPES[name].config | {"quantization": EXPERT_SHAPES[name].quantization}
    network = ModelShape.from_config(config)
    heads = first_number(config, HEAD_KEYS)
    sizes = CheckpointSizes(network, network.model_bytes, 50_000_000, heads)
    assert Planner.of(sizes, Settings()).plan(0).workspace.bytes < network.model_bytes / 8
    with pytest.raises(BudgetError) as refused:
        Planner.of(sizes, Settings(memory_budget=1)).plan(0)
    smallest, least = refused.value.smallest, (0,) * len(network.bundles)
    for budget in (smallest + step * network.model_bytes // 32 for step in range(48)):
        capacities = Planner.of(sizes, Settings(memory_budget=budget)).plan(0).budget.capacities
        assert all(more >= fewer for more, fewer in zip(capacities, least, strict=True))
        least = capacities


def test_the_full_budget_holds_every_expert_and_reads_nothing(outlook):
    full = Settings(memory_budget=outlook.full_budget(Settings()))
    assert outlook.plan(full).capacities == tuple(layer.bundles.count for layer in outlook.sizes.layers(full))
    assert outlook.predict(full).bytes_read == 0


def test_more_memory_is_never_slower(outlook):
    low, high = outlook.smallest_budget(Settings()), outlook.full_budget(Settings())
    settings = [Settings(memory_budget=low + (high - low) * i // 8) for i in range(9)]
    predicted = [outlook.predict(each) for each in settings]
    assert [p.hit_rate for p in predicted] == sorted(p.hit_rate for p in predicted)
    assert all(more.total_ms <= less.total_ms + 1e-9 for less, more in pairwise(predicted))
    assert [outlook.hit_rate(each) for each in settings] == [p.hit_rate for p in predicted]


def test_hits_are_known_where_the_drive_is_not_measured(outlook):
    unmeasured = replace(outlook, profile=None)
    assert unmeasured.predict(Settings()) is None
    assert 0 < unmeasured.hit_rate(Settings()) <= 1
