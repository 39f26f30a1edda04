"""Installing: streamed modules in the place of a model's own, before anything is evaluated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module
from numpy.typing import NDArray

from engine.arrays.dtypes import DTYPES
from engine.arrays.packed import Resident, available, held_dtype
from engine.arrays.products import floats_of
from engine.flash.reader import Reader, ReadFile
from engine.memory.pool import BundlePool
from engine.models.activations import Activation
from engine.settings import Selection, Settings
from engine.sparsity.predictor import Predictor, load_predictors
from engine.sparsity.selectors import ExactSelection, PredictedSelection, Selector
from engine.store.manifest import PREDICTOR, PreparedModel
from engine.store.packing import Packing
from engine.streaming.bundles import LayerBundles
from engine.streaming.lookahead import LookAhead
from engine.streaming.neurons import AllNeurons, NeuronProduct, Product, StreamedNeurons, sums_in_order
from engine.streaming.overlap import Overlap
from engine.streaming.packed_neurons import PackedProduct
from engine.streaming.passes import Passes
from engine.streaming.ring import Ring
from engine.streaming.source import RowSource
from engine.streaming.tables import StreamedTable

Weights = dict[str, mx.array]


class Resizable(Protocol):
    """A part that has a pool in the memory plan."""

    def resize(self, capacity: int, movable_bytes: int) -> None:
        """Have room for so many bundles. movable_bytes: beside that, for those that are kept on the way."""


@dataclass(frozen=True)
class Streaming:
    """All of a loaded model that is streamed, now or when there is less room. all_layers: in the order in which they
    are computed. planned: what has a pool in the memory plan, with its place there. all_others: what is beside the
    layers, of another kind. all_tables: of these, those whose rows tokens alone decide."""

    passes: Passes
    overlap: Overlap
    ring: Ring
    all_layers: Sequence[LayerBundles]
    ffns: Sequence[AllNeurons]
    planned: Sequence[tuple[int, Resizable]]
    all_others: Sequence[LayerBundles] = ()
    all_tables: Sequence[StreamedTable] = ()

    def __post_init__(self) -> None:
        self._count()
        self.passes.begin()

    @property
    def layers(self) -> list[LayerBundles]:
        """The layers that are streamed now, in order."""
        return [layer for layer in self.all_layers if not layer.whole]

    @property
    def others(self) -> list[LayerBundles]:
        """Of what is beside them, what is streamed now."""
        return [layer for layer in self.all_others if not layer.whole]

    @property
    def tables(self) -> list[StreamedTable]:
        """The tables that are streamed now."""
        return [table for table in self.all_tables if not table.bundles.whole]

    @property
    def left_early(self) -> int:
        """Bundles that had to leave their pool while still in the window, since loading."""
        return sum(layer.pool.left_early for layer in self.layers)

    @property
    def capacities(self) -> tuple[int, ...]:
        """Rows by layer."""
        return tuple(layer.pool.capacity for layer in self.layers)

    @property
    def neurons(self) -> int:
        """Neurons of a layer, several of which may be one bundle; 0 where bundles are something else."""
        return max((ffn.product.neurons for ffn in self.ffns), default=0)

    def selector(self, layer: int) -> Selector | None:
        """The selector of a layer; None where all neurons are computed."""
        ffn = self.ffns[layer]
        return ffn.selector if isinstance(ffn, StreamedNeurons) else None

    def replace_selectors(self, replacement: Callable[[int, Selector], Selector]) -> None:
        """Let `replacement(layer, selector)` select each layer's neurons: to record a trace, or to replay one."""
        for i, ffn in enumerate(self.ffns):
            if isinstance(ffn, StreamedNeurons):
                ffn.selector = replacement(i, ffn.selector)

    @property
    def can_fill(self) -> bool:
        """True where every bundle has a row, and would stay there."""
        pools = [layer.pool for layer in self.layers]
        return self.passes.window.size > 0 and all(p.keep_hot and p.capacity >= p.bundles for p in pools)

    def fill(self, progress: Callable[[float], None] = lambda _: None) -> None:
        """Read all bundles in file order, into pools of which nothing is in use, each with a row for every bundle.
        progress(share): may raise CancelledError. Raises ReadError."""
        for layer in self.layers[:1]:
            layer.begin_fill()
        for number, layer in enumerate(self.layers, 1):
            for after in self.layers[number : number + 1]:
                after.begin_fill()  # the drive does not wait
            layer.end_fill()
            progress(number / len(self.layers))

    def expect(self, tokens: Sequence[int]) -> None:
        """Start reading what tokens need for certain, before the pass that computes them."""
        for table in self.tables:
            table.expect(tokens)

    def accept(self, tokens: int) -> None:
        """So many tokens of the last pass count: what others needed was not used, for the windows."""
        self.passes.accept(tokens)
        for layer in self._all:
            layer.accept(tokens)

    @property
    def held(self) -> list[list[int]]:
        """The bundles in the pools, by layer, in order; none of a layer that holds all for good."""
        return [[] if layer.filled else sorted(layer.pool.held.tolist()) for layer in self.layers]

    def warm(self, bundles: Sequence[Sequence[int]]) -> None:
        """Read bundles, by layer, into pools that hold none yet. Raises ReadError."""
        for layer, ids in zip(self.layers, bundles, strict=False):
            layer.begin_warm(np.array(ids, np.int64))
        for layer in self.layers:
            layer.settle()

    def drop(self) -> None:
        """Give up what is read ahead, after a pass that failed."""
        self.ring.drop()

    def forget_readers(self) -> None:
        """Let go of what a prompt's block has computed from bundles."""
        for layer in self._all:
            layer.forget_readers()

    def forget(self) -> None:
        """Empty all pools: what comes is the same whatever came before."""
        for layer in self._all:
            layer.forget()

    def resize(self, capacities: Sequence[int], buffer_bytes: int, movable_bytes: int) -> None:
        """Have other numbers of rows, layer by layer: there is no room for two of all; and other buffers of the ring.
        capacities: as planned. movable_bytes: beside all that, for bundles on their way."""
        for place, each in self.planned:
            each.resize(capacities[place], movable_bytes)
        self._count()
        self.ring.resize(buffer_bytes if self._all else 0)

    def close(self) -> None:
        """Let the ring's buffers go, and the layers of each other: the last knows the first, so that files and slots
        would stay until garbage is looked for."""
        self.ring.close()
        for layer in (*self.all_layers, *self.all_others):
            layer.after = None

    def _count(self) -> None:
        """Count what is streamed now: what is whole is none of it until it gives its room back."""
        for number, layer in enumerate(self._all):
            layer.layer = number
        self.passes.layers, self.passes.others = len(self.layers), len(self.others)

    @property
    def _all(self) -> list[LayerBundles]:
        return [*self.layers, *self.others]


