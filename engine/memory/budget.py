"""The memory budget: what is held, item by item, against a ceiling that is kept (paper, section 3.3)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush

from engine.errors import BudgetError
from engine.memory.pool import BUNDLE_BOOKKEEPING, ROW_BOOKKEEPING
from engine.text import Text, joined, readable

MAX_FLOAT32_BYTES = 256_000_000  # of weights: below, computing in float32 costs little, and spares rounding errors
FREE_MEMORY_SHARE = 0.75  # of free memory: where no budget is given, every neuron gets a row if it fits in there
SHARE_WITHOUT_BUDGET = 0.5  # of all neurons get a row where it does not: the paper's half
SPARE_ROWS = 1.5  # the smallest pool holds this many times a usual token's active set
STEPS = 16  # in which a pool's rows are given and taken: a little more or less room then moves few pools
ITEMS = {  # what has a fixed size, in words
    "resident": Text("resident"),
    "predictors": Text("predictors"),
    "exact_selection": Text("exact selection"),
    "kv_cache": Text("kv cache"),
    "kept_contexts": Text("kept contexts"),
    "workspace": Text("workspace"),
    "draft_model": Text("draft model"),
}


@dataclass(frozen=True)
class PoolDemand:
    """One layer's pool: bytes of a row, all bundles, and the rows without which a token does not fit.

    weight: share of the layer that is active: busier layers get more of the pool. rank: layers of a lower one get rows
    first, as many as they have bundles. may_be_whole: with a row for every bundle it is no pool, but part of the model
    as if it were resident, and the last to be given back.
    """

    row_bytes: int
    bundles: int
    minimum: int
    weight: float
    rank: int = 0
    may_be_whole: bool = False

    def bytes(self, rows: int) -> int:
        """Bytes of a pool of so many rows, its bookkeeping included."""
        return rows * (self.row_bytes + ROW_BOOKKEEPING) + self.bundles * BUNDLE_BOOKKEEPING

    @property
    def step(self) -> int:
        """Rows that are given and taken at once."""
        return max(1, self.bundles // STEPS)


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

    def counting_whole_as_resident(self, places: Sequence[int]) -> "MemoryBudget":
        """The same, where what has a row for every bundle, of these pools, is told as resident."""
        pools = ((self.demands[i], self.capacities[i]) for i in places)
        moved = sum(d.bytes(rows) for d, rows in pools if d.may_be_whole and rows == d.bundles)
        items = self.items | {"resident": self.items["resident"] + moved, "pool": self.items["pool"] - moved}
        return replace(self, items=items)


def plan(ceiling: int, fixed: dict[str, int], demands: Sequence[PoolDemand]) -> MemoryBudget:
    """Share a ceiling (bytes) between what has a fixed size and the pools. Raises BudgetError with the smallest that
    works."""
    smallest = sum(fixed.values()) + sum(d.bytes(d.minimum) for d in demands)
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


def total_of_share(share: float, fixed: dict[str, int], demands: Sequence[PoolDemand]) -> int:
    """The bytes of all where pools have that share of their bundles."""
    rows = (max(d.minimum, round(share * d.bundles)) for d in demands)
    return sum(fixed.values()) + sum(d.bytes(r) for d, r in zip(demands, rows, strict=True))


def _share(room: int, demands: Sequence[PoolDemand]) -> list[int]:
    """Rows by layer that fit `room` bytes: the minimum for each, the rest by weight, no layer more than its bundles."""
    rows = [d.minimum for d in demands]
    room -= sum(d.bytes(d.minimum) for d in demands)
    for rank in sorted({d.rank for d in demands}):
        room = _fill(rows, room, demands, [i for i, d in enumerate(demands) if d.rank == rank and rows[i] < d.bundles])
    return rows


def _fill(rows: list[int], room: int, demands: Sequence[PoolDemand], open_layers: list[int]) -> int:
    """Give rows to some layers; returns the room that is left once all of them are full, else none."""
    while open_layers:
        weight = sum(demands[i].weight * _bytes_of_row(demands[i]) for i in open_layers)
        extra = {i: int(room * demands[i].weight / weight) for i in open_layers}
        full = [i for i in open_layers if rows[i] + extra[i] >= demands[i].bundles]
        if not full:
            _give_in_steps(rows, room, demands, extra)
            return 0
        for i in full:
            room -= (demands[i].bundles - rows[i]) * _bytes_of_row(demands[i])
            rows[i] = demands[i].bundles
            open_layers.remove(i)
    return room


def _give_in_steps(rows: list[int], room: int, demands: Sequence[PoolDemand], extra: dict[int, int]) -> None:
    """Give layers whole steps of what they should have more, and what that leaves in steps to whoever has least for its
    weight. So rows are given in one order, whatever the room: more room takes no row from anyone, and a little less
    takes few."""
    waiting: list[tuple[float, int]] = []
    for i, more in extra.items():
        given = more - more % demands[i].step
        rows[i] += given
        room -= given * _bytes_of_row(demands[i])
        heappush(waiting, ((given + demands[i].step) / demands[i].weight, i))
    while waiting:
        share, i = heappop(waiting)
        wanted = min(demands[i].step, demands[i].bundles - rows[i])
        given = min(wanted, room // _bytes_of_row(demands[i]))
        rows[i] += given
        room -= given * _bytes_of_row(demands[i])
        if given < wanted:
            return
        if rows[i] < demands[i].bundles:
            heappush(waiting, (share + demands[i].step / demands[i].weight, i))


def _bytes_of_row(demand: PoolDemand) -> int:
    return demand.row_bytes + ROW_BOOKKEEPING
