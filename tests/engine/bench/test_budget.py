"""The memory budget is kept with a full context, and the plan is no larger than it has to be."""

import sys

import pytest

from engine.bench import budget
from engine.bench.budget import CASES, SELECTED_SHARE, Held, budgets, measure_all
from engine.bench.machine import memory_cap
from engine.bench.random_model import write_random_model
from engine.planning.outlook import Outlook
from engine.settings import Settings
from engine.store.installed import open_stored
from engine.system.built_in import STARTER_FOLDER
from tests.helpers.checkpoints import write_tokenizer

FEW = (  # of 150 that `flashbulb bench budget` runs
    ("opt-half", "predictor", 0.0),
    ("llama", "dense", 1.0),
    ("arcee", "exact", 0.5),
    ("falcon", "dense", 0.25),
)
SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 256, "num_attention_heads": 4,
         "num_key_value_heads": 4}  # fmt: skip
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


@pytest.mark.parametrize("room", [1_000_000, 40_000_000])
def test_with_a_draft_model_that_has_read_all_of_the_context_too(room, tmp_path):
    """Beside the smallest budget with it, and with some more."""
    config, dtype = CASES["llama"]
    large, small = tmp_path / "large", tmp_path / "small"
    write_random_model(large, "large", config, dtype, SELECTED_SHARE)
    write_random_model(small, "small", config | SMALL, dtype, SELECTED_SHARE)
    for folder in (large, small):
        write_tokenizer(folder, 320)
    alone, taken = Outlook.of(open_stored(large), None), Outlook.of(open_stored(small), None)
    longest = alone.smallest_budget(Settings(context=1024)) + taken.full_budget(Settings())
    held = budget.measure(large, "llama", "predictor", longest + room, str(small))
    assert held.drafted > 0
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
