"""`bench window`: neurons against the window on real text (the paper's fig. 4), what their order on flash saves, and
speed against the budget (fig. 7)."""

import statistics as stats
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.bench.machine import describe, scratch
from engine.bench.measure import Specification, measure
from engine.bench.orders import reads_by_order
from engine.bench.orders import rows as order_rows
from engine.bench.results import Progress, Result, Row, summarise
from engine.bench.traces import RecordedSelection, Trace, TraceStatistics, statistics
from engine.flash.profile import DriveProfile
from engine.inference.load import find, load
from engine.planning.cost import Prediction
from engine.planning.outlook import Outlook
from engine.planning.prepared import PreparedSizes
from engine.planning.reuse import Reuse, curve
from engine.settings import Settings
from engine.statistics import TokenStatistics
from engine.store.manifest import PreparedModel
from engine.text import readable

WINDOWS = tuple(range(1, 33))
BUDGET_SHARES = (0.0, 0.15, 0.4, 1.0)  # of the way from the smallest budget to one that holds the whole FFN
TOKENS, WARM_TOKENS = 48, 8
FITTED_WINDOW = 4  # the window at which a layer's curve is fitted: the paper's


def run(
    name: str,
    folder: Path,
    profile: DriveProfile | None,
    tokens: list[int],
    windows: tuple[int, ...] = WINDOWS,
    budgets: tuple[float, ...] = BUDGET_SHARES,
    window: int = 5,
    measured: int = TOKENS,
    progress: Progress = lambda *_: None,
) -> Result:
    """tokens: of a real text, more than the largest window. measured: tokens decoded for each budget."""
    progress(0.02, "reading the text")
    trace = record(name, tokens)
    found = statistics(trace, windows)
    rows = [
        Row(f"window {k}", note=f"{100 * resident:.2f} % resident, {100 * loaded:.2f} % newly loaded")
        for k, (_, resident, loaded) in ((k, found.at(k)) for k in windows)
    ]
    orders = reads_by_order(trace, window)
    rows += order_rows(orders, PreparedModel.open(find(name)).bundles.layers[0].row_bytes)
    reuse = fitted(found)
    plan = _plan(name)
    by_budget, details = [], []
    with scratch(folder, 1_000_000) as place:
        for i, share in enumerate(budgets):
            budget = int(plan["smallest"] + share * (plan["largest"] - plan["smallest"]))
            for hot in (False, True):
                progress(0.1 + 0.9 * (i + hot / 2) / len(budgets), readable(budget))
                row, detail = _speed(name, place, profile, tokens, window, budget, hot, measured, reuse)
                by_budget.append(row)
                details.append(detail)
    curves = {
        "windows": list(windows),
        "selected": found.selected.tolist(),
        "resident": found.resident.tolist(),
        "loaded": found.loaded.tolist(),
        "run": float(found.run),
    }
    settings = {"model": str(name), "text_tokens": len(tokens), "window": window, "tokens": measured}
    by_order = {order: {"reads": r.reads.tolist(), "bundles": r.bundles.tolist()} for order, r in orders.items()}
    content = {"curves": curves, "orders": by_order, "budgets": details}
    return Result("window", describe(folder), rows + by_budget, settings, content)


def record(name: str, tokens: list[int]) -> Trace:
    """The neurons that the model's own selection needs for a text, token by token."""
    model = load(name, Settings())
    try:
        recorded: list[list[Any]] = [[] for _ in range(model.layers)]
        model.replace_selectors(lambda layer, selector: RecordedSelection(selector, recorded[layer]))
        for token in tokens[: model.context]:
            model.decode(token)
        return Trace(model.neurons, [list(layers) for layers in zip(*recorded, strict=True)])
    finally:
        model.close()


def fitted(found: TraceStatistics) -> list[Reuse]:
    """Each layer's curve, for the cost model."""
    column = found.windows.index(FITTED_WINDOW) if FITTED_WINDOW in found.windows else 0
    shares = zip(found.selected, found.resident[:, column], found.loaded[:, column], strict=True)
    return [curve(*map(float, layer), found.windows[column]) for layer in shares]


def _plan(name: str) -> dict[str, Any]:
    """The smallest budget that works, and one that holds every neuron."""
    model = load(name, Settings())
    try:
        ffn = PreparedModel.open(find(name)).bundles
        rows = sum(layer.bundles for layer in ffn.layers)
        fixed = sum(size for item, size in model.budget.items.items() if item != "pool")
        return {"smallest": model.budget.smallest, "largest": fixed + int(1.02 * ffn.bytes) + 40 * rows}
    finally:
        model.close()


def _speed(
    name: str,
    place: Path,
    profile: DriveProfile | None,
    tokens: list[int],
    window: int,
    budget: int,
    hot: bool,
    count: int,
    reuse: list[Reuse],
) -> tuple[Row, dict[str, Any]]:
    settings = {"window": window, "memory_budget": budget, "hot_neurons": hot}
    prompt = tokens[: min(64, len(tokens))]
    measured = measure(Specification(str(find(name)), settings, prompt, count, WARM_TOKENS), place)
    label = f"budget {readable(budget)}{', hot neurons' if hot else ''}"
    if measured.failed:
        return Row(label, note=measured.failed), {"budget_bytes": budget, "hot": hot, "failed": measured.failed}
    costs = [TokenStatistics(**cost) for cost in measured.costs]
    row = summarise(label, costs)
    detail: dict[str, Any] = {"budget_bytes": budget, "hot": hot, "measured_ms": row.total_ms}
    detail["resident_neurons"] = stats.mean(cost["resident"] for cost in measured.costs)
    detail["loaded_neurons"] = stats.mean(cost["loaded"] for cost in measured.costs)
    detail["active_neurons"] = stats.mean(cost["active"] for cost in measured.costs)
    if profile is not None:
        predicted = predicted_cost(name, profile, settings, reuse)
        detail |= {"predicted_ms": predicted.total_ms, "predicted_io_ms": predicted.io_ms}
        detail["predicted_loaded_neurons"] = (1 - predicted.hit_rate) * detail["active_neurons"]
        row = replace(row, predicted_ms=predicted.total_ms)
    row = replace(row, dram_bytes=measured.dram_bytes, footprint_bytes=measured.footprint_bytes, budget_bytes=budget)
    return row, detail


def predicted_cost(
    name: str, profile: DriveProfile, settings: dict[str, Any], reuse: Reuse | list[Reuse] | None
) -> Prediction:
    """The cost model's answer for a prepared model under `engine.Settings` of these."""
    predicted = Outlook(PreparedSizes.of(PreparedModel.open(find(name)), reuse), profile).predict(Settings(**settings))
    assert predicted is not None  # there is a profile, and not all neurons are read
    return predicted
