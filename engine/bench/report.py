"""`bench report`: every benchmark's result in one Markdown page, with plots."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.bench.orders import MAX_BYTES_RATIO, RANDOM_ORDER
from engine.bench.results import Result, markdown
from engine.errors import FlashbulbError
from engine.system.files import write_whole
from engine.text import readable

PAGE = "report.md"


@dataclass(frozen=True)
class Part:
    """A benchmark of the report. name: of its file, <name>.json. run: does it, and returns its result."""

    name: str
    title: str
    run: Callable[[], Result]


def collect(folder: Path, parts: list[Part], again: bool = False) -> list[tuple[Part, dict[str, Any]]]:
    """The parts' results: those that `folder` has already, unless `again`; the others are measured, and saved there."""
    folder.mkdir(parents=True, exist_ok=True)
    results = []
    for part in parts:
        path = folder / f"{part.name}.json"
        if again or not path.exists():
            write_whole(path, json.dumps(part.run().to_dict(), indent=2) + "\n")
        try:
            results.append((part, json.loads(path.read_text())))
        except ValueError as error:
            raise FlashbulbError(
                "{path} is damaged ({error}). Delete it and run the report again.", path=path, error=error
            ) from error
    return results


def write(folder: Path, results: list[tuple[Part, dict[str, Any]]]) -> Path:
    """Write the page and its plots into `folder`; returns the page's path. Raises FlashbulbError without matplotlib."""
    machine = results[0][1]["machine"]
    lines = ["# Flashbulb's benchmarks", ""]
    lines += [
        f"{machine['processor']}, {machine['cores']} cores, {readable(machine['memory_bytes'])} of memory, drive "
        f"`{machine['drive']}`, {machine['system']}, MLX {machine['mlx']} on {machine['backend']}. Figures are medians "
        "over tokens and runs; reads go past the system's cache. *floor*: the same reads, as `bench drive` makes them. "
        "*device*: what the operating system counted.",
        "",
    ]
    for part, result in results:
        lines += [f"## {part.title}", "", *_settings(result)]
        for name in _plots(folder, part.name, result):
            lines += [f"![{part.title}]({name})", ""]
        if result["benchmark"] == "drive":
            lines += [_drive_table(result), ""]
        else:
            shown = [row for row in result["rows"] if len(row) > 2 or "note" not in row]
            lines += [markdown(shown), ""]
            lines += [f"- {row['name']}: {row['note']}" for row in result["rows"] if "note" in row]
        lines += ["", *_findings(result), ""]
    page = folder / PAGE
    page.write_text("\n".join(lines).rstrip() + "\n")
    return page


def _settings(result: dict[str, Any]) -> list[str]:
    shown = {name: value for name, value in result["settings"].items() if value is not None}
    return [", ".join(f"{n.replace('_', ' ')} {v}" for n, v in shown.items()) + ".", ""] if shown else []


def _drive_table(result: dict[str, Any]) -> str:
    """GB/s by size and threads."""
    cells = _grid(result)
    threads = sorted({t for _, t in cells})
    lines = ["| GB/s | " + " | ".join(f"{t} threads" for t in threads) + " |", "| --- |" + " ---: |" * len(threads)]
    for size in sorted({s for s, _ in cells}):
        rates = " | ".join(f"{cells[size, t]['bytes_per_s'] / 1e9:.2f}" for t in threads)
        lines.append(f"| {size >> 10} KiB | {rates} |")
    return "\n".join(lines)


def _grid(result: dict[str, Any]) -> dict[tuple[int, int], dict[str, Any]]:
    """Rows of `bench drive` by size in bytes and threads, from their names."""
    grid = {}
    for row in result["rows"]:
        size, _, threads, _ = row["name"].split()
        grid[int(size) << 10, int(threads)] = row
    return grid


def _findings(result: dict[str, Any]) -> list[str]:
    """The findings that the tables do not say: ratios, agreement, what a trace was like."""
    return [line for part in (_of_trace, _of_ratios, _of_runs, _of_predictions, _of_drive) for line in part(result)]


