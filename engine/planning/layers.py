"""The layers of a model whose bundles stay on flash: the pool that each wants, and what a token takes of it.

One class for each kind of bundle. Published hit rates of experts take the place of this model's own until there are
such.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from engine.memory.budget import SPARE_ROWS, PoolDemand
from engine.models.linears import BLOCK_BYTES, MIN_BLOCKS, is_ffn
from engine.planning.reuse import SEEN_TOKENS, Reuse, like_opt
from engine.planning.shape import BundleShape, ModelShape, chief_kind
from engine.settings import Settings

# Hits by the share of a layer's experts that is in memory, as nine projects published them for 8 of 128 to 512 experts
# (lower where they differ).
SHARES = (0.0, 0.06, 0.25, 0.35, 0.47, 0.71, 1.0)
HIT_RATES = (0.0, 0.56, 0.74, 0.84, 0.92, 0.95, 1.0)
HEAD_RANK, LAYER_RANK, FFN_RANK, EXPERT_RANK, TABLE_RANK = range(5)
SMALL_SHARE = 1 / 64  # of the largest linear: one so small is the first to have room, as a wait for it costs as much
TABLE_ROWS = 64  # of a table's pool, at least: those of the last tokens, and of the most used
FINEST_SHARE = SHARES[1]  # a token's share of its experts, of those models


@dataclass(frozen=True)
class TokenUse:
    """The bundles of one layer that a decoded token takes, in the mean: those it needs, of them those that are read,
    those that it is multiplied with, and those that are in memory. window: tokens whose bundles are."""

    needed: float
    missed: float
    multiplied: float
    held: float
    window: float


class StreamedLayer(Protocol):
    """One layer's bundles."""

    @property
    def bundles(self) -> BundleShape:
        """Their shape."""

    @property
    def reads(self) -> float:
        """Reads that bring a bundle."""

    def demand(self) -> PoolDemand:
        """The pool that the layer wants."""

    def use(self, slots: float, settings: Settings) -> TokenUse:
        """A token's use, where the pool has so many slots."""


@dataclass(frozen=True)
class NeuronLayer:
    """Neurons, of which a token needs those that fire. selected: the share that was measured, by which the pool is
    sized. reads: of a bundle, fewer than 1 where neighbours are one read."""

    bundles: BundleShape
    selected: float
    reuse: Reuse
    reads: float = 1.0

    def demand(self) -> PoolDemand:
        """A pool must hold one usual token's active set; beyond that, busier layers want more."""
        count = self.bundles.count
        minimum = min(count, int(SPARE_ROWS * self.selected * count) + 1)
        return PoolDemand(self.bundles.bytes, count, minimum, self.selected)

    def use(self, slots: float, settings: Settings) -> TokenUse:
        """By the curve of how neurons are used again. All that are in memory are multiplied. Where uses are counted and
        the window takes too much of the pool, uses alone say who stays, beside the last token's."""
        reuse, count = self.reuse, self.bundles.count
        share = min(1.0, slots / count)
        if share == 1 and settings.read_at_once:  # while it was loaded
            return TokenUse(count * reuse.selected, 0.0, count, count, settings.window)
        window = reuse.window_of(share, float(settings.window))
        in_window = reuse.aggregated(window)
        full = min(share, reuse.aggregated(SEEN_TOKENS)) if settings.hot_neurons else 0.0
        spared = {window, min(window, 1.0)} if settings.hot_neurons else {window}
        missed = min(reuse.loaded(tokens, max(0.0, full - reuse.aggregated(tokens))) for tokens in spared)
        held = count * max(reuse.selected, in_window, full)
        return TokenUse(count * reuse.selected, count * missed, held, held, window)


@dataclass(frozen=True)
class EveryLayer:
    """Bundles that every token needs, all of them: what is not in memory is read. rank: as a `PoolDemand` has it."""

    bundles: BundleShape
    rank: int = 0

    @property
    def reads(self) -> float:
        """Reads that bring a bundle: neighbours are one."""
        return self.bundles.reads

    def demand(self) -> PoolDemand:
        """No pool is needed: they pass through the ring."""
        return PoolDemand(self.bundles.bytes, self.bundles.count, 0, 1.0, self.rank, self.bundles.kind == "block")

    def use(self, slots: float, settings: Settings) -> TokenUse:
        """Of all bundles, those without a slot are read."""
        count = self.bundles.count
        held = min(slots, count)
        return TokenUse(count, count - held, count, held, settings.window)


@dataclass(frozen=True)
class ExpertLayer:
    """Experts, of which the router says which a token needs."""

    bundles: BundleShape

    @property
    def reads(self) -> float:
        """Reads that bring an expert."""
        return self.bundles.reads

    @property
    def chosen(self) -> int:
        """Experts that a token needs."""
        return min(self.bundles.chosen or self.bundles.count, self.bundles.count)

    def demand(self) -> PoolDemand:
        """A pool must hold one token's experts."""
        return PoolDemand(self.bundles.bytes, self.bundles.slots, self.chosen, 1.0, EXPERT_RANK)

    def use(self, slots: float, settings: Settings) -> TokenUse:
        """By the share of the experts that has a slot; which they are hardly depends on the window."""
        count = self.bundles.count
        missed = self.chosen * (1 - hit_rate(slots / count, self.chosen / count))
        return TokenUse(self.chosen, missed, self.chosen, min(slots, count), settings.window)


