"""The memory budget: what is held, item by item, against a ceiling that is kept (paper, section 3.3)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.errors import BudgetError
from engine.memory.pool import BUNDLE_BOOKKEEPING, ROW_BOOKKEEPING
from engine.text import Text, joined, readable

MAX_FLOAT32_BYTES = 256_000_000  # of weights: below, computing in float32 costs little, and spares rounding errors
FREE_MEMORY_SHARE = 0.75  # of free memory: where no budget is given, every neuron gets a row if it fits in there
SHARE_WITHOUT_BUDGET = 0.5  # of all neurons get a row where it does not: the paper's half
SPARE_ROWS = 1.5  # the smallest pool holds this many times a usual token's active set
ITEMS = {  # what has a fixed size, in words
    "resident": Text("resident"),
    "predictors": Text("predictors"),
    "exact_selection": Text("exact selection"),
    "kv_cache": Text("kv cache"),
    "workspace": Text("workspace"),
}


@dataclass(frozen=True)
class PoolDemand:
    """One layer's pool: bytes of a row, all bundles, and the rows without which a token does not fit.

    weight: share of the layer that is active: busier layers get more of the pool. rank: layers of a lower one get rows
    first, as many as they have bundles. whole_stays: what has a row for every bundle is never given back.
    """

    row_bytes: int
    bundles: int
    minimum: int
    weight: float
    rank: int = 0
    whole_stays: bool = False

    def bytes(self, rows: int) -> int:
        """Bytes of a pool of so many rows, its bookkeeping included."""
        return rows * (self.row_bytes + ROW_BOOKKEEPING) + self.bundles * BUNDLE_BOOKKEEPING

    def halved(self, rows: int) -> int:
        """Half of so many rows, though never fewer than a usual token needs."""
        if self.whole_stays and rows == self.bundles:
            return rows
        return max(min(self.minimum, rows), rows // 2)


@dataclass(frozen=True)
class MemoryBudget:
    """A plan that fits. items: bytes by name; capacities: pool rows by layer; total: bytes, at most `ceiling`."""

    ceiling: int
    items: dict[str, int]
    capacities: tuple[int, ...]
    smallest: int
    demands: tuple[PoolDemand, ...]

    @property
    def total(self) -> int:
        """Bytes of all items."""
        return sum(self.items.values())

    def halved(self) -> "MemoryBudget":
        """The same with pools of half the rows, though never fewer than a usual token needs."""
        rows = [d.halved(had) for d, had in zip(self.demands, self.capacities, strict=True)]
        return replace(self, items=self.items | {"pool": _pool_bytes(self.demands, rows)}, capacities=tuple(rows))


def plan(ceiling: int | None, fixed: dict[str, int], demands: list[PoolDemand], default_share: float) -> MemoryBudget:
    """Share a ceiling (bytes) between what has a fixed size and the pools.

    Without a ceiling, the pools get `default_share` of all bundles. Raises BudgetError with the smallest that works.
    """
    smallest = sum(fixed.values()) + sum(d.bytes(d.minimum) for d in demands)
    if ceiling is None:
        rows = [max(d.minimum, round(default_share * d.bundles)) for d in demands]
        ceiling = sum(fixed.values()) + sum(d.bytes(r) for d, r in zip(demands, rows, strict=True))
    if ceiling < smallest:
        parts = (Text("{item} {size}", item=ITEMS[name], size=readable(size)) for name, size in fixed.items())
        raise BudgetError(
            "A memory budget of {ceiling} is too small. The smallest that works is {smallest}: {parts}, pool {pool}.",
            smallest,
            ceiling=readable(ceiling),
            smallest=readable(smallest),
            parts=joined("{before}, {next}", parts),
            pool=readable(smallest - sum(fixed.values())),
        )
    capacities = _share(ceiling - sum(fixed.values()), demands)
    items = {**fixed, "pool": _pool_bytes(demands, capacities)}
    return MemoryBudget(ceiling, items, tuple(capacities), smallest, tuple(demands))


def _pool_bytes(demands: Sequence[PoolDemand], capacities: Sequence[int]) -> int:
    return sum(demand.bytes(rows) for demand, rows in zip(demands, capacities, strict=True))


def _share(room: int, demands: list[PoolDemand]) -> list[int]:
    """Rows by layer that fit `room` bytes: the minimum for each, the rest by weight, no layer more than its bundles."""
    rows = [d.minimum for d in demands]
    room -= sum(d.bytes(d.minimum) for d in demands)
    for rank in sorted({d.rank for d in demands}):
        room = _fill(rows, room, demands, [i for i, d in enumerate(demands) if d.rank == rank and rows[i] < d.bundles])
    return rows


def _fill(rows: list[int], room: int, demands: list[PoolDemand], open_layers: list[int]) -> int:
    """Give rows to some layers; returns the room that is left once all of them are full, else none."""
    while open_layers:
        weight = sum(demands[i].weight * (demands[i].row_bytes + ROW_BOOKKEEPING) for i in open_layers)
        extra = {i: int(room * demands[i].weight / weight) for i in open_layers}
        full = [i for i in open_layers if rows[i] + extra[i] >= demands[i].bundles]
        if not full:
            for i in open_layers:
                rows[i] += extra[i]
            return 0
        for i in full:
            room -= (demands[i].bundles - rows[i]) * (demands[i].row_bytes + ROW_BOOKKEEPING)
            rows[i] = demands[i].bundles
            open_layers.remove(i)
    return room
