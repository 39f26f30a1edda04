"""The cost model: a token's latency = flash I/O + memory management + compute (paper, section 3).

Everything comes from a Hugging Face config, a drive's profile and how neurons are used again, so it answers before
anything is downloaded: what fits, what streams, and how fast.
"""

from dataclasses import dataclass
from typing import Any

from engine.errors import CheckpointError
from engine.flash.profile import DriveProfile, pool_key
from engine.memory.budget import SHARE_WITHOUT_BUDGET
from engine.memory.pool import ROW_BOOKKEEPING
from engine.planning.reuse import OPT, SEEN_TOKENS, Reuse
from engine.planning.shape import ModelShape

PREDICTOR_SHARE = 0.024  # of the weights, where the predictors' size is not known (paper, B.3)
WORKSPACE = 96_000_000  # bytes: stream buffers, activations, what MLX keeps, reader threads


@dataclass(frozen=True)
class Prediction:
    """A decoded token's predicted cost. The three parts sum to total_ms, unless they overlap.

    window: tokens that really fit, at most what was asked for. budget: bytes, the ceiling assumed. dram_bytes: held
    in memory, of which pool_bytes are neuron pools in use. bytes_read, reads: from flash, for one token. hit_rate:
    share of a token's neurons that are in memory. fits: whether the budget holds what must be resident and one token's
    neurons.
    """

    fits: bool
    budget: int
    window: float
    dram_bytes: int
    pool_bytes: int
    bytes_read: float
    reads: float
    hit_rate: float
    io_ms: float
    memory_ms: float
    compute_ms: float

    @property
    def total_ms(self) -> float:
        """Milliseconds of a token."""
        return self.io_ms + self.memory_ms + self.compute_ms

    @property
    def tokens_per_second(self) -> float:
        """Tokens a second."""
        return 1000 / self.total_ms


def predict(
    config: dict[str, Any],
    profile: DriveProfile,
    budget: int | None,
    window: int,
    *,
    reuse: Reuse | list[Reuse] = OPT,
    dtype: str | None = None,
    compute_dtype: str | None = None,
    context: int | None = None,
    predictor_bytes: int | None = None,
    workspace: int = WORKSPACE,
    fixed: int | None = None,
    run: float = 1.0,
    bundling: bool = True,
    hot_neurons: bool = True,
    early_reads: bool = True,
) -> Prediction:
    """The cost of a decoded token.

    config: a Hugging Face config.json, parsed. budget: bytes of memory for everything, None for half of the FFN beside
    what must be resident. window: tokens. fixed: bytes of all but the neuron pools, where they are known. reuse: how
    the layers' neurons are used again, one for all or one a layer. run: mean number of bundles that one read brings.
    bundling, hot_neurons, early_reads: as in the engine's settings.
    Raises CheckpointError for a config that makes no model, or one whose neurons are not streamed.
    """
    shape = ModelShape.from_config(config, dtype, compute_dtype)
    if not shape.streams_neurons:
        raise CheckpointError("How fast this model would be is not known: it streams no neurons.")
    layers = reuse if isinstance(reuse, list) else [reuse] * shape.layers
    predictors = int(PREDICTOR_SHARE * shape.model_bytes) if predictor_bytes is None else predictor_bytes
    if fixed is None:
        fixed = shape.resident_bytes + predictors + shape.context_bytes(context or shape.context) + workspace
    row = shape.row_bytes + ROW_BOOKKEEPING
    if budget is None:
        budget = fixed + int(SHARE_WITHOUT_BUDGET * shape.layers * shape.neurons * row)
    room = max(0, budget - fixed) / (shape.layers * shape.neurons * row)  # share of all neurons that has a row
    busy = sum(r.selected for r in layers) / len(layers)
    shares = [min(1.0, room * r.selected / busy) for r in layers]  # busier layers have more rows
    windows = [r.window_of(share, float(window)) for r, share in zip(layers, shares, strict=True)]
    held = [max(r.selected, r.aggregated(w)) for r, w in zip(layers, windows, strict=True)]
    kept = [0.0] * len(layers)  # beside the window's
    if hot_neurons:
        full = [min(share, r.aggregated(SEEN_TOKENS)) for r, share in zip(layers, shares, strict=True)]
        kept = [max(0.0, f - r.aggregated(w)) for f, r, w in zip(full, layers, windows, strict=True)]
        held = [max(h, f) for h, f in zip(held, full, strict=True)]
    loaded = sum(r.loaded(w, k) for r, w, k in zip(layers, windows, kept, strict=True)) * shape.neurons
    used = sum(held) * shape.neurons
    selected = busy * shape.layers * shape.neurons
    reads = loaded / run if bundling else loaded * shape.parts
    io = profile.seconds(reads, loaded * shape.row_bytes / max(reads, 1), shape.layers)
    cpu = profile.processor
    head = shape.head_bytes
    if shape.parallel and early_reads:  # what attention hides is no wait
        io = max(0.0, io - shape.attention_bytes / cpu.resident_bytes_per_s[shape.compute_dtype])
    compute = (
        (shape.attention_bytes + head + predictors) / cpu.resident_bytes_per_s[shape.compute_dtype]
        + used * shape.row_bytes / cpu.pool_bytes_per_s[pool_key(shape.dtype, shape.compute_dtype)]
        + shape.layers * cpu.layer_s
        + cpu.token_s
    )
    memory = shape.layers * cpu.bookkeeping_s + used * cpu.bookkeeping_row_s
    return Prediction(
        fits=room > 0 and all(share >= r.selected for share, r in zip(shares, layers, strict=True)),
        budget=budget,
        window=sum(windows) / len(windows),
        dram_bytes=int(fixed + used * row),
        pool_bytes=int(used * row),
        bytes_read=loaded * shape.row_bytes,
        reads=reads,
        hit_rate=1 - loaded / selected,
        io_ms=1e3 * io,
        memory_ms=1e3 * memory,
        compute_ms=1e3 * compute,
    )