def _of_trace(result: dict[str, Any]) -> Iterator[str]:
    if shares := result.get("trace"):
        pairs = (
            f"{n} {100 * s['trace']:.2f} % ({100 * s['paper']:.2f} %)" for n, s in shares.items() if type(s) is dict
        )
        yield (
            f"The trace's shares of a layer's neurons, and those it was to have: {', '.join(pairs)}; neurons in "
            f"runs: {shares['ordered_run']:.2f} bundles a read on average."
        )


def _of_ratios(result: dict[str, Any]) -> Iterator[str]:
    if less := result.get("times_less_than_naive"):
        yield "I/O per token, times less than naive: " + ", ".join(f"{n} {v:.1f}" for n, v in less.items()) + "."
    if speedups := result.get("speedup_over_naive"):
        yield "Tokens a second over naive: " + ", ".join(f"{n} {v:.2f}" for n, v in speedups.items()) + "."


def _of_runs(result: dict[str, Any]) -> Iterator[str]:
    for name, run in result.get("runs", {}).items():
        if run["prefill_bytes_per_s"]:
            yield (
                f"- {name}: prefill {run['prefill_s']:.2f} s at {run['prefill_bytes_per_s'] / 1e9:.2f} GB/s, first "
                f"token after {run['time_to_first_token_s']:.2f} s; memory "
                f"{'capped by a control group' if run['capped_by_the_system'] else 'within its plan'}; first and last "
                f"quarter of the tokens: I/O {' and '.join(f'{v:.1f}' for v in run['drift']['io_ms'])} ms, footprint "
                f"{' and '.join(readable(v) for v in run['drift']['footprint_bytes'])}."
            )
        if stages := run.get("stages_ms"):
            total = sum(stages.values())
            shares = ", ".join(f"{stage} {ms:.1f} ms ({100 * ms / total:.0f} %)" for stage, ms in stages.items())
            yield f"  Where a token's {total:.0f} ms go, each stage evaluated by itself: {shares}."


def _of_predictions(result: dict[str, Any]) -> Iterator[str]:
    errors = [abs(b["predicted_ms"] / b["measured_ms"] - 1) for b in result.get("budgets", []) if "predicted_ms" in b]
    if errors:
        yield f"Predicted against measured: within {100 * max(errors):.0f} % at every budget."


def _of_drive(result: dict[str, Any]) -> Iterator[str]:
    if "sequential_bytes_per_s" in result:
        gaps = ", ".join(f"{readable(g)} between rows of {readable(int(r))}" for r, g in result["gap_bytes"].items())
        yield f"The reader uses {result['threads']} threads, and reads through gaps of up to {gaps}."


