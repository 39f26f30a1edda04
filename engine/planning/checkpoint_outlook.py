"""The outlook of a checkpoint that is run as it is: memory and speed here, under any settings."""

from dataclasses import dataclass, replace

import mlx.core as mx
from mlx.nn.layers.base import Module

from engine.errors import BudgetError
from engine.flash.profile import DriveProfile
from engine.memory.budget import MemoryBudget
from engine.models.checkpoint import load_lazily
from engine.planning.checkpoint import CheckpointSizes
from engine.planning.cost import Prediction
from engine.planning.expert_cost import ExpertLayer, ModelCost, expected_hits, predict_experts
from engine.settings import Settings
from engine.store.mlx_folder import MlxFolder
from engine.streaming.install import find_experts

PRECISION = 2000  # the full budget is told to this share of it


def compute_as_here(network: Module) -> None:
    """Let an unevaluated model compute in what this machine computes best: the CPU's products are exact and fast in
    float32 alone."""
    if not mx.metal.is_available():
        network.set_dtype(mx.float32)


@dataclass(frozen=True, eq=False)
class CheckpointOutlook:
    """As `Outlook` is for a prepared model. Once made, it is only arithmetic: any thread may ask."""

    sizes: CheckpointSizes
    profile: DriveProfile | None

    @classmethod
    def of(cls, checkpoint: MlxFolder, profile: DriveProfile | None) -> "CheckpointOutlook":
        """Of a checkpoint that is not loaded. Raises CheckpointError."""
        lazy = load_lazily(checkpoint.folder)
        experts = find_experts(lazy, checkpoint.tensors)
        compute_as_here(lazy.network)
        return cls(CheckpointSizes.of(lazy.network, lazy.config, experts, checkpoint.bytes), profile)

    def plan(self, settings: Settings) -> MemoryBudget:
        """The plan: bytes held, item by item. Raises BudgetError."""
        return self.sizes.plan(settings).budget

    def smallest_budget(self, settings: Settings) -> int:
        """Bytes below which the model does not load."""
        try:
            return self._with_budget(settings, 1).smallest
        except BudgetError as error:
            return error.smallest

    def full_budget(self, settings: Settings) -> int:
        """Bytes with which every expert has a slot: decoding then reads each only once."""
        slots = sum(expert.layout.bundles for expert in self.sizes.experts)
        low = high = self.smallest_budget(settings)
        while sum(self._with_budget(settings, high).capacities) < slots:
            low, high = high, 2 * high
        while high - low > high // PRECISION:
            middle = (low + high) // 2
            enough = sum(self._with_budget(settings, middle).capacities) >= slots
            low, high = (low, middle) if enough else (middle, high)
        return high

    def longer_window(self, settings: Settings) -> tuple[int, int] | None:  # noqa: ARG002
        """None: beyond the window the most used experts stay, so that no other window is worth more."""
        return None

    def predict(self, settings: Settings) -> Prediction | None:
        """The cost of a decoded token; None without a profile. Raises BudgetError."""
        if self.profile is None:
            return None
        plan = self.plan(settings)
        fixed = plan.total - plan.items["neuron_pool"]
        return predict_experts(self._cost, self.profile, plan.capacities, plan.ceiling, fixed, settings.window)

    def hit_rate(self, settings: Settings) -> float:
        """The share of a token's experts that is in memory, as was published for such models; no drive is asked."""
        return expected_hits(self._cost.layers, self.plan(settings).capacities)

    def _with_budget(self, settings: Settings, budget: int) -> MemoryBudget:
        return self.plan(replace(settings, memory_budget=budget))

    @property
    def _cost(self) -> ModelCost:
        layers = [
            ExpertLayer(e.layout.bundles, e.layout.bundle_bytes, len(e.layout.tensors), min(e.chosen, e.layout.bundles))
            for e in self.sizes.experts
        ]
        packed = any(name.endswith(".scales") for expert in self.sizes.experts for name in expert.layout.tensors)
        return ModelCost(layers, self.sizes.resident - self.sizes.looked_up, packed or not layers)
