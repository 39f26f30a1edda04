"""`bench table3`: the paper's table 3 on this machine: a model end to end, token by token, within a memory budget."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.bench.machine import describe, scratch
from engine.bench.measure import Measured, Specification, measure
from engine.bench.random_model import model_bytes, write_random_model
from engine.bench.results import Progress, Result, Row, known, quantile, summarise
from engine.bench.shapes import SHAPES, Shape
from engine.bench.window import predicted_cost
from engine.errors import FlashbulbError
from engine.flash.profile import DriveProfile
from engine.inference.load import find, load
from engine.planning.reuse import Reuse
from engine.planning.shape import ModelShape
from engine.settings import Selection, Settings
from engine.statistics import TokenStatistics

TOKENS, NAIVE_TOKENS = 32, 3
WARM_TOKENS = 16  # decoded tokens that are not counted: the window fills, and the engine finds out what is faster
ROOM_BYTES = 300_000_000  # bytes beside half of the model: the interpreter, the libraries, the KV cache
CONTEXT_TOKENS = 128
AGREEMENT = (  # `traces.Agreement` of the starter's layers but the first, on held-out text with a window of 5
    (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0),
    (0.80, 0.67, 0.53, 0.42, 0.32, 0.24, 0.18, 0.10),
    (0.56, 0.31, 0.16, 0.08, 0.04, 0.02, 0.01, 0.00),
)
PROMPT_TOKENS = 32  # tokens; the weights are random, so are these

DENSE_SETTINGS: dict[str, Any] = {"selection": Selection.DENSE}
DEFAULT_SETTINGS: dict[str, Any] = {"selection": Selection.PREDICTOR}  # what a user gets; without a GPU, with overlap
OUR_SETTINGS = DEFAULT_SETTINGS | {"early_reads": False, "overlap": False}
GAPS_SETTINGS = OUR_SETTINGS | {"hot_neurons": False}
PAPER_SETTINGS = GAPS_SETTINGS | {"read_gap": -1}
EARLY_ROW = "+ reads during attention"  # of models that have attention and FFN side by side
SPECULATIVE_ROW = "+ drafts"  # of OPT: the paper's speculative decoding
DRAFTS = (4, 0.7)  # the paper's number a pass; how many of them were right it does not say
WATCHED_ROW = "ours: + hot neurons"  # the row that it is reported of where its time goes
ROWS = (  # name, settings, whether the resident weights are read again, and whether with the model's window
    ("naive", DENSE_SETTINGS | {"memory_budget": None}, True),
    ("hybrid", DENSE_SETTINGS, False),
    ("paper", PAPER_SETTINGS, False),
    ("+ coalescing and gap reads", GAPS_SETTINGS, False),
    (WATCHED_ROW, OUR_SETTINGS, False),
    (EARLY_ROW, OUR_SETTINGS | {"early_reads": True}, False),
    ("+ overlap", DEFAULT_SETTINGS | {"overlap": True}, False),
)
SPECULATIVE = (SPECULATIVE_ROW, DEFAULT_SETTINGS, False)
ROW_NAMES = (*(row[0] for row in ROWS), SPECULATIVE_ROW)


def run_shape(
    name: str,
    folder: Path,
    profile: DriveProfile | None,
    dtype: str = "bfloat16",
    tokens: int = TOKENS,
    cap: bool = True,
    shape: Shape | None = None,
    context: int = CONTEXT_TOKENS,
    rows: tuple[str, ...] = ROW_NAMES,
    progress: Progress = lambda *_: None,
) -> Result:
    """The table of a named shape: random weights of the real size, the paper's active sets replayed.

    Memory is capped to half of the model and 300 MB, by the system where it allows that (`cap`). Writes the model to
    `folder`, and removes it. rows: of the table, by name. Raises FlashbulbError if there is no room.
    """
    shape = shape or SHAPES[name]
    limit = sum(model_bytes(shape.config, dtype)[:2]) // 2 + ROOM_BYTES
    common = {"window": shape.window, "context": context}
    with scratch(folder, sum(model_bytes(shape.config, dtype))) as place:
        progress(0.02, "writing the model")
        write_random_model(place / "model", name, shape.config, dtype, shape.reuse.selected)
        prompt = [3 + i % 100 for i in range(min(PROMPT_TOKENS, context // 4))]
        reuse = [shape.reuse.live, shape.reuse.mean, shape.reuse.spread]
        base = Specification(
            str(place / "model"), common, prompt, tokens, WARM_TOKENS, reuse, AGREEMENT, cap=limit if cap else None
        )
        if not cap:
            base = replace(base, settings=common | {"memory_budget": limit})
        all_rows = rows_of(ModelShape.from_config(shape.config).parallel)
        all_rows += [SPECULATIVE] if shape.config["model_type"] == "opt" else []
        wanted = [row for row in all_rows if row[0] in rows]
        found, runs = _rows(wanted, base, place, shape.table3, profile, shape.reuse, progress)
    settings = {"shape": name, "dtype": dtype, "window": shape.window, "tokens": tokens, "context": context}
    return _result(folder, found, runs, settings | {"limit_bytes": limit})


def run_model(
    model: str,
    folder: Path,
    profile: DriveProfile | None,
    prompt: list[int],
    tokens: int = TOKENS,
    window: int = 5,
    budget: int | None = None,
    progress: Progress = lambda *_: None,
) -> Result:
    """The table of a prepared model, on a real prompt (token ids). budget: bytes, None for the model's default."""
    if budget is None:
        loaded = load(model, Settings(window=window))
        budget = loaded.budget.ceiling
        loaded.close()
    settings = {"window": window, "memory_budget": budget}
    with scratch(folder, 1_000_000) as place:
        base = Specification(str(find(model)), settings, prompt, tokens, WARM_TOKENS)
        rows, runs = _rows(rows_of(False), base, place, {}, profile, None, progress, _half(model))
    shown = {"model": model, "window": window, "tokens": tokens, "prompt_tokens": len(prompt), "budget_bytes": budget}
    return _result(folder, rows, runs, shown)


