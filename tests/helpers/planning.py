"""The outlook on a checkpoint in a folder, and budgets for it."""

from pathlib import Path
from typing import Any

from engine.memory.budget import MemoryBudget, PoolDemand
from engine.planning.outlook import Outlook
from engine.settings import Settings
from engine.store.mlx_folder import MlxFolder


def slots(capacity: int, bundles: int) -> MemoryBudget:
    """A plan with one pool, of nothing else."""
    return MemoryBudget(0, {}, (capacity,), 0, (PoolDemand(1, bundles, 0, 1.0),))


def outlook_of(folder: Path) -> Outlook:
    """Of a drive that was not measured."""
    return Outlook.of(MlxFolder.open(folder), None)


def budgets_of(folder: Path, **settings: Any) -> tuple[int, int, int]:
    """The smallest budget, one in the middle, and one with room for everything."""
    outlook = outlook_of(folder)
    low, high = outlook.smallest_budget(Settings(**settings)), outlook.full_budget(Settings(**settings))
    return low, (low + high) // 2, high


def budgets_of_experts(folder: Path) -> tuple[int, int, int]:
    """The smallest budget with room for all linears, one in the middle, and one with room for everything."""
    outlook = outlook_of(folder)
    low, high = outlook.smallest_budget(Settings()), outlook.full_budget(Settings())
    full = high
    while full - low > full // 2000:
        middle = (low + full) // 2
        low, full = (low, middle) if _holds_linears(outlook, middle) else (middle, full)
    return full, (full + high) // 2, high


def _holds_linears(outlook: Outlook, budget: int) -> bool:
    settings = Settings(memory_budget=budget)
    slots = zip(outlook.sizes.layers(settings), outlook.plan(settings).capacities, strict=True)
    return all(rows == layer.bundles.count for layer, rows in slots if layer.bundles.kind == "block")
