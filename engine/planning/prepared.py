"""The sizes of a prepared model: neurons on flash, and what our own architectures compute with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import mlx.core as mx

from engine.arrays.dtypes import NAMES, mlx_dtype, name_of, stored_dtype
from engine.arrays.packed import available, held_dtype, panels_bytes
from engine.memory.budget import MAX_FLOAT32_BYTES
from engine.models.activations import Activation
from engine.models.config import ModelArgs
from engine.planning.layers import EveryLayer, NeuronLayer, StreamedLayer
from engine.planning.logits import logits_bytes
from engine.planning.memory import ROOMY_DIVISOR, Workspace
from engine.planning.overhead import overhead_bytes
from engine.planning.reuse import Reuse, curve, like_opt
from engine.planning.shape import BundleShape, ModelShape
from engine.settings import Selection, Settings
from engine.store.bundle_file import BundleFile
from engine.store.fitting import build_prepared
from engine.store.manifest import PreparedModel
from engine.store.reports import LayerReport
from engine.streaming.ring import BUFFERS
from engine.system.machine import memory_available

PREFILL_TOKENS = 256  # a prompt is prefilled in blocks of this many tokens, each one reading every layer once
MIN_RING_BYTES, MAX_BUFFER_BYTES = 2 << 20, 8 << 20
FLOAT32_BYTES = 4
LOGITS_COPIES = 8  # the last token's and this one's: as computed, as float32, and as sampling sorts and sums them
OPEN_STATES = 8  # hidden states of a block that are there at once: input, normed, queries, keys, values, sums


@dataclass(frozen=True)
class PreparedSizes:
    """Sizes of a prepared model.

    width: of the hidden state. heads: of keys. decisive: rows of a bundle that exact selection keeps. reuse: of all
    layers or of each, where it was measured; else it follows from the measured sparsity.
    """

    prepared: PreparedModel
    width: int
    heads: int
    decisive: int
    overhead: int
    available: int = 0
    reuse: Reuse | list[Reuse] | None = None

    @classmethod
    def of(cls, prepared: PreparedModel, reuse: Reuse | list[Reuse] | None = None) -> "PreparedSizes":
        """Of a model that is not loaded."""
        model, args = build_prepared(prepared)
        return cls.of_built(prepared, args, model.layers[0].ffn.activation, reuse)

    @classmethod
    def of_built(
        cls, prepared: PreparedModel, args: ModelArgs, activation: Activation, reuse: Reuse | list[Reuse] | None = None
    ) -> "PreparedSizes":
        """args: the architecture's."""
        return cls(
            prepared,
            args.hidden_size,
            args.num_key_value_heads,
            activation.decisive,
            overhead_bytes(prepared.folder),
            memory_available(),
            reuse,
        )

    @property
    def stored_bytes(self) -> int:
        """Bytes of its weights."""
        return self.prepared.bytes

    def shape(self, settings: Settings) -> ModelShape:
        """The shape of the model, in the dtype that it is computed in."""
        stored = NAMES[self.prepared.bundles.numbers]
        shape = ModelShape.from_config(self.prepared.config, stored, name_of(compute_dtype(self.prepared, settings)))
        return replace(shape, bundles=self._bundles) if self.prepared.bundles.packing else shape

    @property
    def _bundles(self) -> tuple[BundleShape, ...]:
        places = self.prepared.bundles.layers
        return tuple(
            BundleShape("neuron", f"layers.{i}", place.bundles, place.row_bytes, place.row_bytes)
            for i, place in enumerate(places)
        )

    def layers(self, settings: Settings) -> Sequence[StreamedLayer]:
        """The layers' neurons: those that are selected, or all of them."""
        bundles, reports = self._bundles, self.prepared.layer_reports
        if settings.selection.streams_all:
            return [EveryLayer(each) for each in bundles]
        reads = 1.0 if settings.bundling else self.prepared.bundles.pieces
        curves = self.reuse if isinstance(self.reuse, list) else [self.reuse] * len(reports)
        return [
            NeuronLayer(
                each,
                selected_share(report, settings.selection),
                measured or _reuse(report, settings.selection),
                reads,
            )
            for each, report, measured in zip(bundles, reports, curves, strict=True)
        ]

    def selector_bytes(self, settings: Settings) -> dict[str, int]:
        """Predictors, or the rows of every neuron that decide whether it fires."""
        dtype, bundles = compute_dtype(self.prepared, settings), self.prepared.bundles
        if settings.selection.predicts:
            tensors = self.prepared.predictors.values()
            return {"predictors": sum(each.size * held_dtype(mlx_dtype(each.dtype), dtype).size for each in tensors)}
        if not settings.selection.streams_all:
            rows = sum(report.neurons for report in self.prepared.layer_reports)
            item = held_dtype(stored_dtype(bundles.numbers), dtype).size
            item_bytes = bundles.packing.item_bytes if bundles.packing else item
            return {"exact_selection": int(rows * self.decisive * bundles.width * item_bytes)}
        return {}

    def workspace(self, settings: Settings, context: int, roomy: int) -> Workspace:
        """Stream buffers, and what one block of a prompt is computed with or the logits are."""
        shape, whole = self.shape(settings), max(layer.bytes for layer in self.prepared.bundles.layers)
        chunk = min(PREFILL_TOKENS, max(1, context))
        piece = min(whole, max(MIN_RING_BYTES, roomy // ROOMY_DIVISOR) // BUFFERS, MAX_BUFFER_BYTES)
        logits = logits_bytes(shape.vocabulary, LOGITS_COPIES, settings)
        block = OPEN_STATES * chunk * self.width * FLOAT32_BYTES
        halves = (
            _ffn_workspace(shape, chunk, piece, self.prepared.bundles),
            _attention_workspace(self, shape, chunk, context),
        )
        block += max(halves) + panels_bytes()
        return Workspace(BUFFERS * piece + max(block, logits), chunk, piece, max(0, block - logits))


def compute_dtype(prepared: PreparedModel, settings: Settings) -> mx.Dtype:
    """The dtype that is computed in: as is asked for, else float32 for a small model, else as it is stored."""
    small = prepared.bytes < MAX_FLOAT32_BYTES
    if settings.compute_dtype == "float32" or (small and settings.compute_dtype is None):
        return mx.float32
    return stored_dtype(prepared.bundles.numbers)


def selected_share(report: LayerReport, selection: Selection) -> float:
    """Share of a layer's bundles that one token needs, by what was measured while preparing."""
    if report.groups:
        return max(0.01, report.groups.predicted if selection.predicts else report.groups.exact)
    density = max(0.01, 1 - report.sparsity)
    return min(1.0, density + (report.false_positives if selection.predicts else 0.0))


def _reuse(report: LayerReport, selection: Selection) -> Reuse:
    """The reuse of a layer's bundles, as measured while preparing; false positives like the others."""
    selected, use, active = selected_share(report, selection), report.use, 1 - report.sparsity
    if report.groups:
        use, active = report.groups.use, report.groups.exact
    if use is None:
        return like_opt(selected)
    return curve(active, use.resident, use.loaded, use.window).scaled(selected)


def _ffn_workspace(shape: ModelShape, chunk: int, piece: int, stored: BundleFile) -> int:
    """Of one piece of a layer: each part's product, what the activation makes of them, the hidden values as numpy's and
    as MLX's. Where MLX does not compute weights in their own dtype, it converts a piece of them."""
    rows = (piece // shape.row_bytes + 1) * stored.neurons
    hidden = chunk * rows * FLOAT32_BYTES
    converted = 0
    if not available() and stored.packing:
        converted = shape.parts * rows * stored.width * stored_dtype(stored.numbers).size
    elif not available() and shape.dtype != shape.compute_dtype:
        converted = 2 * piece
    return (shape.parts + 3) * hidden + converted


def _attention_workspace(sizes: PreparedSizes, shape: ModelShape, chunk: int, context: int) -> int:
    """Of one head: its keys and values in float32, its scores twice, and what hides the future. Native attention has
    some scores alone, in the room of products."""
    if available():
        return 0
    keys = max(cache.row_bytes for cache in shape.caches) * context // max(1, sizes.heads)
    return 2 * keys + chunk * context * (2 * FLOAT32_BYTES + 1)
