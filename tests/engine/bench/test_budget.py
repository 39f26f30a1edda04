"""The memory budget is kept with a full context, and the plan is no larger than it has to be."""

import os
from pathlib import Path

import pytest

from engine.bench.budget import CASES, Held, measure_all
from engine.bench.machine import memory_cap
from engine.bench.random_model import write_random_model

FEW = (  # of 150 that `flashbulb bench budget` runs
    ("opt-half", "predictor", 0.0),
    ("llama", "dense", 1.0),
    ("arcee", "exact", 0.5),
    ("falcon", "dense", 0.25),
)


@pytest.mark.parametrize(("case", "selection", "share"), FEW)
def test_a_full_context_stays_below_the_budget(case, selection, share, tmp_path):
    (held,) = measure_all(tmp_path, [case], [selection], [share])
    assert held.grown is not None, "the system ended it for the memory it used"
    assert held.grown <= held.budget
    assert held.planned <= 1.1 * held.grown


def test_it_runs_in_a_control_group_where_one_can_be_made(tmp_path):
    with memory_cap(1 << 30) as group:
        if group is None:
            pytest.skip("no control group can be made here")
    (held,) = measure_all(tmp_path, ["nemotron"], ["predictor"], [0.0])
    assert held.capped


@pytest.mark.skipif(os.name != "posix" or not Path("/proc/self").exists(), reason="Linux alone ends a process so")
def test_what_needs_more_is_ended(tmp_path, monkeypatch):
    with memory_cap(1 << 30) as group:
        if group is None:
            pytest.skip("no control group can be made here")
    config, dtype = CASES["llama"]
    write_random_model(tmp_path / "model", "model", config, dtype, 0.06)
    from engine.bench import budget

    monkeypatch.setattr(budget, "START_ROOM", 16_000_000)  # too little for the libraries alone
    held = budget.measure(tmp_path / "model", "llama", "predictor", 10**9)
    assert held == Held("llama", "predictor", 10**9, 10**9, None, True)
    assert not held.kept
