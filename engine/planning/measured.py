"""The measurements of a model on this machine: of its answers, from which its next forecast learns, and of what a
smaller context costs.

    models/.measured/KEY.json       of one checkpoint or prepared model, wherever it lies
    models/.measured/KEY.context.json

Those of answers are kept as factors between what was measured and what the cost model says by itself. So the published
hits of experts hold until a model has its own, and what was learned with one budget helps with another.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from math import exp, log
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from engine.flash.profile import DriveProfile
from engine.system.documents import Line, try_read
from engine.system.files import stamp, write_whole
from engine.system.folders import models_folder

MEASURED = ".measured"  # a folder among the models
CONTEXT_SUFFIX = ".context.json"
MIN_TOKENS = 8  # of an answer that says something
MAX_TOKENS = 2_000  # that earlier answers weigh as at most, so that a later one always counts
MAX_FACTOR = 30.0
SETTLED_MISSES, SETTLED_MS = 0.002, 0.02  # below which a share, or a time, is too small to be compared

Factor = Annotated[float, Meta(ge=1 / MAX_FACTOR, le=MAX_FACTOR)]


@dataclass(frozen=True)
class Measured:
    """Factors on a forecast: of the bundles that are read, and of the three parts of a token's time.

    tokens: that they come from. profile: the time at which the drive was measured that they belong to. active_share: of
    the neurons in experts that make some exactly zero, the others; None where that is not known.
    """

    profile: Line = ""
    tokens: Annotated[int, Meta(ge=0, le=MAX_TOKENS)] = 0
    misses: Factor = 1.0
    io: Factor = 1.0
    memory: Factor = 1.0
    compute: Factor = 1.0
    active_share: Annotated[float, Meta(ge=0, le=1)] | None = None

    @classmethod
    def load(cls, folder: Path, profile: DriveProfile | None) -> "Measured":
        """The measurements known of a model, by its folder; nothing where its drive was measured anew since."""
        try:
            found = try_read(_path(folder), cls)
        except OSError:  # a folder that is not there, or may not be entered
            return UNMEASURED
        return found if found and profile and found.profile == profile.measured else UNMEASURED

    def save(self, folder: Path) -> None:
        """Keep it for this model. Raises OSError."""
        _write(_path(folder), asdict(self))

    def joined(self, other: "Measured") -> "Measured":
        """With a later measurement, each weighed by its tokens."""
        tokens = self.tokens + other.tokens
        weight = other.tokens / tokens if tokens else 0.0
        names = ("misses", "io", "memory", "compute")
        factors = {name: _between(getattr(self, name), getattr(other, name), weight) for name in names}
        known = [share for share in (self.active_share, other.active_share) if share is not None]
        active = (1 - weight) * known[0] + weight * known[-1] if known else None
        return Measured(other.profile, min(tokens, MAX_TOKENS), **factors, active_share=active)


UNMEASURED = Measured()


@dataclass(frozen=True)
class ContextLoss:
    """The loss by keys and values in 8 bits. tokens: that were predicted. loss: the share by which perplexity is higher
    than with exact ones. agreement: the share of tokens of which both find the same one the likeliest."""

    tokens: Annotated[int, Meta(ge=1)]
    loss: Annotated[float, Meta(gt=-1, le=1e6)]
    agreement: Annotated[float, Meta(ge=0, le=1)]

    @classmethod
    def load(cls, folder: Path) -> "ContextLoss | None":
        """The loss of a model, by its folder; None where it was not measured."""
        try:
            return try_read(_path(folder, CONTEXT_SUFFIX), cls)
        except OSError:
            return None

    def save(self, folder: Path) -> None:
        """Keep it for this model. Raises OSError."""
        _write(_path(folder, CONTEXT_SUFFIX), asdict(self))


def factor(measured: float, expected: float, smallest: float) -> float:
    """The factor between two quantities, within bounds; 1 where one of them is too small to be compared."""
    if min(measured, expected) < smallest:
        return 1.0
    return min(max(measured / expected, 1 / MAX_FACTOR), MAX_FACTOR)


def _between(one: float, other: float, weight: float) -> float:
    mean = exp((1 - weight) * log(one) + weight * log(other))
    return min(max(mean, 1 / MAX_FACTOR), MAX_FACTOR)


def _path(folder: Path, suffix: str = ".json") -> Path:
    return models_folder() / MEASURED / f"{_key(folder)}{suffix}"


def _write(path: Path, found: dict[str, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(found))


def _key(folder: Path) -> str:
    """The name of a model's content: the Hub's hashes, which links of its cache are called by, else sizes and times.

    Raises OSError.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors"))
    return hashlib.sha256(json.dumps([[path.name, *_state(path)] for path in files]).encode()).hexdigest()[:32]


def _state(path: Path) -> list[object]:
    return [path.readlink().name] if path.is_symlink() else list(stamp(path))
