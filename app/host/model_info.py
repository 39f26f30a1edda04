"""A loaded model, as the window shows it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from app.host.engine_protocol import Model, Outlook
from engine.planning.measured import ContextLoss
from engine.settings import OUR_SAMPLING, Settings
from engine.system.footprint import footprint

if TYPE_CHECKING:
    from engine.inference.draft_choice import Candidate


@dataclass(frozen=True)
class ModelInfo:
    """Sizes in bytes, context in tokens; `planned` by the budget's items. settings: those that it was loaded with.

    filled_bytes: of pools, that were read while it was loaded.
    given_bytes: by which the pools are smaller for now, for a system short of memory; taken_bytes: since the chat has
    grown.
    loss: the share by which perplexity is higher than with exact selection; None where it was not measured. outlook:
    the engine's, on what other settings would bring. drive_folder: on the drive that the model is read from.
    longer_window: one in tokens that would be worth it, and the bytes that the budget lacks for it. threads: that the
    drive's profile advised when the model was loaded; None where it was not measured. sampling: where nothing was
    chosen, by option; advised: those options whose values are the makers'. reasoning_controls: options that the model's
    chat template knows. streams: the kind of bundle that comes from flash, neuron or expert; empty where all weights
    are resident. context_loss: what keeping the context in 8 bits costs; None where it was not measured. draft_models:
    looks for those on this computer that could draft for it, which takes a while; any thread may call it.
    """

    name: str
    model_bytes: int
    context: int
    planned: dict[str, float]
    footprint_bytes: int
    outlook: Outlook
    settings: Settings = field(default_factory=Settings)
    flash_bytes: int = 0
    filled_bytes: float = 0
    smallest_budget: int = 0
    loss: float | None = None
    given_bytes: float = 0
    taken_bytes: float = 0
    longer_window: tuple[int, int] | None = None
    drive_folder: Path | None = None
    threads: int | None = None
    sampling: Mapping[str, float] = field(default_factory=dict)
    advised: frozenset[str] = frozenset()
    reasoning_controls: frozenset[str] = frozenset()
    streams: str = "neuron"
    context_loss: ContextLoss | None = None
    draft_models: Callable[[], "Sequence[Candidate]"] = tuple

    @classmethod
    def of(cls, model: Model) -> "ModelInfo":
        """Of a model that was just loaded; on the engine's thread."""
        return cls(
            name=model.name,
            model_bytes=model.model_bytes,
            context=model.context,
            planned=dict(model.budget.items),
            footprint_bytes=footprint(),
            settings=model.settings,
            flash_bytes=model.flash_bytes,
            filled_bytes=_filled(model),
            smallest_budget=model.outlook.smallest_budget(model.settings),
            loss=model.measured_loss,
            outlook=model.outlook,
            longer_window=model.outlook.longer_window(model.settings),
            drive_folder=model.drive_folder,
            threads=_advised(model.outlook),
            sampling={name: getattr(model.advised_sampling, name) for name in OUR_SAMPLING},
            advised=model.advised_sampling.advised,
            reasoning_controls=model.reasoning_controls,
            streams=model.streams,
            context_loss=model.context_loss,
            draft_models=model.draft_models,
        )

    @property
    def planned_bytes(self) -> float:
        """All items together."""
        return sum(self.planned.values())

    @property
    def on_flash_bytes(self) -> float:
        """Weights that have no room in memory and stay on flash, of the model's files; 0 if all have room."""
        return max(0, self.flash_bytes - self.planned.get("pool", 0))

    @property
    def advice_changed(self) -> bool:
        """True if the drive was measured since loading, and is best read by another number of threads."""
        return self.threads != _advised(self.outlook)

    @property
    def selection(self) -> str:
        """The way a token's neurons are chosen."""
        return self.settings.selection

    @property
    def window(self) -> int:
        """Tokens for which a neuron stays."""
        return self.settings.window

    @property
    def memory_budget(self) -> int | None:
        """Bytes, or None where nothing was chosen."""
        return self.settings.memory_budget


def _filled(model: Model) -> float:
    """Bytes of pools that are read at once, which all are where they have room for everything."""
    pool = model.budget.items.get("pool", 0)
    return pool if model.settings.read_at_once and pool >= model.flash_bytes else 0


def _advised(outlook: Outlook) -> int | None:
    return outlook.profile.threads if outlook.profile else None
