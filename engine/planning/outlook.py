"""The memory and the time that a prepared model will take here, under any settings, before it is loaded with them.

The memory plan and the cost model, fed with the model's own sizes, its drive's profile, and how its neurons are used.
"""

from dataclasses import dataclass, replace

from engine.errors import BudgetError
from engine.flash.profile import DriveProfile
from engine.memory.budget import MemoryBudget
from engine.planning.cost import Prediction, predict
from engine.planning.memory import Sizes, plan_memory, selected_share
from engine.planning.reuse import Reuse, curve, like_opt
from engine.settings import Settings
from engine.store.fitting import build_prepared
from engine.store.manifest import PreparedModel
from engine.store.reports import LayerReport

WINDOWS = (8, 12, 16, 24, 32)  # tokens: those that are worth proposing
MAX_TIME_SHARE = 0.8  # of a token's time: what a longer window should make of it


@dataclass(frozen=True, eq=False)
class Outlook:
    """reuse: of all layers or of each, where it was measured; else it follows from the measured sparsity.

    Once made, it is only arithmetic: any thread may ask.
    """

    sizes: Sizes
    profile: DriveProfile | None
    reuse: Reuse | list[Reuse] | None = None

    @classmethod
    def of(
        cls, prepared: PreparedModel, profile: DriveProfile | None, reuse: Reuse | list[Reuse] | None = None
    ) -> "Outlook":
        """Of a model that is not loaded."""
        model, args = build_prepared(prepared)
        return cls(Sizes.of(prepared, args, model.layers[0].ffn.activation), profile, reuse)

    def plan(self, settings: Settings) -> MemoryBudget:
        """The plan: bytes held, item by item. Raises BudgetError."""
        return plan_memory(self.sizes, settings).budget

    def smallest_budget(self, settings: Settings) -> int:
        """Bytes below which the model does not load."""
        try:
            return self._with_budget(settings, 1).smallest
        except BudgetError as error:
            return error.smallest

    def full_budget(self, settings: Settings) -> int:
        """Bytes with which every neuron has a row in its pool: decoding then reads each only once."""
        rows = sum(layer.neurons for layer in self.sizes.prepared.bundles.layers)
        low = high = self.smallest_budget(settings)
        while sum(self._with_budget(settings, high).capacities) < rows:
            low, high = high, 2 * high
        while high - low > high // 2000:
            middle = (low + high) // 2
            if sum(self._with_budget(settings, middle).capacities) < rows:
                low = middle
            else:
                high = middle
        return high

    def longer_window(self, settings: Settings) -> tuple[int, int] | None:
        """A window with which a token would take at least a fifth less, and the bytes that the budget lacks for it.

        None where no window does, or nothing can be predicted. Raises BudgetError.
        """
        present = self.predict(settings)
        if present is None:
            return None
        full, ceiling = self.full_budget(settings), self.plan(settings).ceiling
        for window in (w for w in WINDOWS if w > settings.window):
            roomy = replace(settings, window=window, memory_budget=max(full, ceiling))
            better = self.predict(roomy)
            if better and better.total_ms <= MAX_TIME_SHARE * present.total_ms:
                return window, max(0, self._budget_for(roomy, ceiling) - ceiling)
        return None

    def _budget_for(self, roomy: Settings, ceiling: int) -> int:
        """The smallest budget from `ceiling` on that has room for a window."""
        low, high = ceiling, roomy.memory_budget or ceiling
        if self._holds(roomy, low):
            return low
        while high - low > high // 200:
            middle = (low + high) // 2
            low, high = (low, middle) if self._holds(roomy, middle) else (middle, high)
        return high

    def _holds(self, settings: Settings, budget: int) -> bool:
        prediction = self.predict(replace(settings, memory_budget=budget))
        return prediction is not None and prediction.window >= settings.window - 1e-6

    def hit_rate(self, settings: Settings) -> float | None:
        """The share of a token's neurons that is in memory; None where it cannot be predicted."""
        expected = self.predict(settings)
        return expected.hit_rate if expected else None

    def _with_budget(self, settings: Settings, budget: int) -> MemoryBudget:
        return self.plan(replace(settings, memory_budget=budget))

    def predict(self, settings: Settings) -> Prediction | None:
        """The cost of a decoded token; None without a profile, or where all neurons are read. Raises BudgetError."""
        if self.profile is None or settings.selection == "dense":
            return None
        prepared, plan = self.sizes.prepared, plan_memory(self.sizes, settings)
        items = plan.budget.items
        return predict(
            prepared.config,
            self.profile,
            plan.budget.ceiling,
            settings.window,
            reuse=self.reuse or [_reuse(report, settings.selection) for report in prepared.layer_reports],
            dtype=prepared.manifest.dtype,
            compute_dtype=str(plan.dtype).split(".")[-1],
            context=plan.context,
            predictor_bytes=items.get("predictors", 0) + items.get("exact_selection", 0),
            fixed=plan.budget.total - items["neuron_pool"],
            bundling=settings.bundling,
            hot_neurons=settings.hot_neurons,
            early_reads=settings.early_reads,
        )


def _reuse(report: LayerReport, selection: str) -> Reuse:
    """The reuse of a layer's neurons, as measured while preparing; false positives like the others."""
    selected, use = selected_share(report, selection), report.use
    if use is None:
        return like_opt(selected)
    return curve(1 - report.sparsity, use.resident, use.loaded, use.window).scaled(selected)
