"""The memory that a loaded model holds: its context has what the conversation needs, its pools have the rest."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import mlx.core as mx
from mlx_lm.models.cache import KVCache

from engine.inference.execution import Context
from engine.memory.budget import MemoryBudget
from engine.memory.relief import Relief
from engine.planning.draft_room import planner_beside
from engine.planning.layers import missed_bytes, uses
from engine.planning.memory import MemoryPlan, Planner, Sizes
from engine.settings import Settings
from engine.streaming.install import Streaming
from engine.system.allocator import give_back_free_memory

GROWTH_DIVISOR = 8  # a context grows by this part of itself, or by a step: what it holds is copied each time
ROOMY_RATIO = 2  # a context with room for this many times what it needs gives it back


class KeptContexts(Protocol):
    """The contexts of other conversations in memory. They go before the pools do when the present one grows."""

    @property
    def bytes_aside(self) -> int:
        """Bytes that they take."""

    def limit(self, room: int) -> None:
        """Let them take so many bytes, from now on."""


class DraftModel(Protocol):
    """A draft model in memory. It goes before the context of the large model has too little room.

    room_share: of what a token reads, that it would not, had the large model the memory of this one.
    """

    room_share: float

    def resize(self, rows: int) -> None:
        """Have room for so many tokens."""

    def close(self) -> None:
        """Free all that it takes."""


class HeldMemory:
    """Context, pools and workspace of one model, and a draft model beside it, which share a ceiling.

    plan: of what is held now. longest: tokens of the longest context that the ceiling holds. relief: of the system,
    when it is short of memory. given_bytes: by which less is held for that. taken_bytes: of weights, by which less is
    held since the context was short. Everything here happens between two passes: what they compute with is free then.
    """

    def __init__(self, sizes: Sizes, settings: Settings, draft: Planner | None = None):
        """draft: of a draft model. Raises BudgetError."""
        self._sizes, self._planner = sizes, Planner.of(sizes, settings, draft)
        self.plan, self.longest = self._planner.plan(0), replace(self._planner, draft=None).longest
        self.relief, self.given_bytes, self.taken_bytes = Relief(), 0, 0
        self._reserved = 0  # tokens that the context has room for, however few there are

    def attach(
        self,
        context: Context,
        streaming: Streaming,
        kept: KeptContexts | None = None,
        draft: DraftModel | None = None,
    ) -> None:
        """These are what was planned, once they are in memory."""
        self._context, self._streaming, self._kept, self._draft = context, streaming, kept, draft
        self._resize_contexts(self.plan.tokens)

    def detach(self) -> None:
        """They are not in memory any more."""
        del self._context, self._streaming, self._kept, self._draft

    @property
    def budget(self) -> MemoryBudget:
        """The bytes that are held, item by item."""
        return self.plan.budget

    def hold(self, tokens: int) -> None:
        """Let the context have room for so many tokens. Pools give what it takes, and get what it no longer needs.
        Raises BudgetError where they cannot."""
        rows, held = self._rows_for(max(tokens, self._reserved)), self._context.rows
        if max(tokens, self._reserved) <= held < ROOMY_RATIO * rows:
            rows = held
        if rows != self.plan.tokens or held != rows or self._kept_bytes != self.budget.items.get("kept_contexts", 0):
            self._follow(self._planner, rows)

    def reserve(self, tokens: int) -> None:
        """Let the context have room for at least so many tokens from now on. Raises BudgetError."""
        self._reserved = tokens
        self.hold(self._context.tokens)

    def set_budget(self, settings: Settings) -> None:
        """Hold what another budget has room for. Raises BudgetError where it has too little for the present context."""
        planner = planner_beside(self._sizes, settings, self._planner.draft)
        longest = replace(planner, draft=None).longest
        self._follow(planner, max(min(self._context.rows, longest), self._context.tokens))
        self.longest = longest

    def has_room_for(self, draft: Planner) -> bool:
        """True where a draft model would be loaded now, beside a context as long as this one."""
        planner = planner_beside(self._sizes, self._planner.settings, draft)
        return self.relief.share == 1 and planner.draft is not None and planner.stays_whole(self._context.rows)

    def admit_draft(self, draft: Planner, load: Callable[[], DraftModel]) -> None:
        """Let a draft model have its room: pools give it before it is loaded. Raises BudgetError and what `load` does;
        it has no room then."""
        before, rows = self._planner, self._context.rows
        self._follow(planner_beside(self._sizes, before.settings, draft), rows)
        try:
            self._draft = load()
        except BaseException:
            self._follow(before, rows)
            raise
        self._resize_contexts(rows)

    def dismiss_draft(self) -> None:
        """Let the draft model go: pools get its room."""
        self._follow(self._planner.with_draft(None), self._context.rows)

    def follow_relief(self) -> None:
        """Hold what `relief` leaves."""
        self._follow(self._planner, self._context.rows)

    @property
    def _kept_bytes(self) -> int:
        return self._kept.bytes_aside if self._kept else 0

    def _follow(self, planner: Planner, tokens: int) -> None:
        """Hold what is planned for so many tokens, without the draft model where that leaves too little room. Raises
        BudgetError; nothing has changed then."""
        if planner.draft and not planner.stays_whole(tokens):
            planner = planner.with_draft(None)
        planner.plan(tokens)
        if self._draft and not planner.draft:
            self._draft.close()
            self._draft = None
        self._planner, plan = planner, self._planned(planner, tokens)
        self._apply(plan)

    def _planned(self, planner: Planner, tokens: int) -> MemoryPlan:
        """The plan for so many tokens, beside as many other contexts as there is room for."""
        self.given_bytes = 0
        if self.relief.share < 1:
            smallest, usual = planner.smallest(tokens), planner.plan(tokens).budget.total
            self.given_bytes = int((1 - self.relief.share) * (usual - smallest))
            planner = replace(planner, ceiling=usual - self.given_bytes)
        if self._kept:
            self._kept.limit(planner.plan(tokens).kept_room)
        plan = planner.plan(tokens, self._kept_bytes)
        self.taken_bytes = max(0, _weights(planner.plan(0)) - _weights(plan))
        return plan

    def _resize_contexts(self, rows: int) -> None:
        self._context.resize(rows)
        if self._draft:
            self._draft.resize(rows)
            self._draft.room_share = self._room_share(rows)

    def _room_share(self, rows: int) -> float:
        beside, alone = (self._read_bytes(each, rows) for each in (self._planner, replace(self._planner, draft=None)))
        return 1 - alone / beside if beside else 0.0

    def _read_bytes(self, planner: Planner, rows: int) -> float:
        layers, slots = self._sizes.layers(planner.settings), planner.plan(rows).budget.capacities
        return missed_bytes(zip(layers, uses(layers, slots, planner.settings), strict=True))

    def _rows_for(self, tokens: int) -> int:
        """So many and some more, in whole steps: of a long context, in larger ones."""
        step = max(KVCache.step, 1 << (tokens // GROWTH_DIVISOR).bit_length() >> 1)
        return max(tokens, min(-(-max(1, tokens) // step) * step, self.longest))

    def _apply(self, plan: MemoryPlan) -> None:
        """First all that becomes smaller, then what becomes larger: there is no room for both."""
        before, self.plan = self.plan, plan
        mx.clear_cache()
        pools = zip(before.budget.capacities, plan.budget.capacities, strict=True)
        less = [min(pair) for pair in pools], min(before.workspace.buffer_bytes, plan.workspace.buffer_bytes)
        self._resize_contexts(min(self._context.rows, plan.tokens))
        self._streaming.resize(*less, movable_bytes=before.cache_limit + before.workspace.block_bytes)
        mx.set_cache_limit(plan.cache_limit)
        more = plan.budget.capacities, plan.workspace.buffer_bytes
        self._streaming.resize(*more, movable_bytes=plan.cache_limit + plan.workspace.block_bytes)
        self._resize_contexts(plan.tokens)
        give_back_free_memory()


def _weights(plan: MemoryPlan) -> int:
    """Bytes of weights in memory, in pools or not."""
    return plan.budget.items["resident"] + plan.budget.items["pool"]
