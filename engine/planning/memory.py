"""The memory plan of a model under given settings, before anything is loaded: what each item has of a ceiling, while
the context has room for so many tokens. What the context does not need is the pools'."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import mlx.core as mx

from engine.memory.budget import (
    FREE_MEMORY_SHARE,
    SHARE_WITHOUT_BUDGET,
    MemoryBudget,
    PoolDemand,
    plan,
    total_of_share,
)
from engine.models.caches import MAX_SNAPSHOTS
from engine.planning.layers import StreamedLayer
from engine.planning.shape import ModelShape
from engine.settings import Settings

FIRST_TOKENS = 256  # of a context, for which a model is loaded with room
USUAL_CONTEXT = 8192  # tokens: beside so many, what is resident is, and without a budget pools have their share
FORECAST_TOKENS = 2048  # of the context of which a forecast of speed is
KEPT_CHATS = 8  # beside the present one, each of a usual context, that a budget nobody chose has room for
KEPT_SHARE = 0.25  # of what is left beyond the smallest budget: for contexts of other conversations, at most
MIN_CACHE_LIMIT, MAX_CACHE_LIMIT = 4 << 20, 256 << 20  # bytes that MLX may keep for reuse
ROOMY_DIVISOR = 16  # the part of what is left beyond the smallest budget that each piece of the workspace may take
SLOW_DIVISOR = 64  # the same of what brings little without a GPU, as computing takes longer than to read a layer again


@dataclass(frozen=True)
class Workspace:
    """The memory that computing needs. bytes: of all. chunk: tokens of a prompt that are computed at once.
    buffer_bytes: of one of the ring's buffers. block_bytes: of all, what one chunk takes, and nothing between two."""

    bytes: int
    chunk: int
    buffer_bytes: int
    block_bytes: int = 0


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
        """The memory that computing needs with `context` tokens to look back on. roomy: bytes that it is in proportion
        to."""


@dataclass(frozen=True)
class MemoryPlan:
    """budget: items, and slots by layer. tokens: that the context has room for. cache_limit: bytes that MLX may keep
    for reuse. kept_room: bytes that the contexts of other conversations may have."""

    budget: MemoryBudget
    tokens: int
    cache_limit: int
    workspace: Workspace
    kept_room: int = 0


def longest_context(sizes: Sizes, settings: Settings) -> int:
    """Tokens of the longest context that the budget holds, at most what the model was made for, or what was asked for.
    Raises BudgetError."""
    return Planner.of(sizes, settings).longest


