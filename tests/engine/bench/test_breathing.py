"""The memory budget holds after every token, while a conversation grows long and the budget is moved."""

from itertools import pairwise

import pytest

from engine.bench.breathing import CONFIGS, SHARES, measure
from engine.bench.machine import memory_cap

TOKENS = 320  # of the 2,000 that `flashbulb bench budget` runs


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_conversation_stays_below_every_budget_that_it_is_given(kind, tmp_path):
    stages, capped = measure(tmp_path, kind, TOKENS)
    with memory_cap(1_000_000_000) as group:
        assert capped == (group is not None)
    assert len(stages) == len(SHARES)
    assert all(stage.kept for stage in stages)
    assert stages[-1].tokens == TOKENS
    assert stages[0].held < stages[-1].held, "the context has grown"
    for before, after in pairwise(stages):
        assert (before.budget < after.budget) == (before.slots[1] < after.slots[0]), "pools follow the budget"
    if kind == "experts":  # a dense model that is whole takes no more
        grown = [stage.grown for stage in stages]
        assert grown[0] < grown[1] > grown[2] < grown[3] > grown[4], "and so does the process"
    assert all(stage.slots[1] <= stage.slots[0] for stage in stages), "what the context takes, pools give"
