"""The memory plan of a model under given settings, before anything is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from engine.memory.budget import FREE_MEMORY_SHARE, SHARE_WITHOUT_BUDGET, MemoryBudget, PoolDemand, plan
from engine.planning.layers import StreamedLayer
from engine.planning.shape import ModelShape
from engine.settings import Settings

USUAL_CONTEXT = 8192  # tokens, where nobody says how many: caches of the longest would take all memory
MIN_CACHE_LIMIT, MAX_CACHE_LIMIT = 4 << 20, 256 << 20  # bytes that MLX may keep for reuse
ROOMY_DIVISOR = 16  # the part of what is left beyond the smallest budget that each piece of the workspace may take


@dataclass(frozen=True)
class Workspace:
    """The memory that computing needs. bytes: of all. chunk: tokens of a prompt that are computed at once.
    buffer_bytes: of one of the ring's buffers."""

    bytes: int
    chunk: int
    buffer_bytes: int


class Sizes(Protocol):
    """The sizes that a model's memory and speed depend on, read from its files once: a plan for other settings is then
    arithmetic."""

    @property
    def stored_bytes(self) -> int:
        """Bytes of all weights."""

    @property
    def overhead(self) -> int:
        """Bytes that a model takes whatever its size."""

    @property
    def available(self) -> int:
        """Bytes of memory that were free when the sizes were read; where that is not known, 0."""

    def shape(self, settings: Settings) -> ModelShape:
        """The model's shape, as it is computed."""

    def layers(self, settings: Settings) -> Sequence[StreamedLayer]:
        """The layers that are streamed."""

    def selector_bytes(self, settings: Settings) -> dict[str, int]:
        """Bytes by item of what says which bundles are needed, where that is no part of the model."""

    def workspace(self, settings: Settings, context: int, roomy: int) -> Workspace:
        """The memory that computing needs. roomy: bytes that it is in proportion to."""


@dataclass(frozen=True)
class MemoryPlan:
    """budget: items, and slots by layer. context: tokens. cache_limit: bytes that MLX may keep for reuse. kept_room:
    bytes that the contexts of other conversations may have."""

    budget: MemoryBudget
    context: int
    cache_limit: int
    workspace: Workspace
    kept_room: int


def plan_memory(sizes: Sizes, settings: Settings) -> MemoryPlan:
    """Plan a model's memory. Raises BudgetError.

    The workspace grows only with what is left beyond the smallest budget: so more memory is never worse.
    """
    if settings.memory_budget is None:
        return _plan(sizes, settings, sizes.stored_bytes)
    frugal = _plan(sizes, settings, 0)
    return _plan(sizes, settings, max(0, settings.memory_budget - frugal.budget.smallest))


def _plan(sizes: Sizes, settings: Settings, roomy: int) -> MemoryPlan:
    """roomy: bytes that the workspace is in proportion to."""
    shape = sizes.shape(settings)
    context = min(shape.context, settings.context or USUAL_CONTEXT)
    cache_limit = min(MAX_CACHE_LIMIT, max(MIN_CACHE_LIMIT, roomy // ROOMY_DIVISOR))
    workspace = sizes.workspace(settings, context, roomy)
    fixed = {
        "resident": shape.resident_bytes,
        **sizes.selector_bytes(settings),
        "kv_cache": _kv_cache_bytes(shape, context, workspace.chunk),
        "workspace": workspace.bytes + cache_limit + sizes.overhead,
    }
    demands = [layer.demand() for layer in sizes.layers(settings)]
    every = settings.selection.streams_all and shape.streams_neurons  # as naive loading does
    share = 0.0 if every else default_share(sum(fixed.values()), demands, sizes.available)
    kept_room = _kept_room(shape.context_bytes(context), settings, roomy, sizes.available)
    ceiling = None if settings.memory_budget is None else settings.memory_budget - kept_room
    budget = plan(ceiling, fixed, demands, share)
    items = budget.items | {"kept_contexts": kept_room}
    budget = replace(budget, ceiling=budget.ceiling + kept_room, items=items)
    return MemoryPlan(budget, context, cache_limit, workspace, kept_room)


def default_share(fixed: int, demands: Sequence[PoolDemand], available: int) -> float:
    """The share of all bundles that gets a slot where nobody chose a budget: all where free memory allows, else
    half."""
    everything = fixed + sum(demand.bytes(demand.bundles) for demand in demands)
    return 1.0 if everything <= FREE_MEMORY_SHARE * available else SHARE_WITHOUT_BUDGET


def _kv_cache_bytes(shape: ModelShape, context: int, chunk: int) -> int:
    """Keys and values of a full context, and one layer's keys or values again: while they grow they are there twice."""
    largest = max((cache.bytes(context, chunk) for cache in shape.caches), default=0)
    return shape.context_bytes(context, chunk) + largest // 2


def _kept_room(context_bytes: int, settings: Settings, roomy: int, available: int) -> int:
    """Bytes for the contexts of other conversations: at most as much as for the present one."""
    room = max(roomy, available) if settings.memory_budget is None else roomy
    return min(context_bytes, room // ROOMY_DIVISOR)
