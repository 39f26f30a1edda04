"""The verdict on a model: what this machine can do with it, told before it is downloaded."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from engine.planning.estimate import Estimate

MEMORY_FACTOR = 1.15  # of the bytes of weights: with caches
MAX_MEMORY_SHARE = 0.75  # of the machine's memory


class Kind(Enum):
    """The manner in which a machine runs a model, if it does."""

    IN_MEMORY = auto()
    STREAMS = auto()
    TOO_LARGE = auto()
    UNSUPPORTED = auto()


RUNNING_KINDS = (Kind.IN_MEMORY, Kind.STREAMS)


@dataclass(frozen=True)
class Verdict:
    """needed_bytes: the least memory that would do. budget: bytes, the one that the speed is for. tokens_per_second:
    None where the drive was not measured. crowded: more than what is needed is not free at present."""

    kind: Kind
    needed_bytes: int
    budget: int = 0
    tokens_per_second: float | None = None
    crowded: bool = False


def weight_bytes(entry: dict[str, Any]) -> int:
    """Size of a catalogue entry's weights: as published, else as it is estimated, or two bytes a parameter."""
    return int(entry.get("bytes") or entry.get("download_bytes") or 2 * entry.get("parameters", 0))


def judge(size: int, estimate: Estimate, available: int, total: int, supported: bool = True) -> Verdict:
    """size: bytes of weights. available, total: bytes of the machine's memory, free now and altogether."""
    needed = estimate.smallest
    if not supported:
        return Verdict(Kind.UNSUPPORTED, needed)
    if size * MEMORY_FACTOR <= available:
        return Verdict(Kind.IN_MEMORY, needed, estimate.budget, estimate.tokens_per_second)
    if needed > MAX_MEMORY_SHARE * total:
        return Verdict(Kind.TOO_LARGE, needed)
    return Verdict(Kind.STREAMS, needed, estimate.budget, estimate.tokens_per_second, crowded=needed > available)
