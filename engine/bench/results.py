"""A benchmark's result: rows of figures, as JSON and as Markdown."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.statistics import TokenStatistics

Progress = Callable[[float, str], None]  # is told the share that is done, and what is being measured


@dataclass(frozen=True)
class Row:
    """One line of a table; what it lacks is None and left out. Figures are medians over tokens, of one token;
    of an order of neurons, means.

    dram_bytes: weights held in memory. bytes_read, reads: asked of the drive; device_bytes: what the operating system
    counted. floor_ms: what the drive's profile gives for those reads. spread: by figure, its 10th and 90th percentile.
    memory_bytes_per_s: of a plain sum. footprint_bytes: the process's peak. hit_rate, bundles_read, first_token_s: of
    experts. lfu_hit_rate: of a plain policy, in as many slots and after the same prompt. paper: the paper's figures.
    """

    name: str
    dram_bytes: float | None = None
    bytes_read: float | None = None
    device_bytes: float | None = None
    reads: float | None = None
    bytes_per_s: float | None = None
    memory_bytes_per_s: float | None = None
    io_ms: float | None = None
    floor_ms: float | None = None
    predicted_ms: float | None = None
    memory_ms: float | None = None
    compute_ms: float | None = None
    total_ms: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    tokens_per_second: float | None = None
    hit_rate: float | None = None
    lfu_hit_rate: float | None = None
    bundles_read: float | None = None
    first_token_s: float | None = None
    footprint_bytes: float | None = None
    budget_bytes: float | None = None
    spread: dict[str, Any] | None = None
    paper: dict[str, Any] | None = None
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The figures that there are, as JSON has them."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Result:
    """The result of a benchmark. settings: what it ran with; details: whatever else belongs to it."""

    benchmark: str
    machine: dict[str, Any]
    rows: list[Row]
    settings: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return {
            "benchmark": self.benchmark,
            "machine": self.machine,
            "settings": self.settings,
            "rows": [row.to_dict() for row in self.rows],
            **self.details,
        }


def summarise(name: str, costs: Sequence[TokenStatistics], io_only: bool = False) -> Row:
    """A row from the costs of single tokens. io_only: they were not computed, so that a total would say nothing."""
    parts = ["bytes_read", "reads", "io_ms", "memory_ms"] + ([] if io_only else ["compute_ms", "total_ms"])
    values = {part: [getattr(cost, part) for cost in costs] for part in parts}
    figures: dict[str, Any] = {part: statistics.median(found) for part, found in values.items()}
    figures["spread"] = {part: [quantile(found, 0.1), quantile(found, 0.9)] for part, found in values.items()}
    if figures["io_ms"] and io_only:
        figures["bytes_per_s"] = figures["bytes_read"] / figures["io_ms"] * 1e3
    if not io_only:
        totals = values["total_ms"]
        figures |= {"p50_ms": quantile(totals, 0.5), "p99_ms": quantile(totals, 0.99)}
        figures["tokens_per_second"] = 1e3 * len(totals) / sum(totals)
    return Row(name, **figures)


def known(figure: float | None) -> float:
    """A figure that this row has for certain."""
    assert figure is not None
    return figure


def quantile(values: Sequence[float], share: float) -> float:
    """Interpolated between the two nearest values."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


Figure = Callable[[dict[str, Any]], float | None]  # of a row
COLUMNS: dict[str, tuple[Figure, float, str]] = {  # title: how it is taken from a row, and how it is written
    "DRAM GB": (lambda r: r.get("dram_bytes"), 1e-9, "{:.2f}"),
    "GB a token": (lambda r: r.get("bytes_read"), 1e-9, "{:.3f}"),
    "device GB": (lambda r: r.get("device_bytes"), 1e-9, "{:.3f}"),
    "experts read": (lambda r: r.get("bundles_read"), 1, "{:.1f}"),
    "hits %": (lambda r: r.get("hit_rate"), 100, "{:.1f}"),
    "of LFU %": (lambda r: r.get("lfu_hit_rate"), 100, "{:.1f}"),
    "reads": (lambda r: r.get("reads"), 1, "{:.0f}"),
    "GB/s": (lambda r: r.get("bytes_per_s"), 1e-9, "{:.2f}"),
    "memory GB/s": (lambda r: r.get("memory_bytes_per_s"), 1e-9, "{:.2f}"),
    "of memory's %": (lambda r: _of_memory(r), 100, "{:.0f}"),
    "kIOPS": (lambda r: _iops(r), 1e-3, "{:.1f}"),
    "I/O ms": (lambda r: r.get("io_ms"), 1, "{:.1f}"),
    "floor ms": (lambda r: r.get("floor_ms"), 1, "{:.1f}"),
    "memory ms": (lambda r: r.get("memory_ms"), 1, "{:.2f}"),
    "compute ms": (lambda r: r.get("compute_ms"), 1, "{:.0f}"),
    "total ms": (lambda r: r.get("total_ms"), 1, "{:.0f}"),
    "P50 ms": (lambda r: r.get("p50_ms"), 1, "{:.0f}"),
    "P99 ms": (lambda r: r.get("p99_ms"), 1, "{:.0f}"),
    "predicted ms": (lambda r: r.get("predicted_ms"), 1, "{:.0f}"),
    "tokens/s": (lambda r: r.get("tokens_per_second"), 1, "{:.2f}"),
    "first token s": (lambda r: r.get("first_token_s"), 1, "{:.2f}"),
    "peak GB": (lambda r: r.get("footprint_bytes"), 1e-9, "{:.2f}"),
    "paper: GB": (lambda r: r.get("paper", {}).get("bytes_read"), 1e-9, "{:.1f}"),
    "paper: GB/s": (lambda r: r.get("paper", {}).get("bytes_per_s"), 1e-9, "{:.2f}"),
    "paper: I/O ms": (lambda r: r.get("paper", {}).get("io_ms"), 1, "{:.0f}"),
    "paper: total ms": (lambda r: r.get("paper", {}).get("total_ms"), 1, "{:.0f}"),
}


def _of_memory(row: dict[str, Any]) -> float | None:
    return row["bytes_per_s"] / row["memory_bytes_per_s"] if "memory_bytes_per_s" in row else None


def _iops(row: dict[str, Any]) -> float | None:
    return 1e3 * row["reads"] / row["io_ms"] if row.get("reads") and row.get("bytes_per_s") else None


def markdown(rows: list[dict[str, Any]], first: str = "") -> str:
    """A table of rows, with the columns that any of them has."""
    used = {title: c for title, c in COLUMNS.items() if any(c[0](row) is not None for row in rows)}
    lines = [f"| {first} | " + " | ".join(used) + " |", "| --- |" + " ---: |" * len(used)]
    for row in rows:
        cells = (_cell(row, *column) for column in used.values())
        lines.append(f"| {row['name']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: dict[str, Any], value: Figure, scale: float, form: str) -> str:
    found = value(row)
    return "" if found is None else form.format(found * scale)