def rows_of(parallel: bool) -> list[tuple[str, dict[str, Any], bool]]:
    """The rows that are measured: reads during attention only of layers with attention beside the FFN."""
    return [row for row in ROWS if parallel or row[0] != EARLY_ROW]


def _half(model: str) -> int:
    """The budget with which half of a model's FFN stays in memory, and the other half is read for every token."""
    loaded = load(model, Settings(selection=Selection.DENSE))
    try:
        return loaded.budget.smallest + loaded.flash_bytes // 2
    finally:
        loaded.close()


def _rows(
    wanted: Sequence[tuple[str, dict[str, Any], bool]],
    base: Specification,
    place: Path,
    paper: dict[str, Any],
    profile: DriveProfile | None,
    reuse: Reuse | None,
    progress: Progress,
    half: int | None = None,
) -> tuple[list[Row], dict[str, dict[str, Any]]]:
    """wanted: of `ROWS`. half: hybrid's budget; None where what there is is half of the model anyway."""
    rows: list[Row] = []
    runs: dict[str, dict[str, Any]] = {}
    for i, (name, settings, reread) in enumerate(wanted):
        progress(0.1 + 0.9 * i / len(wanted), name)
        dense = settings["selection"].streams_all
        specification = replace(
            base,
            settings=base.settings | settings | ({"memory_budget": half} if half and name == "hybrid" else {}),
            tokens=min(base.tokens, NAIVE_TOKENS) if dense else base.tokens,
            warm=1 if dense else base.warm,
            reuse=None if dense else base.reuse,
            reread=reread,
            stages=name == WATCHED_ROW,
            drafts=DRAFTS if name == SPECULATIVE_ROW else None,
        )
        measured = measure(specification, place)
        runs[name] = {
            "prefill_s": measured.prefill_s,
            "prefill_bytes_per_s": measured.prefill_bytes / measured.prefill_s if measured.prefill_s else None,
            "time_to_first_token_s": measured.time_to_first_token_s,
            "budget_items": measured.budget_items,
            "baseline_bytes": measured.baseline_bytes,
            "neurons_that_left_early": measured.window_cut,
            "capped_by_the_system": measured.capped,
            "direct": measured.direct,
            "neurons_a_token": _means(measured),
            "drift": _drift(measured),
            "stages_ms": measured.stages,
        }
        row = _row(name, measured, paper.get(name), profile)
        if profile and not dense and not specification.drafts and not measured.failed:
            asked = specification.settings | {"memory_budget": measured.budget_bytes}
            predicted = predicted_cost(base.model, profile, asked, reuse)
            row = replace(row, predicted_ms=predicted.total_ms)
        rows.append(row)
    return rows, runs


def _means(measured: Measured) -> dict[str, float]:
    names, count = ("active", "loaded", "resident"), max(1, len(measured.costs))
    return {name: sum(cost[name] for cost in measured.costs) / count for name in names}


def _drift(measured: Measured) -> dict[str, list[float]]:
    """Medians over the first and the last quarter of the tokens: a long conversation must not become slower."""
    quarter = max(1, len(measured.costs) // 4)
    ends = (measured.costs[:quarter], measured.costs[-quarter:])
    names = ("io_ms", "footprint_bytes") if measured.costs else ()
    return {name: [quantile([cost[name] for cost in end], 0.5) for end in ends] for name in names}


def _row(name: str, measured: Measured, paper: dict[str, Any] | None, profile: DriveProfile | None) -> Row:
    if measured.failed:
        return Row(name, note=measured.failed, paper=paper)
    row = summarise(name, [TokenStatistics(**cost) for cost in measured.costs])
    return replace(
        row,
        dram_bytes=0 if name == "naive" else measured.dram_bytes,
        device_bytes=measured.device_bytes,
        budget_bytes=measured.budget_bytes,
        footprint_bytes=measured.footprint_bytes,
        floor_ms=_floor_ms(row, profile) if profile and row.reads else None,
        paper=paper,
    )


def _floor_ms(row: Row, profile: DriveProfile) -> float:
    """Those reads on a drive that is kept as busy as can be; whole layers are read in sequence."""
    read, reads = known(row.bytes_read), known(row.reads)
    if row.name in ("naive", "hybrid"):
        return 1e3 * read / profile.sequential_bytes_per_s
    return 1e3 * reads / profile.reads_per_s(read / reads)


def _result(folder: Path, rows: list[Row], runs: dict[str, Any], settings: dict[str, Any]) -> Result:
    naive = next((row.tokens_per_second for row in rows if row.name == "naive"), None)
    if naive is None:
        raise FlashbulbError("Naive loading gave no figures, so there is nothing to compare with.")
    speedups = {row.name: row.tokens_per_second / naive for row in rows if row.tokens_per_second}
    return Result("table3", describe(folder), rows, settings, {"speedup_over_naive": speedups, "runs": runs})
