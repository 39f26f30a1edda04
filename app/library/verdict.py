"""What would become of a model on this machine, told before it is downloaded. An estimate: nothing of it is here yet.

Of a transformer's weights about two thirds are FFN (paper, section 2.1), and of those only active neurons need memory.
"""

from dataclasses import dataclass
from enum import Enum, auto

FFN_SHARE = 0.64
PREDICTOR_SHARE = 0.03  # of all weights
SPARE = 1.5  # room for this many times a token's active neurons
ROOM = 1.15  # caches and buffers on top of weights
USUAL_SPARSITY = 0.9  # where nobody has measured it
MOST = 0.75  # of the machine's memory


class Kind(Enum):
    """What a machine can do with a model."""

    IN_MEMORY = auto()
    STREAMS = auto()
    TOO_LARGE = auto()
    UNSUPPORTED = auto()


@dataclass(frozen=True)
class Verdict:
    """needed_bytes: the least memory that would do, as estimated."""

    kind: Kind
    needed_bytes: int


def weight_bytes(entry: dict) -> int:
    """Size of a catalogue entry's weights: as published, else two bytes a parameter."""
    return entry.get("bytes") or 2 * entry.get("parameters", 0)


def judge(size: int, sparsity: float | None, available: int, total: int, supported: bool = True) -> Verdict:
    """size: bytes of weights. available, total: bytes of the machine's memory, free now and altogether."""
    active = 1 - (USUAL_SPARSITY if sparsity is None else sparsity)
    kept = (1 - FFN_SHARE) + PREDICTOR_SHARE + min(1.0, SPARE * active) * FFN_SHARE
    needed = round(size * kept * ROOM)
    if not supported:
        return Verdict(Kind.UNSUPPORTED, needed)
    if size * ROOM <= available:
        return Verdict(Kind.IN_MEMORY, needed)
    return Verdict(Kind.STREAMS if needed <= MOST * total else Kind.TOO_LARGE, needed)
