"""`bench budget`: whether the memory budget is kept, and the plan is no larger than it has to be.

Every run is a process of its own, in a control group that holds its baseline and the budget where this one may make
such groups: it fills the whole context, and a run that needs more is ended by the system.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.bench import breathing
from engine.bench.machine import describe, lower_cap, memory_cap, scratch
from engine.bench.random_model import model_bytes, write_random_model
from engine.bench.results import Result, Row
from engine.bench.shapes import FALCON_7B, LLAMA_2_7B, opt_config
from engine.errors import FlashbulbError
from engine.settings import DRAFT_MODEL_NONE, SELECTIONS, Selection, Settings

if TYPE_CHECKING:
    from engine.inference.model import LoadedModel

BUDGET_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the way from the smallest budget to the one that holds every neuron
SELECTED_SHARE = 0.06  # share of neurons that a token needs
VERIFIED_TOKENS = 12  # by one pass: the most that drafts are verified in
DECODED_TOKENS = 12  # tokens, the last of a context that the prompt fills but for these
START_ROOM_BYTES = 4_000_000_000  # bytes of the control group while libraries are loaded
GENEROUS_RATIO = 1.10  # a plan beyond this times what was used takes memory from the pool

Config = dict[str, Any]
SIZES: Config = {
    "hidden_size": 256,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "intermediate_size": 2048,
    "max_position_embeddings": 1024,
    "vocab_size": 40_000,
}
LLAMA = LLAMA_2_7B | SIZES
OPT = opt_config(256, 6, 8) | {"max_position_embeddings": 1024}
LARGE_VOCABULARY = {"vocab_size": 520_000}  # so many weights that they are computed in their own dtype
PARTIAL_ROTARY: Config = {"partial_rotary_factor": 0.5, "rope_theta": 10000.0, "tie_word_embeddings": False}
CASES: dict[str, tuple[Config, str]] = {  # config and dtype
    "opt": (OPT | {"vocab_size": 60_000, "ffn_dim": 2048}, "float32"),
    "opt-half": (OPT | LARGE_VOCABULARY, "float16"),
    "opt-wide": (opt_config(768, 4, 12) | {"vocab_size": 20_000}, "float16"),
    "llama": (LLAMA, "bfloat16"),
    "llama-half": (LLAMA | LARGE_VOCABULARY | {"tie_word_embeddings": True}, "bfloat16"),
    "llama-grouped": (LLAMA | {"num_key_value_heads": 2, "max_position_embeddings": 4096}, "float16"),
    "falcon": (FALCON_7B | SIZES | {"vocab_size": 100_000}, "bfloat16"),
    "arcee": (LLAMA | {"model_type": "arcee", "hidden_act": "relu2", "num_key_value_heads": 4}, "float32"),
    "nemotron": (
        LLAMA | PARTIAL_ROTARY | {"model_type": "nemotron", "hidden_act": "relu2", "norm_eps": 1e-5, "head_dim": 32},
        "bfloat16",
    ),
    "phi": (LLAMA | PARTIAL_ROTARY | {"model_type": "phi", "qk_layernorm": False, "layer_norm_eps": 1e-5}, "float16"),
}  # fmt: skip


@dataclass(frozen=True)
class Held:
    """One run. Bytes: budget, its ceiling; planned, all items of the plan; grown, the process's peak beyond its
    baseline, None where the system ended it. capped: whether a control group held it to the budget. drafted: tokens, by
    a draft model that was still there once the context was full."""

    case: str
    selection: Selection
    budget: int
    planned: int
    grown: int | None
    capped: bool
    drafted: int = 0

    @property
    def kept(self) -> bool:
        """True if the budget was kept."""
        return self.grown is not None and self.grown <= self.budget

    @property
    def close(self) -> bool:
        """True if the plan is about what was used."""
        return self.grown is not None and self.planned <= GENEROUS_RATIO * self.grown


def run(folder: Path, progress: Callable[[float, str], None] = lambda *_: None) -> Result:
    """Every case, selection and budget. folder: on the drive to write to. Raises FlashbulbError."""
    runs, total = [], len(CASES) * len(SELECTIONS) * len(BUDGET_SHARES)
    largest = max(*(sum(model_bytes(*case)) for case in CASES.values()), breathing.model_bytes())
    with scratch(folder, largest) as work:
        stages = {kind: breathing.measure(work, kind)[0] for kind in breathing.CONFIGS}
        for held in measure_all(work, CASES, SELECTIONS, BUDGET_SHARES):
            runs.append(held)
            progress(len(runs) / total, f"{held.case} {held.selection}")
        machine = describe(work)
    kept, close, capped = (sum(getattr(held, name) for held in runs) for name in ("kept", "close", "capped"))
    settings = {"runs": total, "kept": kept, "plan_within_a_tenth": close, "in_a_control_group": capped}
    rows = [_row_of_stage(kind, stage) for kind, found in stages.items() for stage in found]
    return Result("budget", machine, [_row(held) for held in runs] + rows, settings)


def measure_all(
    folder: Path, cases: Iterable[str], selections: Iterable[Selection], shares: Iterable[float]
) -> Iterator[Held]:
    """Runs of cases, one after the other. folder: for their models, each removed before the next is written."""
    for case in cases:
        model = folder / case
        config, dtype = CASES[case]
        write_random_model(model, case, config, dtype, SELECTED_SHARE)
        for selection in selections:
            for budget in budgets(model, selection, shares):
                yield measure(model, case, selection, budget)
        for file in model.iterdir():
            file.unlink()


def budgets(model: Path, selection: Selection, shares: Iterable[float]) -> list[int]:
    """Budgets of a model, at those shares of the way from the smallest to the full one."""
    from engine.planning.outlook import Outlook
    from engine.settings import Settings
    from engine.store.installed import open_stored

    outlook, settings = Outlook.of(open_stored(model), None), Settings(selection=selection)
    low, high = outlook.smallest_budget(settings), outlook.full_budget(settings)
    return [int(low + share * (high - low)) for share in shares]


def measure(model: Path, case: str, selection: Selection, budget: int, draft: str = DRAFT_MODEL_NONE) -> Held:
    """One run in a process of its own. draft: the draft model beside it, which reads all of the context as well.
    Raises FlashbulbError if that breaks for another reason than memory."""
    with memory_cap(START_ROOM_BYTES) as group:
        command = [sys.executable, "-m", "engine.bench.budget", str(model), selection, str(budget), draft]
        done = subprocess.run([*command, *([str(group)] if group else [])], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return Held(case, selection, budget, capped=group is not None, **json.loads(done.stdout))
    if done.returncode == -9:
        return Held(case, selection, budget, budget, None, group is not None)
    raise FlashbulbError("A measurement broke: {reason}", reason=done.stderr.strip().splitlines()[-1:])


def main(model: str, selection: str, budget: str, draft: str, group: str | None = None) -> None:
    """The run itself: fill the context, and print what was planned and by how much the process grew."""
    if group is not None:
        (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
    import numpy as np

    from engine.inference.load import load, release
    from engine.inference.sampling import sampler
    from engine.settings import GenerationOptions
    from engine.system.allocator import give_back_free_memory
    from engine.system.footprint import footprint, peak_footprint

    give_back_free_memory()  # that of imports, which would be used again and not counted
    before = footprint()
    if group is not None:
        lower_cap(Path(group), int(budget))
    asked = Settings(selection=Selection(selection), memory_budget=int(budget), read_at_once=True, draft_model=draft)
    loaded, rng = load(model, asked), random.Random(0)
    if loaded.tokenizer:  # an answer takes what a prompt of numbers does not: its template, its text, what is sampled
        for _ in loaded.generate("Hello", GenerationOptions(max_tokens=DECODED_TOKENS)):
            pass
        loaded.trim(0)
    tokens = [rng.randrange(5, loaded.vocabulary) for _ in range(loaded.context)]
    prompt, verified = tokens[: -DECODED_TOKENS - VERIFIED_TOKENS], tokens[-VERIFIED_TOKENS:]
    loaded.prefill(prompt)
    logits, current = loaded.verify(verified)
    sample = sampler(loaded.advised_sampling, loaded.vocabulary, range(loaded.vocabulary))
    for i in range(VERIFIED_TOKENS):
        sample(logits[:, i], loaded.cached_tokens)
    loaded.keep(loaded.context - DECODED_TOKENS)
    drafted = _drafted(loaded)
    for _ in range(DECODED_TOKENS):
        loaded.keep_within_budget(current.statistics(loaded.bundles).footprint_bytes)
        logits, current = loaded.decode(int(np.argmax(np.array(logits[0, -1]))))
    print(json.dumps({"planned": loaded.budget.total, "grown": peak_footprint() - before, "drafted": drafted}))
    loaded.close()
    release()


def _drafted(loaded: "LoadedModel") -> int:
    """Let the draft model read the whole context, and draft. Returns how many tokens it has drafted."""
    draft = loaded.draft_model
    if draft is None or draft.kind_after(loaded.cached_tokens) is None:
        return 0
    draft.catch_up(loaded.cached_tokens)
    return len(draft.draft(loaded.cached_tokens, DECODED_TOKENS))


def _row(held: Held) -> Row:
    """A run as a line of a table: dram_bytes are those planned, footprint_bytes those that the process grew by."""
    note = None if held.kept else "ended by the system" if held.grown is None else "beyond the budget"
    if held.kept and not held.close:
        note = "planned more than a tenth beyond what was used"
    return Row(
        f"{held.case}, {held.selection}",
        budget_bytes=held.budget,
        dram_bytes=held.planned,
        footprint_bytes=held.grown,
        note=note,
    )


def _row_of_stage(kind: str, stage: breathing.Stage) -> Row:
    """A part of a conversation as a line of a table."""
    return Row(
        f"one conversation, {kind}, {stage.tokens} tokens",
        budget_bytes=stage.budget,
        dram_bytes=stage.planned,
        footprint_bytes=stage.grown,
        note=None if stage.kept else "beyond the budget",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
