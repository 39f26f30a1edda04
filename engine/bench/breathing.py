"""`bench budget`'s conversation: one answer that grows long while the memory budget is moved, in a control group that
holds no more than the budget of the moment."""

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.bench.machine import memory_cap, set_cap, used_in
from engine.bench.random_checkpoint import checkpoint_bytes, write_random_checkpoint
from engine.errors import FlashbulbError
from engine.settings import Settings

if TYPE_CHECKING:
    from engine.inference.model import LoadedModel

TOKENS = 2000  # of the conversation
SHARES = (0.5, 0.9, 0.1, 0.7, 0.3)  # of all bundles that the budget holds beside the conversation: one after the other
START_ROOM_BYTES = 4_000_000_000  # bytes of the control group while libraries are loaded
EXPERTS: dict[str, Any] = {
    "model_type": "qwen3_moe",
    "hidden_size": 512,
    "intermediate_size": 1024,
    "moe_intermediate_size": 512,
    "num_hidden_layers": 8,
    "num_experts": 32,
    "num_experts_per_tok": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "vocab_size": 8000,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "norm_topk_prob": True,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "max_position_embeddings": 131_072,
    "tie_word_embeddings": False,
}
DENSE: dict[str, Any] = {  # whose context becomes larger than all of its linears
    "model_type": "llama",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 8000,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "max_position_embeddings": 131_072,
    "tie_word_embeddings": False,
}
CONFIGS = {"experts": EXPERTS, "dense": DENSE}
QUANTIZATION = {"group_size": 64, "bits": 4}


@dataclass(frozen=True)
class Stage:
    """A part of the conversation under one budget. Bytes: budget, its ceiling; planned, all items at its end; grown,
    the process's largest footprint after any token, beyond its baseline. tokens: in the context at its end. slots: of
    all pools, at its beginning and end. held: bytes of keys and values, as planned at its end."""

    budget: int
    planned: int
    grown: int
    tokens: int
    slots: tuple[int, int]
    held: int

    @property
    def kept(self) -> bool:
        """True if the budget was kept after every token."""
        return self.grown <= self.budget


def model_bytes() -> int:
    """Bytes of the larger model's files."""
    return max(checkpoint_bytes(config, QUANTIZATION) for config in CONFIGS.values())


def measure(folder: Path, kind: str, tokens: int = TOKENS) -> tuple[list[Stage], bool]:
    """The parts of the conversation, and True where a control group held it to its budgets. folder: for the model.
    kind: of CONFIGS. Raises FlashbulbError where the run breaks, or the system ends it for the memory it uses."""
    model = folder / f"breathing-{kind}"
    write_random_checkpoint(model, CONFIGS[kind], QUANTIZATION)
    with memory_cap(START_ROOM_BYTES) as group:
        command = [sys.executable, "-m", "engine.bench.breathing", str(model), str(tokens)]
        done = subprocess.run([*command, *([str(group)] if group else [])], capture_output=True, text=True, check=False)
    if done.returncode:
        ended = "the system ended it for the memory it used" if done.returncode == -9 else None
        reason = ended or done.stderr.strip().splitlines()[-1:]
        raise FlashbulbError("A measurement broke: {reason}", reason=reason)
    return [Stage(**each | {"slots": tuple(each["slots"])}) for each in json.loads(done.stdout)], group is not None


def main(model: str, tokens: str, group: str | None = None) -> None:
    """The run itself."""
    if group is not None:
        (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
    from engine.inference.load import load, release
    from engine.planning.memory import Planner
    from engine.planning.outlook import Outlook
    from engine.store.installed import open_stored
    from engine.system.footprint import footprint

    sizes = Outlook.of(open_stored(Path(model)), None).sizes
    low = Planner.of(sizes, Settings()).smallest(int(tokens))
    budgets = [low + int(share * sizes.shape(Settings()).bundle_bytes) for share in SHARES]
    baseline, used = footprint(), used_in(Path(group)) if group else 0
    cap = Cap(Path(group) if group else None, used)
    cap.move(budgets[0])
    loaded = load(model, Settings(memory_budget=budgets[0]))
    stages = [_stage(loaded, budget, int(tokens) // len(budgets), cap, baseline) for budget in budgets]
    print(json.dumps(stages))
    loaded.close()
    release()


@dataclass
class Cap:
    """The control group's limit: the budget, beside what was in use when it began."""

    group: Path | None
    used: int

    def move(self, budget: int) -> None:
        """Hold the processes to another budget."""
        if self.group is not None:
            set_cap(self.group, self.used + budget)


def _stage(loaded: "LoadedModel", budget: int, tokens: int, cap: Cap, baseline: int) -> dict[str, Any]:
    """Go on with the conversation under another budget, for so many tokens."""
    from engine.system.footprint import footprint

    rng, grown = random.Random(len(loaded.cached_tokens)), 0
    if budget > loaded.budget.ceiling:
        cap.move(budget)
    loaded.set_budget(budget)
    cap.move(budget)
    before = sum(loaded.budget.capacities)
    for _ in range(tokens):
        loaded.decode(rng.randrange(5, loaded.vocabulary))
        loaded.keep_within_budget(footprint())
        grown = max(grown, footprint() - baseline)
    planned, slots = loaded.budget, (before, sum(loaded.budget.capacities))
    return {"budget": budget, "planned": planned.total, "grown": grown, "tokens": len(loaded.cached_tokens),
            "slots": slots, "held": planned.items["kv_cache"]}  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
