"""The engine's thread tells the host one of these. Each belongs to a job; those that end one say so."""

from dataclasses import dataclass

from app.host.engine_protocol import Model, Outlook
from app.host.model_info import ModelInfo
from engine.settings import Settings
from engine.statistics import PromptProgress, Summary

# Why an answer did not begin: the model's chat template fails, which the plain format needs not; or it cannot take the
# question, for instance since that is too long.
TEMPLATE, PROMPT = "template", "prompt"


@dataclass(frozen=True)
class Loaded:
    """A model is in memory."""

    model: ModelInfo


@dataclass(frozen=True)
class Preparing:
    """The share that is done of what is made of a model when it is first wanted."""

    share: float


@dataclass(frozen=True)
class Reading:
    """The share that is read of a model that has room in memory."""

    share: float


@dataclass(frozen=True)
class MemoryChanged:
    """The loaded model holds other amounts from now on: bytes by item. context: the most tokens that there is room for.
    given_bytes: by which it holds less, for a system that is short of memory. streams: the kind of bundle that comes
    from flash now; empty for none. taken_bytes: of weights, that the chat has taken since it was short."""

    planned: dict[str, float]
    context: int
    settings: Settings
    given_bytes: int
    streams: str
    taken_bytes: int

    @classmethod
    def of(cls, model: Model) -> "MemoryChanged":
        """Of a loaded model, on the engine's thread."""
        return cls(dict(model.budget.items), model.context, model.settings, model.given_bytes, model.streams,
                   model.taken_bytes)  # fmt: skip


@dataclass(frozen=True)
class BudgetRefused:
    """The loaded model cannot do with the memory budget that was chosen, and goes on as before."""

    message: str


@dataclass(frozen=True)
class Prefilling:
    """The part that is done of a prompt that takes long."""

    progress: PromptProgress


@dataclass(frozen=True)
class Answered:
    """An answer has ended. outlook: what it has taught of the next ones."""

    summary: Summary
    outlook: Outlook


@dataclass(frozen=True)
class Proving:
    """The share of a proof that is done, and the selection that runs."""

    share: float
    selection: str


@dataclass(frozen=True)
class Proved:
    """A proof has ended."""

    proof: object  # engine.inference.proof.Proof, which takes MLX to import


@dataclass(frozen=True)
class Failed:
    """A job has ended without what it was for. details: of a mistake of ours; both empty where it was cancelled.

    refused: why an answer did not begin, TEMPLATE or PROMPT; empty for other reasons.
    """

    message: str
    details: str = ""
    refused: str = ""


Event = Loaded | Preparing | Reading | MemoryChanged | Prefilling | Answered | Proving | Proved | Failed | BudgetRefused
PROGRESS_EVENTS = (Preparing, Reading, Prefilling, Proving)  # those that end nothing
MEMORY_EVENTS = (MemoryChanged, BudgetRefused)  # those that belong to no job: they may come at any time
