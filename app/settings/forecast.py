"""The memory and speed that settings would bring, from the engine's outlook on the loaded model. No widgets."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from app.host.engine_host import ModelInfo
from app.host.engine_protocol import Outlook
from engine.planning.cost import Prediction
from engine.settings import Settings

CURVE_POINTS = 25  # of the budget's curve
FINE_WINDOWS, COARSE_STEP = 8, 4  # tokens: every window is on its curve up to there, then one in so many


@dataclass(frozen=True)
class Forecast:
    """Of one model, for settings that may be other than those it was loaded with. `most`: bytes a budget may be."""

    model: ModelInfo
    settings: Settings
    most: int

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest budget that works, and the largest that makes sense here, in bytes."""
        smallest, full = _range(self.model.outlook, replace(self.settings, memory_budget=None, window=1))
        return smallest, max(min(full, self.most), smallest + 1)

    @property
    def planned(self) -> Mapping[str, float]:
        """Bytes by item. Raises BudgetError."""
        return self.model.outlook.plan(self.settings).items

    @property
    def longest_context(self) -> int:
        """Tokens of the longest conversation that there is room for. Raises BudgetError."""
        return _longest(self.model.outlook, self.settings)

    @property
    def holds_everything(self) -> bool:
        """True if the neuron pool has room for every neuron. False for a budget that is too small."""
        if self.settings.memory_budget is not None and self.settings.memory_budget < self.limits[0]:
            return False
        return self.planned.get("pool", 0) >= self.model.flash_bytes

    @property
    def budget(self) -> int:
        """Bytes: what was chosen, or what the engine would choose."""
        if self.settings.memory_budget is not None:
            return self.settings.memory_budget
        return round(sum(self.planned.values()))

    @property
    def prediction(self) -> Prediction | None:
        """None where there is nothing to predict from, and for a budget that is too small."""
        smallest, _ = self.limits
        if self.settings.memory_budget is not None and self.settings.memory_budget < smallest:
            return None
        return _predict(self.model.outlook, self.settings)

    def by_budget(self) -> list[tuple[float, Prediction]]:
        """Predictions from the smallest budget to the largest, with their shares of the way."""
        smallest, largest = self.limits
        shares = [i / (CURVE_POINTS - 1) for i in range(CURVE_POINTS)]
        budgets = [smallest + round(share * (largest - smallest)) for share in shares]
        return self._curve(shares, [replace(self.settings, memory_budget=budget) for budget in budgets])

    def by_window(self, shortest: int, longest: int) -> list[tuple[float, Prediction]]:
        windows = [w for w in range(shortest, longest + 1) if w <= FINE_WINDOWS or (longest - w) % COARSE_STEP == 0]
        shares = [(window - shortest) / (longest - shortest) for window in windows]
        return self._curve(shares, [replace(self.settings, window=window) for window in windows])

    def _curve(self, shares: list[float], settings: list[Settings]) -> list[tuple[float, Prediction]]:
        if self.prediction is None:
            return []
        predictions = [_predict(self.model.outlook, chosen) for chosen in settings]
        return [(share, found) for share, found in zip(shares, predictions, strict=True) if found]


@lru_cache(maxsize=16)
def _range(outlook: Outlook, settings: Settings) -> tuple[int, int]:
    return outlook.smallest_budget(settings), outlook.full_budget(settings)


@lru_cache(maxsize=256)
def _longest(outlook: Outlook, settings: Settings) -> int:
    return outlook.longest_context(settings)


@lru_cache(maxsize=2048)  # a slider comes by the same places again
def _predict(outlook: Outlook, settings: Settings) -> Prediction | None:
    return outlook.predict(settings)
