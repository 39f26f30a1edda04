"""`bench experts`: a mixture-of-experts model token by token, in half of its memory, as what we do is added."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.bench.expert_shapes import EXPERT_SHAPES
from engine.bench.machine import describe, scratch
from engine.bench.measure import Measured, Specification, measure
from engine.bench.random_checkpoint import checkpoint_bytes, write_random_checkpoint
from engine.bench.results import Result, Row, summarise
from engine.bench.routing import draw_routing, hit_rate, statistics
from engine.flash.profile import DriveProfile
from engine.statistics import TokenStatistics

TOKENS, WARM_TOKENS = 48, 96  # counted; before, the pool fills with what is used most
CONTEXT, CONVERSATION = 512, 8192  # tokens: what the model is loaded for; of a long context, what is in use
PROMPT_TOKENS = 64
ROOM_BYTES = 300_000_000  # beside half of the model: the interpreter, the libraries
LRU_WINDOW = 100_000  # tokens: what was used longest ago leaves

ROWS: dict[str, dict[str, Any]] = {  # by name: settings
    "everything read": {"window": 0, "hot_neurons": False, "overlap": False},
    "the last used stay (LRU)": {"window": LRU_WINDOW, "hot_neurons": False, "overlap": False},
    "ours: the most used stay": {"window": 1, "overlap": False},
    "+ overlap": {"window": 1},
}


def run_shape(
    name: str,
    folder: Path,
    profile: DriveProfile | None,
    layers: int | None = None,
    tokens: int = TOKENS,
    cap: bool = True,
    limit_bytes: int | None = None,
    context: int | None = None,
    progress: Callable[[float, str], None] = lambda *_: None,
) -> Result:
    """The table of a shape: random weights of the real size, routing replayed from a trace with published statistics.

    layers: fewer than it has. context: tokens; two rows then compare keeping room for a conversation in it with keeping
    room for all of it. Memory is capped to half of the model and 300 MB, or to `limit_bytes`, by the system
    where it allows that (`cap`). Writes the model to `folder`, and removes it. Raises FlashbulbError without room.
    """
    shape = EXPERT_SHAPES[name]
    shape = shape.of_layers(layers) if layers else shape
    size = checkpoint_bytes(shape.config, shape.quantization)
    limit = limit_bytes or size // 2 + ROOM_BYTES
    with scratch(folder, size) as place:
        progress(0.02, "writing the model")
        write_random_checkpoint(place / "model", shape.config, shape.quantization)
        settings = {"context": context or CONTEXT} | ({} if cap else {"memory_budget": limit})
        base = Specification(
            str(place / "model"), settings, [3 + i % 100 for i in range(PROMPT_TOKENS)], tokens, WARM_TOKENS,
            routing=(shape.experts, shape.top_k, 0), cap=limit if cap else None,
        )  # fmt: skip
        rows, runs = _rows(_specifications(base, context), place, profile, progress)
    details = {"runs": runs} | _of_trace(base, runs)
    rows = [replace(row, lfu_hit_rate=details["oracles"].get(row.name, {}).get("lfu")) for row in rows]
    shown = {"shape": name, "layers": layers, "tokens": tokens, "context": context or CONTEXT, "model_bytes": size}
    return Result("experts", describe(folder), rows, shown | {"limit_bytes": limit}, details)


def _specifications(base: Specification, context: int | None) -> dict[str, Specification]:
    """The runs, by name."""
    if context is None:
        return {name: replace(base, settings=base.settings | settings) for name, settings in ROWS.items()}
    base = replace(base, settings=base.settings | {"window": 1})
    return {
        f"a conversation of {CONVERSATION:,} has room": replace(base, reserved=CONVERSATION),
        f"all {context:,} tokens have room": replace(base, reserved=context),
    }


def _rows(
    specifications: dict[str, Specification],
    place: Path,
    profile: DriveProfile | None,
    progress: Callable[[float, str], None],
) -> tuple[list[Row], dict[str, Any]]:
    rows, runs = [], {}
    for number, (name, specification) in enumerate(specifications.items()):
        progress(0.2 + 0.8 * number / len(specifications), name)
        measured = measure(specification, place)
        rows.append(_row(name, measured, profile))
        runs[name] = _run(measured)
    return rows, runs


def _row(name: str, measured: Measured, profile: DriveProfile | None) -> Row:
    if measured.failed:
        return Row(name, note=measured.failed)
    row = summarise(name, [TokenStatistics(**cost) for cost in measured.costs])
    active, loaded = (sum(cost[part] for cost in measured.costs) for part in ("active", "loaded"))
    return replace(
        row,
        dram_bytes=measured.dram_bytes,
        device_bytes=measured.device_bytes,
        budget_bytes=measured.budget_bytes,
        footprint_bytes=measured.footprint_bytes,
        hit_rate=1 - loaded / active,
        bundles_read=loaded / len(measured.costs),
        first_token_s=measured.time_to_first_token_s,
        floor_ms=_floor_ms(row, profile) if profile and row.reads and row.bytes_read else None,
    )


def _floor_ms(row: Row, profile: DriveProfile) -> float:
    """Those reads on a drive that is kept as busy as can be."""
    assert row.bytes_read is not None
    assert row.reads is not None
    return 1e3 * row.reads / profile.reads_per_s(row.bytes_read / row.reads)


def _run(measured: Measured) -> dict[str, Any]:
    """The figures of a run that no row has. growth_of_budget: the process's, over what it was allowed."""
    if measured.failed:
        return {}
    loaded = sum(cost["loaded"] for cost in measured.costs)
    resident = sum(cost["resident"] for cost in measured.costs) / len(measured.costs)
    growth = measured.footprint_bytes - measured.baseline_bytes
    return {
        "bytes_of_an_expert_read": sum(cost["bytes_read"] for cost in measured.costs) / loaded if loaded else None,
        "resident_experts": resident,
        "capacities": measured.capacities,
        "prefill_s": measured.prefill_s,
        "prefill_bytes": measured.prefill_bytes,
        "budget_items": measured.budget_items,
        "growth_of_budget": growth / measured.budget_bytes,
        "capped_by_the_system": measured.capped,
        "direct": measured.direct,
    }


def _of_trace(base: Specification, runs: dict[str, Any]) -> dict[str, Any]:
    """The trace's statistics, and what plain policies find of it: in the slots that each run had, and after the same
    prompt."""
    assert base.routing is not None
    (experts, top_k, seed), prompt = base.routing, len(base.prompt)
    layers = max(len(run.get("capacities", ())) for run in runs.values())
    trace = draw_routing(experts, top_k, layers, prompt + base.warm + base.tokens, seed)
    found = statistics(trace)
    oracles = {
        name: {
            policy: hit_rate(trace, run["capacities"], policy, prompt - 1, prompt + base.warm)
            for policy in ("lru", "lfu", "best")
        }
        for name, run in runs.items()
        if run
    }
    return {
        "trace": {"overlap": found.overlap, "overlap_8": found.overlap_8, "hits_by_share": found.hits},
        "oracles": oracles,
    }
