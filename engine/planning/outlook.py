"""The memory and the time that a model will take here, under any settings, before it is loaded with them.

The memory plan and the cost model, fed with the model's own sizes, its drive's profile, and how its bundles are used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from engine.errors import BudgetError
from engine.flash.profile import DriveProfile
from engine.memory.budget import MemoryBudget
from engine.planning.checkpoint import CheckpointSizes
from engine.planning.cost import ModelCost, Prediction, predict
from engine.planning.draft_room import planner_beside
from engine.planning.layers import expected_hits, uses
from engine.planning.measured import MAX_TOKENS, MIN_TOKENS, SETTLED_MISSES, SETTLED_MS, UNMEASURED, Measured, factor
from engine.planning.memory import FORECAST_TOKENS, USUAL_CONTEXT, Planner, Sizes, longest_context
from engine.planning.prepared import PreparedSizes
from engine.settings import Settings
from engine.store.manifest import PreparedModel
from engine.store.mlx_folder import MlxFolder

WINDOWS = (8, 12, 16, 24, 32)  # tokens: those that are worth proposing
MAX_TIME_SHARE = 0.8  # of a token's time: what a longer window should make of it
FULL_PRECISION, WINDOW_PRECISION = 2000, 200  # budgets are told to one part in so many


@dataclass(frozen=True, eq=False)
class Outlook:
    """Once made, it is only arithmetic: any thread may ask. profile: of the drive, None where it was not measured.
    measured: of the model's answers here so far. draft: of the draft model beside it, None for none."""

    sizes: Sizes
    profile: DriveProfile | None
    measured: Measured = UNMEASURED
    draft: Planner | None = None

    @classmethod
    def of(cls, stored: PreparedModel | MlxFolder, profile: DriveProfile | None) -> "Outlook":
        """Of a model that is not loaded. Raises CheckpointError."""
        sizes: Sizes
        sizes = PreparedSizes.of(stored) if isinstance(stored, PreparedModel) else CheckpointSizes.of(stored)
        return cls(sizes, profile, Measured.load(stored.folder, profile))

    def plan(self, settings: Settings, tokens: int = 0) -> MemoryBudget:
        """The plan: bytes held, item by item, while the context has room for so many tokens, or for what it is loaded
        with. Raises BudgetError."""
        return self._planner(settings).plan(tokens).budget

    def longest_context(self, settings: Settings) -> int:
        """Tokens of the longest context that the budget holds. Raises BudgetError."""
        return longest_context(self.sizes, settings)

    @property
    def can_keep_small(self) -> bool:
        """True where keys and values can be kept in 8 bits."""
        return self.context_bytes(Settings(small_context=True)) != self.context_bytes(Settings())

    def context_bytes(self, settings: Settings, tokens: int = FORECAST_TOKENS) -> int:
        """Bytes of what is remembered of so many tokens."""
        return self.sizes.shape(settings).context_bytes(tokens)

    def smallest_budget(self, settings: Settings) -> int:
        """Bytes below which the model does not load."""
        try:
            return self._with_budget(settings, 1).smallest
        except BudgetError as error:
            return error.smallest

    def full_budget(self, settings: Settings) -> int:
        """Bytes with which every bundle has a slot in its pool beside a usual context, and beside the draft model
        where there is one: decoding then reads each only once."""
        slots = sum(layer.bundles.count for layer in self.sizes.layers(settings))
        draft = self.draft if settings.wants_draft_model else None

        def holds_all(budget: int) -> bool:
            try:
                planner = Planner.of(self.sizes, replace(settings, memory_budget=budget), draft)
                beside = planner.plan(planner.at_most(settings.context or USUAL_CONTEXT))
            except BudgetError:  # of a draft model there is no room for
                return False
            return sum(beside.budget.capacities) >= slots

        low = high = self.smallest_budget(settings)
        while not holds_all(high):
            low, high = high, 2 * high
        return _smallest(holds_all, low, high, FULL_PRECISION)

    def longer_window(self, settings: Settings) -> tuple[int, int] | None:
        """A window with which a token would take at least a fifth less, and the bytes that the budget lacks for it.

        None where no window does, where bundles stay that are used most whatever the window is, as experts do, or where
        nothing can be predicted. Raises BudgetError.
        """
        present = self.predict(settings)
        if present is None or not self.sizes.shape(settings).streams_neurons:
            return None
        full, ceiling = self.full_budget(settings), self._ceiling(settings)
        for window in (w for w in WINDOWS if w > settings.window):
            roomy = replace(settings, window=window, memory_budget=max(full, ceiling))
            better = self.predict(roomy)
            if better and better.total_ms <= MAX_TIME_SHARE * present.total_ms:
                return window, max(0, self._budget_for(roomy, ceiling) - ceiling)
        return None

    def hit_rate(self, settings: Settings) -> float:
        """The share of a token's bundles that is in memory; no drive is asked. Raises BudgetError."""
        layers = self.sizes.layers(settings)
        return expected_hits(layers, uses(layers, self._forecast(settings).capacities, settings))

    def predict(self, settings: Settings) -> Prediction | None:
        """The cost of a decoded token of a conversation of FORECAST_TOKENS, or of what the budget holds; None without a
        profile, or where all neurons are read. Raises BudgetError."""
        if self.profile is None or (settings.selection.streams_all and self.sizes.shape(settings).streams_neurons):
            return None
        plan, sizes = self._forecast(settings), self.sizes
        selectors = sum(sizes.selector_bytes(settings).values())
        model = ModelCost(sizes.shape(settings), sizes.layers(settings), selectors)
        fixed = plan.total - plan.items["pool"]
        measured = self.measured if self.measured.profile == self.profile.measured else UNMEASURED
        return predict(model, self.profile, plan.capacities, settings, self._ceiling(settings), fixed, measured)

    def after(self, settings: Settings, per_token: Mapping[str, float], tokens: int) -> "Outlook":
        """The outlook once an answer was measured. settings: that it was written with. per_token: its means, as
        `engine.statistics` has them, over so many tokens. Raises BudgetError."""
        expected = replace(self, measured=UNMEASURED).predict(settings)
        if expected is None or self.profile is None or tokens < MIN_TOKENS or not per_token:
            return self
        misses = factor(1 - per_token["hit_rate"], 1 - expected.hit_rate, SETTLED_MISSES)
        read = replace(self, measured=Measured(self.profile.measured, misses=misses)).predict(settings) or expected
        found = Measured(
            self.profile.measured,
            min(tokens, MAX_TOKENS),
            misses,
            io=factor(per_token["io_ms"], read.io_ms, SETTLED_MS),
            memory=factor(per_token["memory_ms"], read.memory_ms, SETTLED_MS),
            compute=factor(per_token["compute_ms"], read.compute_ms, SETTLED_MS),
            active_share=per_token.get("active_share"),
        )
        before = self.measured if self.measured.profile == found.profile else UNMEASURED
        return replace(self, measured=before.joined(found))

    def _budget_for(self, roomy: Settings, ceiling: int) -> int:
        """The smallest budget from `ceiling` on that has room for a window."""
        if self._holds(roomy, ceiling):
            return ceiling
        return _smallest(partial(self._holds, roomy), ceiling, roomy.memory_budget or ceiling, WINDOW_PRECISION)

    def _holds(self, settings: Settings, budget: int) -> bool:
        prediction = self.predict(replace(settings, memory_budget=budget))
        return prediction is not None and prediction.window >= settings.window - 1e-6

    def _forecast(self, settings: Settings) -> MemoryBudget:
        """The plan while a conversation of usual length is in the context, or one that fills it: then pools have no
        more than they need."""
        planner = self._planner(settings)
        tokens = planner.at_most(FORECAST_TOKENS)
        if tokens < min(FORECAST_TOKENS, planner.most):
            return replace(planner, ceiling=planner.smallest(tokens)).plan(tokens).budget
        return planner.plan(tokens).budget

    def _planner(self, settings: Settings) -> Planner:
        return planner_beside(self.sizes, settings, self.draft)

    def _ceiling(self, settings: Settings) -> int:
        return settings.memory_budget or self._planner(settings).ceiling

    def _with_budget(self, settings: Settings, budget: int) -> MemoryBudget:
        return self.plan(replace(settings, memory_budget=budget))


def _smallest(holds: Callable[[int], bool], low: int, high: int, precision: int) -> int:
    """The smallest budget that holds, to one part in `precision`. low: one that does not; high: one that does."""
    while high - low > high // precision:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