@dataclass(frozen=True)
class ActiveRowsLayer:
    """Rows of a linear, or columns of experts, of which a token needs those that are multiplied with something other
    than zero. active_share: of all. unit_rows: as many as want as much room as a block or an expert does."""

    bundles: BundleShape
    active_share: float
    rank: int
    unit_rows: float

    @property
    def reads(self) -> float:
        """Reads that bring a row."""
        return self.bundles.reads

    def demand(self) -> PoolDemand:
        """A pool holds one usual token's rows."""
        bundles = self.bundles
        minimum = min(bundles.slots, smallest_pool(bundles.count, self.active_share))
        may_be_whole = not bundles.owners  # a linear is what it was; columns are a file of their own
        return PoolDemand(bundles.bytes, bundles.slots, minimum, self.unit_rows, self.rank, may_be_whole)

    def use(self, slots: float, settings: Settings) -> TokenUse:
        """Used again as OPT's neurons are, until more is known; those alone are multiplied that are needed."""
        reuse = like_opt(self.active_share)
        use = NeuronLayer(self.bundles, reuse.selected, reuse, self.reads).use(slots, settings)
        missed = 0.0 if slots >= self.bundles.count else use.missed
        return replace(use, missed=missed, multiplied=use.needed)


@dataclass(frozen=True)
class TableLayer:
    """Rows of a table, of which a token needs one."""

    bundles: BundleShape

    @property
    def reads(self) -> float:
        """Reads that bring a row."""
        return self.bundles.reads

    def demand(self) -> PoolDemand:
        """A small pool will do: a token that is decoded waits for one row at most."""
        count = self.bundles.count
        return PoolDemand(self.bundles.bytes, count, min(count, TABLE_ROWS), 1.0, TABLE_RANK, may_be_whole=True)

    def use(self, slots: float, settings: Settings) -> TokenUse:
        """Tokens that a pool has no rows for are taken to be as likely as the others."""
        count = self.bundles.count
        held = min(slots, count)
        return TokenUse(1, 1 - held / count, 0, held, settings.window)


def smallest_pool(rows: int, active_share: float) -> int:
    """Rows of the smallest pool that a linear's active rows are read into."""
    return min(rows, int(SPARE_ROWS * active_share * rows) + 1)


def layers_of(shape: ModelShape) -> list[StreamedLayer]:
    """The layers of a model of mlx-lm's: its experts, its linears, of which the FFNs' are the first to be streamed, and
    its tables."""
    largest = max((bundles.total_bytes for bundles in shape.bundles if bundles.kind == "block"), default=0)
    return [_layer_of(bundles, largest) for bundles in shape.bundles]


def _layer_of(bundles: BundleShape, largest: int) -> StreamedLayer:
    if bundles.kind == "expert":
        return ExpertLayer(bundles)
    if bundles.active_share is not None and bundles.owners:
        return ActiveRowsLayer(bundles, bundles.active_share, EXPERT_RANK, bundles.count / bundles.owners)
    if bundles.active_share is not None:
        rows = bundles.count / max(MIN_BLOCKS, bundles.total_bytes / BLOCK_BYTES)
        return ActiveRowsLayer(bundles, bundles.active_share, _rank(bundles, largest), rows)
    return TableLayer(bundles) if bundles.kind == "row" else EveryLayer(bundles, _rank(bundles, largest))


def _rank(linear: BundleShape, largest: int) -> int:
    """The order in which linears get room: the head and the small ones, what else is in the layers, the FFNs."""
    if linear.is_head or linear.total_bytes <= SMALL_SHARE * largest:
        return HEAD_RANK
    return FFN_RANK if is_ffn(linear.path) else LAYER_RANK


def hit_rate(share: float, chosen_share: float = FINEST_SHARE) -> float:
    """The share of a token's experts that is in memory, where `share` of a layer's experts is.

    chosen_share: of a layer's experts that a token needs. Where these are many, a pool with room for no more than them
    is as good as the smallest that was published, and the rest of the way is the same.
    """
    if share >= 1:
        return 1.0
    if chosen_share > FINEST_SHARE:
        share = max(0.0, FINEST_SHARE + (share - chosen_share) * (1 - FINEST_SHARE) / max(1e-9, 1 - chosen_share))
    return float(np.interp(share, SHARES, HIT_RATES))


def uses(layers: Sequence[StreamedLayer], slots: Sequence[float], settings: Settings) -> list[TokenUse]:
    """A token's use of each layer. slots: of each layer's pool."""
    return [layer.use(room, settings) for layer, room in zip(layers, slots, strict=True)]


def missed_bytes(used: Iterable[tuple[StreamedLayer, TokenUse]]) -> float:
    """The bytes that a token reads."""
    return sum(use.missed * layer.bundles.stored_bytes for layer, use in used)


def expected_hits(layers: Sequence[StreamedLayer], used: Sequence[TokenUse]) -> float:
    """The share of a token's bundles, of the kind that a model is streamed by, that is in memory; 1.0 for a model
    without. used: of each layer."""
    kind = chief_kind(layer.bundles for layer in layers)
    counted = [use for layer, use in zip(layers, used, strict=True) if layer.bundles.kind == kind]
    needed = sum(use.needed for use in counted)
    return 1 - sum(use.missed for use in counted) / needed if needed else 1.0
