"""The cost of a token whose experts stay on flash: hits by the share that is in memory, and the drive's seconds for the
rest. Published hit rates take the place of this model's own until there are such."""

from collections.abc import Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from engine.flash.profile import DriveProfile
from engine.planning.cost import Prediction

# Hits by the share of a layer's experts that is in memory, as nine projects published them for 8 of 128 to 512 experts
# (lower where they differ).
SHARES = (0.0, 0.06, 0.25, 0.35, 0.47, 0.71, 1.0)
HIT_RATES = (0.0, 0.56, 0.74, 0.84, 0.92, 0.95, 1.0)
FINEST = SHARES[1]  # a token's share of its experts, of those models
QUANTISED_BYTES_PER_S = 1.0e9  # without Metal, whose products of packed weights the profile does not measure
LIKE = "bfloat16"  # on Metal, packed weights are multiplied as fast as bytes arrive: as fast as these


@dataclass(frozen=True)
class ExpertLayer:
    """A layer's experts. bytes: of one on flash. reads: that bring one. chosen: experts that a token needs."""

    count: int
    bytes: int
    reads: int
    chosen: int


@dataclass(frozen=True)
class ModelCost:
    """The sizes that a model's speed depends on. multiplied: bytes that every token is multiplied with, beside experts.
    packed: whether weights are quantised."""

    layers: Sequence[ExpertLayer]
    multiplied: int
    packed: bool = True


def hit_rate(share: float, chosen_share: float = FINEST) -> float:
    """The share of a token's experts that is in memory, where `share` of a layer's experts is.

    chosen_share: of a layer's experts that a token needs. Where these are many, a pool with room for no more than them
    is as good as the smallest that was published, and the rest of the way is the same.
    """
    if share >= 1:
        return 1.0
    if chosen_share > FINEST:
        share = max(0.0, FINEST + (share - chosen_share) * (1 - FINEST) / max(1e-9, 1 - chosen_share))
    return float(np.interp(share, SHARES, HIT_RATES))


def predict_experts(
    model: ModelCost, profile: DriveProfile, slots: Sequence[int], budget: int, fixed: int, window: int
) -> Prediction:
    """The cost of a decoded token. slots: of each layer. budget, fixed: bytes, of all and of all but slots."""
    missed = [_missed(layer, room) for layer, room in zip(model.layers, slots, strict=True)]
    reads = sum(m * layer.reads for m, layer in zip(missed, model.layers, strict=True))
    read = sum(m * layer.bytes for m, layer in zip(missed, model.layers, strict=True))
    held = sum(min(room, layer.count) * layer.bytes for room, layer in zip(slots, model.layers, strict=True))
    return Prediction(
        fits=all(room >= min(layer.chosen, layer.count) for room, layer in zip(slots, model.layers, strict=True)),
        budget=budget,
        window=float(window),
        dram_bytes=fixed + held,
        pool_bytes=held,
        bytes_read=read,
        reads=reads,
        hit_rate=expected_hits(model.layers, slots),
        io_ms=1e3 * profile.seconds(reads, read / max(reads, 1), len(model.layers)),
        memory_ms=1e3 * len(model.layers) * profile.processor.bookkeeping_s,
        compute_ms=1e3 * _compute_s(model, profile),
    )


def expected_hits(layers: Sequence[ExpertLayer], slots: Sequence[int]) -> float:
    """The share of a token's experts that is in memory; 1.0 for a model without experts."""
    wanted = sum(layer.chosen for layer in layers)
    missed = sum(_missed(layer, room) for layer, room in zip(layers, slots, strict=True))
    return 1 - missed / wanted if wanted else 1.0


def _missed(layer: ExpertLayer, slots: int) -> float:
    return layer.chosen * (1 - hit_rate(slots / layer.count, layer.chosen / layer.count))


def _compute_s(model: ModelCost, profile: DriveProfile) -> float:
    processor, used = profile.processor, sum(layer.chosen * layer.bytes for layer in model.layers)
    rate = processor.resident_bytes_per_s[LIKE]
    if model.packed and not mx.metal.is_available():
        rate = min(rate, QUANTISED_BYTES_PER_S)
    return (model.multiplied + used) / rate + len(model.layers) * processor.layer_s + processor.token_s