# ------------------------------------------------------------------------------------------------------ plots
def _plots(folder: Path, name: str, result: dict[str, Any]) -> list[str]:
    """Draw what belongs to a result; returns the files' names."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise FlashbulbError("The report's plots need matplotlib: `pip install flashbulb[bench]`.") from error
    drawn = []
    for suffix, draw in _DRAWN[result["benchmark"]].items():
        figure = Figure(figsize=(8, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes, result)
        drawn.append(f"{name}{suffix}.png")
        figure.savefig(folder / drawn[-1], dpi=130)
    return drawn


def _draw_drive(axes: Any, result: dict[str, Any]) -> None:
    grid = _grid(result)
    sizes = sorted({s for s, _ in grid})
    for threads in sorted({t for _, t in grid}):
        axes.plot(sizes, [grid[s, threads]["bytes_per_s"] / 1e9 for s in sizes], marker="o", ms=3, label=str(threads))
    axes.set(xscale="log", xlabel="bytes of a read", ylabel="GB/s", title="Random direct reads")
    axes.set_xticks(sizes, [f"{s >> 10}K" if s < 1 << 20 else f"{s >> 20}M" for s in sizes])
    axes.minorticks_off()
    axes.legend(title="threads", frameon=False, ncols=2)


def _draw_table2(axes: Any, result: dict[str, Any]) -> None:
    rows = [row for row in result["rows"] if "io_ms" in row and row["name"] != "+ overlap"]
    places = range(len(rows))
    here = axes.barh([p - 0.2 for p in places], [r["io_ms"] for r in rows], 0.38, label="here")
    axes.bar_label(here, [f" {r['io_ms']:.0f}" for r in rows], fontsize=8)
    paper = [(p + 0.2, r["paper"]["io_ms"]) for p, r in zip(places, rows, strict=True) if r.get("paper")]
    if paper:
        bars = axes.barh(*zip(*paper, strict=True), 0.38, label="the paper, M1 Max", color="0.7")
        axes.bar_label(bars, [f" {io:.0f}" for _, io in paper], fontsize=8, color="0.4")
    axes.set_yticks(list(places), [r["name"] for r in rows])
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="I/O of a token, ms", title=f"Table 2, {result['settings']['shape']}")
    axes.legend(frameon=False)


def _draw_table3(axes: Any, result: dict[str, Any]) -> None:
    rows = [row for row in result["rows"] if "total_ms" in row]
    left = [0.0] * len(rows)
    for part, label in (("io_ms", "flash I/O"), ("memory_ms", "memory management"), ("compute_ms", "compute")):
        values = [row[part] for row in rows]
        axes.barh(range(len(rows)), values, 0.6, left=left, label=label)
        left = [a + b for a, b in zip(left, values, strict=True)]
    for place, row in enumerate(rows):
        axes.annotate(f" {row['tokens_per_second']:.2f} tokens/s", (left[place], place), va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.invert_yaxis()
    axes.margins(x=0.18)
    settings = result["settings"]
    axes.set(xlabel="ms per token", title=f"Table 3, {settings.get('shape') or settings.get('model')}")
    axes.legend(frameon=False)


def _draw_curves(axes: Any, result: dict[str, Any]) -> None:
    curves = result["curves"]
    for kind, style in (("resident", "-"), ("loaded", "--")):
        for i, layer in enumerate(curves[kind]):
            shares = [100 * share for share in layer]
            label = f"layer {i}" if kind == "resident" else None
            axes.plot(curves["windows"], shares, style, color=f"C{i % 10}", lw=1, label=label)
    axes.set(
        xlabel="window, tokens", ylabel="% of a layer's neurons", title="Resident (solid) and newly loaded (dashed)"
    )
    axes.legend(frameon=False, fontsize=6, ncols=2)


def _draw_orders(axes: Any, result: dict[str, Any]) -> None:
    """Each order's reads and bytes, from no gap on, against those of a random order without gaps."""
    unordered = result["orders"][RANDOM_ORDER]
    for name, order in result["orders"].items():
        bytes_read = [bundles / unordered["bundles"][0] for bundles in order["bundles"]]
        axes.plot(bytes_read, [reads / unordered["reads"][0] for reads in order["reads"]], "o-", ms=3, label=name)
    axes.axvline(MAX_BYTES_RATIO, color="0.6", lw=0.8)
    axes.set(
        xlabel="times the misses' bytes", ylabel="times a random order's reads", xlim=(0.95, 2.05),
        title=f"Reads of a token as gaps are read through, window {result['settings']['window']}",
    )  # fmt: skip
    axes.legend(frameon=False)


def _draw_budgets(axes: Any, result: dict[str, Any]) -> None:
    for hot, kept in ((False, "the window's neurons"), (True, "and hot neurons")):
        for figure, style, label in (("measured_ms", "o-", "measured"), ("predicted_ms", "--", "predicted")):
            found = [(b["budget_bytes"] / 1e6, b[figure]) for b in result["budgets"] if b["hot"] == hot and figure in b]
            if found:
                axes.plot(*zip(*found, strict=True), style, color=f"C{int(hot)}", ms=4, label=f"{kept}, {label}")
    axes.set(xlabel="memory budget, MB", ylabel="ms per token", title="Speed against the memory budget", ylim=(0, None))
    axes.legend(frameon=False)


_DRAWN = {
    "drive": {"": _draw_drive},
    "table2": {"": _draw_table2},
    "table3": {"": _draw_table3},
    "window": {"-neurons": _draw_curves, "-orders": _draw_orders, "-budget": _draw_budgets},
}