@dataclass(frozen=True)
class Installation:
    """Streamed FFNs for a prepared model. dtype: of what is computed. capacities: rows by layer. piece_bytes: of a
    layer that is streamed. file: the open bundle file."""

    prepared: PreparedModel
    settings: Settings
    dtype: mx.Dtype
    capacities: Sequence[int]
    piece_bytes: int
    reader: Reader
    file: ReadFile

    def install(self, model: Module, weights: Weights) -> Streaming:
        """Put them in the place of the model's dense ones. weights: by name; those of the FFNs leave them."""
        layers = self._layers()
        activations = [layer.ffn.activation for layer in model.layers]
        biases = [weights.pop(f"ffn.{i}.input_bias", None) for i in range(len(layers))]
        selectors = self._selectors(layers, activations, biases)
        ffns = []
        for i, layer in enumerate(layers):
            down_bias = weights.pop(f"ffn.{i}.down_bias", None)
            down_bias = None if down_bias is None else mx.array(floats_of(down_bias)) if available() else down_bias
            mx.eval([down_bias] if down_bias is not None else [])
            product = self._product(activations[i], _bias(biases[i], self.prepared.layer_reports[i].neurons))
            ffns.append(self._ffn(layer, product, down_bias, selectors[i]))
            model.layers[i].ffn = ffns[-1]
        return Streaming(layers[0].passes, layers[0].overlap, layers[0].ring, layers, ffns, [*enumerate(layers)])

    def _layers(self) -> list[LayerBundles]:
        bundles, settings = self.prepared.bundles, self.settings
        passes, overlap = Passes(len(bundles.layers), settings.window), Overlap(self._overlaps)
        ring = Ring(self.reader, max(layer.row_bytes for layer in bundles.layers), bundles.dtype, self.piece_bytes)
        layers: list[LayerBundles] = []
        for i, place in enumerate(bundles.layers):
            parts = 1 if settings.bundling else bundles.pieces
            source = RowSource(self.reader, self.file, place, parts)
            pool = BundlePool(self.capacities[i], place.row_bytes, bundles.dtype, place.bundles, settings.hot_neurons)
            layers.append(LayerBundles(i, source, pool, passes, overlap, ring, self._pinned, self._look_ahead()))
        for before, after in pairwise(layers):
            before.after = after
        return layers

    @property
    def _pinned(self) -> bool:
        return self.settings.selection.streams_all

    def _look_ahead(self) -> LookAhead | None:
        wanted = self._overlaps and self.settings.selection.predicts and self.settings.window
        return LookAhead() if wanted else None

    @property
    def _overlaps(self) -> bool:
        """True where the ways of overlapping are tried: unasked only where sums are the same whatever is in memory."""
        asked = self.settings.overlap
        return (sums_in_order(1) if asked is None else asked) and not self._pinned

    def _selectors(
        self, layers: list[LayerBundles], activations: list[Activation], biases: list[mx.array | None]
    ) -> Sequence[Selector | None]:
        match self.settings.selection:
            case Selection.DENSE:
                return [None] * len(layers)
            case Selection.PREDICTOR:
                return [PredictedSelection(predictor) for predictor in self._predictors()]
            case Selection.EXACT:
                return [self._exact(*each) for each in zip(layers, activations, biases, strict=True)]

    def _predictors(self) -> list[Predictor]:
        path, shift = self.prepared.folder / PREDICTOR, self.settings.threshold_shift
        predictors = load_predictors(path, self.prepared.layer_reports, self.dtype, shift)
        for predictor in predictors:
            mx.eval(predictor.down, predictor.up, predictor.bias)
        return predictors

    def _product(self, activation: Activation, bias: NDArray[np.float32]) -> Product:
        packing = self.prepared.bundles.packing
        return PackedProduct(activation, bias, packing) if packing else NeuronProduct(activation, bias)

    def _exact(self, layer: LayerBundles, activation: Activation, bias: mx.array | None) -> ExactSelection:
        packing, neurons = self.prepared.bundles.packing, self.prepared.layer_reports[layer.layer].neurons
        inputs = self._packed(layer, activation, packing, neurons) if packing else self._plain(layer, activation)
        bias = mx.zeros(neurons, self.dtype) if bias is None else bias
        mx.eval(bias)
        return ExactSelection(activation, inputs, bias)

    def _plain(self, layer: LayerBundles, activation: Activation) -> list[Resident]:
        """The decisive parts of a layer's neurons."""
        width, parts, dtype = self.prepared.bundles.width, [], held_dtype(layer.pool.matrix.dtype, self.dtype)
        for part in layer.stream():
            parts.append(part.matrix[:, : activation.decisive * width].astype(dtype) + 0)  # a copy, by + 0
            layer.read_by(parts[-1])
        together = mx.concatenate(parts)
        inputs = [mx.contiguous(together[:, i * width : (i + 1) * width]) for i in range(activation.decisive)]
        mx.eval(inputs)
        return [Resident(rows) for rows in inputs]

    def _packed(self, layer: LayerBundles, activation: Activation, packing: Packing, neurons: int) -> list[Resident]:
        """The same, quantised as they are."""
        names, dtype, pieces = packing.parts[: activation.decisive], DTYPES[packing.dtype], []
        for part in layer.stream():
            arrays = [packing.part(part.view, name).arrays(dtype) for name in names]
            mx.eval(arrays)  # copies
            pieces.append(arrays)
        inputs = []
        for of_part in zip(*pieces, strict=True):
            tensors = [mx.contiguous(mx.concatenate(list(each))[:neurons]) for each in zip(*of_part, strict=True)]
            mx.eval(tensors)
            inputs.append(Resident(tensors[0], packing.form, *tensors[1:]))
        return inputs

    def _ffn(
        self, layer: LayerBundles, product: Product, down_bias: mx.array | None, selector: Selector | None
    ) -> AllNeurons:
        if selector is None:
            return AllNeurons(layer, product, down_bias)
        return StreamedNeurons(layer, product, down_bias, selector, self.settings.early_reads)


def _bias(bias: mx.array | None, neurons: int) -> NDArray[np.float32]:
    return np.zeros(neurons, np.float32) if bias is None else np.array(bias.astype(mx.float32))
