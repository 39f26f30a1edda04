"""The memory that logits take, of a token and of several that one pass verifies."""

from engine.arrays.packed import FEW_VECTORS
from engine.settings import Drafting, Settings

FLOAT_BYTES = 4


def logits_bytes(vocabulary: int, copies: int, settings: Settings) -> int:
    """Bytes of the logits of a pass: of one token so many copies, as sampling makes them, and of each beside it two, as
    they are computed and in float32."""
    others = 0 if settings.drafts is Drafting.NONE else FEW_VECTORS - 1
    return FLOAT_BYTES * vocabulary * (copies + 2 * others)
