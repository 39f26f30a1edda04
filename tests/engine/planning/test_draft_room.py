"""The room that a draft model gets beside a large one."""

import pytest

from engine.bench.drafts import AFFINE4, DENSE_3B, DRAFT_135M
from engine.errors import BudgetError
from engine.planning.checkpoint import CheckpointSizes
from engine.planning.draft_room import MAX_ROOM_SHARE, has_room, planner_beside
from engine.planning.memory import FIRST_TOKENS, Planner
from engine.planning.outlook import Outlook
from engine.planning.shape import ModelShape
from engine.settings import DRAFT_MODEL_NONE, Settings


def sizes_of(config):
    network = ModelShape.from_config(config | {"quantization": AFFINE4})
    return CheckpointSizes(network, network.model_bytes, 50_000_000, heads=1)


SIZES = sizes_of(DENSE_3B)
SETTINGS = Settings(context=1024)
DRAFT = Planner.whole(sizes_of(DRAFT_135M), SETTINGS)
ALONE = Outlook(SIZES, None)
BESIDE = Outlook(SIZES, None, draft=DRAFT)


def with_budget(budget, **changes):
    return Settings(context=1024, memory_budget=budget, **changes)


def test_it_takes_little_of_what_is_there_beyond_the_smallest_budget_or_nothing_that_is_missed():
    smallest, taken = ALONE.smallest_budget(SETTINGS), DRAFT.smallest(1024)
    assert not has_room(SIZES, with_budget(smallest), DRAFT)
    assert not has_room(SIZES, with_budget(smallest + taken + 1_000_000), DRAFT)
    assert has_room(SIZES, with_budget(ALONE.full_budget(SETTINGS) + 2 * taken), DRAFT)
    assert has_room(SIZES, with_budget(smallest + round(1.3 * taken / MAX_ROOM_SHARE)), DRAFT)
    with pytest.raises(BudgetError):
        has_room(SIZES, with_budget(smallest // 2), DRAFT)


def test_a_forecast_counts_it_where_it_would_be_loaded():
    smallest, taken = ALONE.smallest_budget(SETTINGS), DRAFT.smallest(1024)
    roomy, scarce = ALONE.full_budget(SETTINGS) + 2 * taken, smallest + taken + 1_000_000
    assert "draft_model" not in BESIDE.plan(with_budget(scarce)).items
    assert BESIDE.plan(with_budget(roomy)).items["draft_model"] > 0
    assert BESIDE.plan(with_budget(roomy)).total <= roomy
    assert BESIDE.plan(with_budget(scarce, draft_model="named")).items["draft_model"] > 0
    for off in ({"draft_model": DRAFT_MODEL_NONE}, {"drafts": "none"}):
        assert BESIDE.plan(with_budget(roomy, **off)) == ALONE.plan(with_budget(roomy, **off))


def test_it_is_no_reason_for_a_larger_budget_or_a_shorter_context():
    assert BESIDE.smallest_budget(SETTINGS) == ALONE.smallest_budget(SETTINGS)
    smallest = with_budget(ALONE.smallest_budget(SETTINGS), draft_model="named")
    assert BESIDE.plan(smallest) == ALONE.plan(smallest)
    assert BESIDE.longest_context(smallest) == ALONE.longest_context(smallest)
    assert planner_beside(SIZES, smallest, DRAFT).plan(FIRST_TOKENS).budget.total <= smallest.memory_budget
