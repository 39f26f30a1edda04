"""The cost model: a token's latency = flash I/O + memory management + compute (paper, section 3).

Everything comes from a model's shape, a drive's profile and how bundles are used again, so it answers before anything
is downloaded: what fits, what streams, and how fast.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from engine.flash.profile import DriveProfile, pool_key
from engine.memory.pool import ROW_BOOKKEEPING
from engine.planning.layers import StreamedLayer, TokenUse, expected_hits, missed_bytes, uses
from engine.planning.measured import UNMEASURED, Measured
from engine.planning.shape import ModelShape
from engine.settings import Settings

USUAL_DTYPE = "bfloat16"  # of a checkpoint's weights that are not packed


@dataclass(frozen=True)
class Prediction:
    """A decoded token's predicted cost. The three parts sum to total_ms, unless they overlap.

    window: tokens that really fit, at most what was asked for. budget: bytes, the ceiling assumed. dram_bytes: held
    in memory, of which pool_bytes are pools in use. bytes_read, reads: from flash, for one token. hit_rate: share of a
    token's bundles that are in memory. fits: whether the budget holds what must be resident and one token's bundles.
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


@dataclass(frozen=True)
class ModelCost:
    """The sizes that a model's speed depends on. selector_bytes: of what says which bundles a token needs, where that
    is no part of the model."""

    shape: ModelShape
    layers: Sequence[StreamedLayer]
    selector_bytes: int = 0


def predict(
    model: ModelCost,
    profile: DriveProfile,
    slots: Sequence[float],
    settings: Settings,
    budget: int,
    fixed: int,
    measured: Measured = UNMEASURED,
) -> Prediction:
    """The cost of a decoded token. slots: of each layer's pool. budget, fixed: bytes, of all and of all but pools.
    measured: of the model's answers so far."""
    used = [_as_measured(use, measured) for use in uses(model.layers, slots, settings)]
    of_layers = list(zip(model.layers, used, strict=True))
    swept, asked = (_Reads.of(pair for pair in of_layers if _swept(pair[0]) is sweeps) for sweeps in (True, False))
    computed = measured.compute * _compute_s(model, profile, used)
    sweep = measured.io * profile.seconds(swept.count, swept.size)  # all the time beside computing
    io = max(0.0, sweep - computed) + measured.io * _io_s(model.shape, profile, asked, settings)
    held = int(sum(use.held * (layer.bundles.bytes + ROW_BOOKKEEPING) for layer, use in of_layers))
    return Prediction(
        fits=all(room >= use.needed for room, use in zip(slots, used, strict=True)),
        budget=budget,
        window=sum(use.window for use in used) / len(used) if used else float(settings.window),
        dram_bytes=fixed + held,
        pool_bytes=held,
        bytes_read=swept.bytes + asked.bytes,
        reads=swept.count + asked.count,
        hit_rate=expected_hits(model.layers, used),
        io_ms=1e3 * io,
        memory_ms=1e3 * measured.memory * _memory_s(model.shape, profile, used),
        compute_ms=1e3 * computed,
    )


def _as_measured(use: TokenUse, measured: Measured) -> TokenUse:
    return replace(use, missed=min(use.needed, measured.misses * use.missed))


@dataclass(frozen=True)
class _Reads:
    """Reads for a token, and their bytes. layers: that wait for them one after the other."""

    count: float
    bytes: float
    layers: int

    @classmethod
    def of(cls, used: Iterable[tuple[StreamedLayer, TokenUse]]) -> "_Reads":
        both = list(used)
        return cls(sum(use.missed * layer.reads for layer, use in both), missed_bytes(both), len(both))

    @property
    def size(self) -> float:
        """Bytes of one, in the mean."""
        return self.bytes / max(self.count, 1)


def _swept(layer: StreamedLayer) -> bool:
    """True for bundles that every token needs one after the other: reads go on whatever is computed."""
    return layer.bundles.kind == "block"


def _io_s(shape: ModelShape, profile: DriveProfile, reads: _Reads, settings: Settings) -> float:
    """Time of reads that are waited for, layer by layer."""
    seconds = profile.seconds(reads.count, reads.size, max(1, reads.layers))
    if shape.parallel and settings.early_reads:  # what attention hides is no wait
        resident, _ = _rates(shape, profile)
        return max(0.0, seconds - shape.attention_bytes / resident)
    return seconds


def _memory_s(shape: ModelShape, profile: DriveProfile, used: Sequence[TokenUse]) -> float:
    processor, rows = profile.processor, sum(use.multiplied for use in used)
    return shape.layers * processor.bookkeeping_s + rows * processor.bookkeeping_row_s


def _compute_s(model: ModelCost, profile: DriveProfile, used: Sequence[TokenUse]) -> float:
    shape, (resident_rate, bundle_rate) = model.shape, _rates(model.shape, profile)
    resident = shape.attention_bytes + shape.head_bytes + model.selector_bytes
    bundles = sum(use.multiplied * layer.bundles.stored_bytes for layer, use in zip(model.layers, used, strict=True))
    overhead = shape.layers * profile.processor.layer_s + profile.processor.token_s
    return resident / resident_rate + bundles / bundle_rate + overhead


def _rates(shape: ModelShape, profile: DriveProfile) -> tuple[float, float]:
    """Bytes a second that are multiplied, of what is resident and of bundles."""
    processor = profile.processor
    if shape.streams_neurons:
        pool = processor.pool_bytes_per_s[pool_key(shape.dtype, shape.compute_dtype)]
        return processor.resident_bytes_per_s[shape.compute_dtype], pool
    rate = processor.packed_bytes_per_s if shape.packed else processor.resident_bytes_per_s[USUAL_DTYPE]
    return rate, rate
