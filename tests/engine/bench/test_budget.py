"""The memory budget is kept with a full context, and the plan is no larger than it has to be."""

import sys

import pytest

from engine.bench import budget
from engine.bench.budget import Held, budgets, measure_all
from engine.bench.machine import memory_cap
from engine.system.built_in import STARTER_FOLDER

FEW = (  # of 150 that `flashbulb bench budget` runs
    ("opt-half", "predictor", 0.0),
    ("llama", "dense", 1.0),
    ("arcee", "exact", 0.5),
    ("falcon", "dense", 0.25),
)
GREEDY = """#!{python}
import os, sys
from pathlib import Path
from engine.bench.machine import lower_cap

group = Path(sys.argv[-1])
(group / "cgroup.procs").write_text(str(os.getpid()))
lower_cap(group, 20_000_000)
taken = bytearray(range(256)) * 1_000_000  # bytes: 256 MB
"""


@pytest.mark.parametrize(("case", "selection", "share"), FEW)
def test_a_full_context_stays_below_the_budget(case, selection, share, tmp_path):
    (held,) = measure_all(tmp_path, [case], [selection], [share])
    assert held.grown is not None, "the system ended it for the memory it used"
    assert held.grown <= held.budget
    assert held.planned <= 1.1 * held.grown
    assert held.capped == can_be_capped()


@pytest.mark.parametrize("selection", ["exact", "dense"])
def test_a_small_model_with_its_tokenizer_and_chat_template_keeps_its_smallest_budget(selection):
    (smallest,) = budgets(STARTER_FOLDER, selection, [0.0])
    held = budget.measure(STARTER_FOLDER, "starter", selection, smallest)
    assert held.grown is not None, "the system ended it for the memory it used"
    assert held.grown <= held.budget
    assert held.planned <= 1.1 * held.grown


def test_what_needs_more_than_its_control_group_has_is_ended(tmp_path, monkeypatch):
    if not can_be_capped():
        pytest.skip("no control group can be made here")
    run = tmp_path / "run"
    run.write_text(GREEDY.format(python=sys.executable))
    run.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(run))
    held = budget.measure(tmp_path / "model", "llama", "predictor", 20_000_000)
    assert held == Held("llama", "predictor", 20_000_000, 20_000_000, None, capped=True)
    assert not held.kept


def can_be_capped() -> bool:
    with memory_cap(1 << 30) as group:
        return group is not None
