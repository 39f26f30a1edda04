"""The engine's thread tells the host one of these. Each belongs to a job; those that end one say so."""

from dataclasses import dataclass

from app.host.engine_protocol import Outlook
from app.host.model_info import ModelInfo
from engine.statistics import Summary

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
class GaveBack:
    """The loaded model holds less from now on: bytes by item."""

    planned: dict[str, float]


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


Event = Loaded | Preparing | Reading | GaveBack | Answered | Proving | Proved | Failed
PROGRESS_EVENTS = (Preparing, Reading, GaveBack, Proving)  # those that end nothing