@dataclass(frozen=True)
class Planner:
    """The arithmetic of one ceiling (bytes). roomy: bytes that the workspace is in proportion to, at most. most: tokens
    that a context may have. demands: of the pools. beside: the places of those that are no experts, in a model of
    experts. draft: of a draft model, whose context is as long. staying: places that keep a row for each bundle as long
    as the context leaves room for that: beside a usual one they do."""

    sizes: Sizes
    settings: Settings
    ceiling: int
    roomy: int
    most: int
    demands: tuple[PoolDemand, ...]
    beside: tuple[int, ...] = ()
    draft: "Planner | None" = None
    staying: frozenset[int] = frozenset()

    @classmethod
    def whole(cls, sizes: Sizes, settings: Settings) -> "Planner":
        """The planner of a model of which all is in memory, and which computes in as little as works."""
        shape, demands = sizes.shape(settings), [layer.demand() for layer in sizes.layers(settings)]
        all_rows = tuple(replace(demand, minimum=demand.bundles, may_be_whole=True) for demand in demands)
        planner = cls(sizes, settings, 0, 0, min(shape.context, settings.context or shape.context), all_rows)
        return replace(planner, ceiling=planner.smallest(planner.most))

    @classmethod
    def of(cls, sizes: Sizes, settings: Settings, draft: "Planner | None" = None) -> "Planner":
        """The planner of a model under these settings. Raises BudgetError where not even a step of the context fits."""
        shape, stored = sizes.shape(settings), sizes.stored_bytes
        most = min(shape.context, settings.context or shape.context)
        layers, ceiling = sizes.layers(settings), settings.memory_budget
        demands = tuple(layer.demand() for layer in layers)
        beside = tuple(i for i, each in enumerate(layers) if shape.kind == "expert" != each.bundles.kind)
        if ceiling is None:
            any_ceiling = cls(sizes, settings, 0, stored, most, demands, draft=draft)
            ceiling, roomy = any_ceiling._usual_ceiling(settings.context or USUAL_CONTEXT), stored
        else:
            roomy = ceiling
        planner = cls(sizes, settings, ceiling, roomy, most, demands, beside, draft)
        return planner._with_whole_layers() if any(demand.may_be_whole for demand in demands) else planner

    def plan(self, tokens: int, kept_bytes: int = 0) -> MemoryPlan:
        """The plan while the context has room for `tokens` (of a step at least), and the contexts of other
        conversations take `kept_bytes`. Pools have what is left. Raises BudgetError.

        The workspace grows only with what is left beyond the smallest budget: so more memory is never worse.
        """
        tokens = max(tokens, min(FIRST_TOKENS, self.most))
        whole = self.stays_whole(tokens, kept_bytes)
        roomy = min(self.roomy, max(0, self._spare(tokens, whole) - kept_bytes))
        workspace, fixed = self._fixed(tokens, roomy)
        if kept_bytes:
            fixed |= {"kept_contexts": kept_bytes}
        demands = self._whole_demands if whole else self.demands
        budget = plan(self.ceiling, fixed, demands).counting_whole_as_resident(self.beside)
        return MemoryPlan(budget, tokens, _cache_limit(roomy), workspace, self._kept_room(budget, tokens))

    def with_draft(self, draft: "Planner | None") -> "Planner":
        """The same ceiling with another draft model, or without one. Raises BudgetError."""
        planner = replace(self, draft=draft, staying=frozenset())
        return planner._with_whole_layers() if any(demand.may_be_whole for demand in self.demands) else planner

    def smallest(self, tokens: int) -> int:
        """Bytes of the smallest budget with room for so many tokens."""
        _, fixed = self._fixed(tokens, 0)
        return sum(fixed.values()) + self._smallest_pools

    @property
    def longest(self) -> int:
        """Tokens of the longest context that the ceiling holds. Raises BudgetError."""
        return self.at_most(self.most)

    def at_most(self, tokens: int) -> int:
        """So many tokens, or as many as the ceiling holds. Raises BudgetError."""
        high = min(tokens, self.most)
        low = min(FIRST_TOKENS, high)
        if self.smallest(high) <= self.ceiling:
            return high
        self.plan(low)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.smallest(middle) <= self.ceiling else (low, middle)
        return low

    def stays_whole(self, tokens: int, kept_bytes: int = 0) -> bool:
        """True where what is whole has room beside all that; else it gives like the other pools."""
        return self._spare(tokens, True) >= kept_bytes

    def _spare(self, tokens: int, whole: bool) -> int:
        """Bytes beyond the smallest budget, of which what is whole has all of its rows already, if that stays so: the
        less there is to give, the less the workspace takes."""
        return self.ceiling - self.smallest(tokens) - (self._whole_bytes if whole else 0)

    @cached_property
    def _whole_demands(self) -> tuple[PoolDemand, ...]:
        return tuple(replace(d, minimum=d.bundles) if i in self.staying else d for i, d in enumerate(self.demands))

    @cached_property
    def _smallest_pools(self) -> int:
        return sum(demand.bytes(demand.minimum) for demand in self.demands)

    @cached_property
    def _whole_bytes(self) -> int:
        return sum(demand.bytes(demand.minimum) for demand in self._whole_demands) - self._smallest_pools

    def _fixed(self, tokens: int, roomy: int) -> tuple[Workspace, dict[str, int]]:
        """The workspace, and bytes by item of all that is no pool."""
        sizes, settings = self.sizes, self.settings
        shape, workspace = sizes.shape(settings), sizes.workspace(settings, tokens, roomy)
        return workspace, {
            "resident": shape.resident_bytes,
            **sizes.selector_bytes(settings),
            "kv_cache": _kv_cache_bytes(shape, tokens, workspace.chunk),
            "workspace": workspace.bytes + _cache_limit(roomy) + sizes.overhead,
            **self._draft_bytes(tokens),
        }

    def _draft_bytes(self, tokens: int) -> dict[str, int]:
        """All that a draft model takes beside so many tokens, without what every process has once."""
        if self.draft is None:
            return {}
        whole = self.draft.smallest(min(tokens, self.draft.most))
        return {"draft_model": whole - self.draft.sizes.overhead}

    def _usual_ceiling(self, tokens: int) -> int:
        """Bytes where nobody chose a budget: beside a usual context, every bundle has a slot where free memory allows,
        else half of them; and several other contexts have a part of free memory. Where a token needs all
        neurons, as naive loading does, as little as works."""
        tokens, shape = min(self.most, tokens), self.sizes.shape(self.settings)
        if self.settings.selection.streams_all and shape.streams_neurons:
            return self.smallest(tokens)
        _, fixed = self._fixed(tokens, self.roomy)
        share = default_share(sum(fixed.values()), self.demands, self.sizes.available)
        kept = min(KEPT_CHATS * shape.context_bytes(tokens), max(self.roomy, self.sizes.available) // ROOMY_DIVISOR)
        return total_of_share(share, fixed, self.demands) + kept

    def _with_whole_layers(self) -> "Planner":
        """The same, where what has a slot for every bundle beside a usual context stays whole as long as it can: all of
        it, if the workspace can be so small, else what is whole beside a larger one."""
        tokens = self.at_most(self.settings.context or USUAL_CONTEXT)
        everything = replace(self, staying=self._before_others(set(range(len(self.demands)))))
        return everything if everything.stays_whole(tokens) else self._with_what_is_whole(tokens)

    def _with_what_is_whole(self, tokens: int) -> "Planner":
        rows = self.plan(tokens).budget.capacities
        staying = self._before_others({i for i, demand in enumerate(self.demands) if rows[i] == demand.bundles})
        # The less can be given back, the less the workspace takes: perhaps more is whole now.
        return self if staying == self.staying else replace(self, staying=staying)._with_what_is_whole(tokens)

    def _before_others(self, full: set[int]) -> frozenset[int]:
        """Of pools with a row for every bundle, those that may be whole and have room before all that are not."""
        whole = {i for i in full if self.demands[i].may_be_whole}
        first = min((d.rank for i, d in enumerate(self.demands) if i not in whole), default=math.inf)
        return frozenset(i for i in whole if self.demands[i].rank < first)

    def _kept_room(self, budget: MemoryBudget, tokens: int) -> int:
        """The bytes that are left where all bundles have slots; else a part of those beyond the smallest budget, of
        which the present context is the first to take."""
        kept = budget.items.get("kept_contexts", 0)
        if all(rows == d.bundles for rows, d in zip(budget.capacities, self.demands, strict=True)):
            return budget.ceiling - budget.total + kept
        first = min(FIRST_TOKENS, self.most)
        shape = self.sizes.shape(self.settings)
        grown = shape.context_bytes(tokens) - shape.context_bytes(first)
        return max(0, int(KEPT_SHARE * self._spare(first, self.stays_whole(first))) - grown)


def prompt_share(roomy: int) -> int:
    """The bytes, of so many to spare, that what a prompt is computed with may take: the rest serves every token."""
    return roomy // (ROOMY_DIVISOR if mx.metal.is_available() else SLOW_DIVISOR)


def _cache_limit(roomy: int) -> int:
    return min(MAX_CACHE_LIMIT, max(MIN_CACHE_LIMIT, prompt_share(roomy)))


def default_share(fixed: int, demands: Sequence[PoolDemand], available: int) -> float:
    """The share of all bundles that gets a slot where nobody chose a budget: all where free memory allows, else
    half."""
    everything = fixed + sum(demand.bytes(demand.bundles) for demand in demands)
    return 1.0 if everything <= FREE_MEMORY_SHARE * available else SHARE_WITHOUT_BUDGET


def _kv_cache_bytes(shape: ModelShape, tokens: int, chunk: int) -> int:
    """Keys and values of so many tokens, and one layer's keys or values again: while they grow they are there twice. Of
    what cannot be trimmed, all snapshots, and the mark before a pass that may be taken back."""
    largest = max((cache.bytes(tokens, chunk) for cache in shape.caches), default=0)
    snapshots = (MAX_SNAPSHOTS + 1) * shape.snapshot_bytes(tokens, chunk)
    return shape.context_bytes(tokens, chunk) + largest // 2 + snapshots
