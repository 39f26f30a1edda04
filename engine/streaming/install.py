"""Installing: streamed modules in the place of a model's own, before anything is evaluated."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module
from mlx_lm.models.switch_layers import QuantizedSwitchLinear, SwitchLinear
from numpy.typing import NDArray

from engine.arrays.dtypes import DTYPES
from engine.arrays.packed import Resident, held_dtype
from engine.errors import CheckpointError
from engine.flash.reader import Reader, ReadFile
from engine.memory.budget import MemoryBudget
from engine.memory.pool import BundlePool
from engine.models.activations import Activation
from engine.models.checkpoint import LazyModel, module_at, replace_module
from engine.models.linears import block_rows, linears, matrix_of
from engine.models.mlx_lm import containers
from engine.settings import Selection, Settings
from engine.sparsity.predictor import Predictor, load_predictors
from engine.sparsity.selectors import ExactSelection, PredictedSelection, Selector
from engine.store.layout import SLOT_ALIGNMENT, Layout
from engine.store.manifest import PREDICTOR, PreparedModel
from engine.store.packing import Packing
from engine.store.stored_tensor import StoredTensor
from engine.streaming.bundles import LayerBundles
from engine.streaming.early import RouterGuess, router_of, take_early
from engine.streaming.experts import StreamedExperts
from engine.streaming.linears import StreamedLinear
from engine.streaming.lookahead import ExpertLookAhead, LookAhead
from engine.streaming.neurons import AllNeurons, NeuronProduct, Product, StreamedNeurons
from engine.streaming.overlap import Overlap
from engine.streaming.packed_neurons import PackedProduct
from engine.streaming.passes import Passes
from engine.streaming.ring import Ring
from engine.streaming.slots import SlotExperts
from engine.streaming.source import CheckpointFile, RowSource, SlotSource

Weights = dict[str, mx.array]
SLOT_DTYPE = "U32"  # of slabs that hold experts: their tensors are views of it
EXPERT_WINDOW = 1  # tokens


@dataclass(frozen=True)
class Streaming:
    """All that is streamed of a loaded model. layers: in the order in which they are computed. places: of each in the
    memory plan."""

    passes: Passes
    overlap: Overlap
    ring: Ring
    layers: Sequence[LayerBundles]
    ffns: Sequence[AllNeurons]
    places: Sequence[int]

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

    def accept(self, tokens: int) -> None:
        """So many tokens of the last pass count: what others needed was not used, for the windows."""
        self.passes.accept(tokens)
        for layer in self.layers:
            layer.accept(tokens)

    def drop(self) -> None:
        """Give up what is read ahead, after a pass that failed."""
        self.ring.drop()

    def forget_readers(self) -> None:
        """Let go of what a prompt's block has computed from bundles."""
        for layer in self.layers:
            layer.forget_readers()

    def forget(self) -> None:
        """Empty all pools: what comes is the same whatever came before."""
        for layer in self.layers:
            layer.forget()

    def resize(self, capacities: Sequence[int], buffer_bytes: int, movable_bytes: int) -> None:
        """Have other numbers of rows, layer by layer: there is no room for two of all; and other buffers of the ring.
        capacities: as planned. movable_bytes: beside all that, for bundles on their way."""
        self.ring.resize(buffer_bytes)
        for layer, place in zip(self.layers, self.places, strict=True):
            layer.resize(capacities[place], movable_bytes)

    def close(self) -> None:
        """Let the ring's buffers go."""
        self.ring.close()


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
            mx.eval([down_bias] if down_bias is not None else [])
            product = self._product(activations[i], _bias(biases[i], self.prepared.layer_reports[i].neurons))
            ffns.append(self._ffn(layer, product, down_bias, selectors[i]))
            model.layers[i].ffn = ffns[-1]
        return Streaming(layers[0].passes, layers[0].overlap, layers[0].ring, layers, ffns, range(len(layers)))

    def _layers(self) -> list[LayerBundles]:
        bundles, settings = self.prepared.bundles, self.settings
        passes, overlap = Passes(len(bundles.layers), settings.window), Overlap(settings.overlap)
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
        wanted = self.settings.overlap and self.settings.selection.predicts and self.settings.window
        return LookAhead() if wanted else None

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


@dataclass(frozen=True)
class ExpertContainer:
    """A container of experts whose tensors lie in files as they are used. path: in the model."""

    path: str
    module: Module
    layout: Layout


def find_experts(model: LazyModel, stored: Mapping[str, StoredTensor]) -> list[ExpertContainer]:
    """All containers of a model, in the order in which they are computed. Their tensors leave the model.

    Raises CheckpointError for experts that are not stored as they are used.
    """
    found = []
    for path, module in containers(model.network):
        layout = Layout.of({name: _stored(model, stored, path, name, array) for name, array in _matrices(module)})
        SlotExperts(module, layout)
        found.append(ExpertContainer(path, module, layout))
    return found


def _matrices(container: Module) -> Iterator[tuple[str, mx.array]]:
    """The tensors of a container that have a share of each expert, by their names in it."""
    for name, child in container.children().items():
        if isinstance(child, SwitchLinear | QuantizedSwitchLinear):
            yield from ((f"{name}.{tensor}", array) for tensor, array in child.parameters().items())


def _stored(
    model: LazyModel, stored: Mapping[str, StoredTensor], path: str, name: str, array: mx.array
) -> StoredTensor:
    tensor = stored.get(model.name_of(array) or "")
    if tensor is None:
        raise CheckpointError(
            "The experts of this model are not stored as they are used ({name}), so they cannot be read one by one. "
            "Prepare the model, or get it in MLX's format.",
            name=f"{path}.{name}",
        )
    return tensor


def _is_in_last_layer(network: Module, path: str) -> bool:
    """True for a container in the last of the model's layers: what comes after it is the logits alone."""
    names = path.split(".")
    number = next((i for i, name in enumerate(names) if name.isdigit()), None)
    return number is not None and int(names[number]) == len(module_at(network, ".".join(names[:number]))) - 1


@dataclass(frozen=True)
class LinearBlocks:
    """A linear whose matrix lies in files as it is used, in blocks of rows. path: in the model."""

    path: str
    module: Module
    layout: Layout


def find_linears(model: LazyModel, stored: Mapping[str, StoredTensor]) -> list[LinearBlocks]:
    """The linears of a model that can be streamed, in the order in which they are computed."""
    found = []
    for path, module in linears(model.network):
        tensors = {name: stored.get(model.name_of(array) or "") for name, array in matrix_of(module).items()}
        whole = {name: tensor for name, tensor in tensors.items() if tensor is not None}
        if len(whole) == len(tensors) and "global_scale" not in module:
            found.append(LinearBlocks(path, module, Layout.of(whole, block_rows(matrix_of(module)))))
    return found


def find_streamed(
    model: LazyModel, stored: Mapping[str, StoredTensor]
) -> tuple[list[ExpertContainer], list[LinearBlocks]]:
    """The part that may stay on flash: experts, or, where there are none, linears. Raises CheckpointError."""
    experts = find_experts(model, stored)
    return experts, [] if experts else find_linears(model, stored)


@dataclass(frozen=True)
class LinearInstallation:
    """Streamed linears for a model of mlx-lm. budget: slots by linear; one that keeps a slot for each of its blocks
    stays what it is. ring_bytes: of one of the ring's buffers."""

    settings: Settings
    budget: MemoryBudget
    ring_bytes: int
    reader: Reader

    def install(self, network: Module, found: Sequence[LinearBlocks]) -> Streaming:
        """Put them in the place of the model's linears."""
        places = [i for i, demand in enumerate(self.budget.demands) if not demand.is_whole]
        streamed = [(found[i], self.budget.capacities[i]) for i in places]
        passes, overlap = Passes(len(streamed), self.settings.window, "block"), Overlap(False)
        slot_bytes = max((each.layout.slot_bytes for each, _ in streamed), default=SLOT_ALIGNMENT)
        ring = Ring(self.reader, slot_bytes, SLOT_DTYPE, self.ring_bytes if streamed else slot_bytes)
        paths = {path for each, _ in streamed for path in each.layout.paths}
        files = {path: CheckpointFile.open(self.reader, path) for path in paths}
        layers: list[LayerBundles] = []
        for i, (each, slots) in enumerate(streamed):
            source = SlotSource(self.reader, files, each.layout)
            pool = BundlePool(slots, source.row_bytes, SLOT_DTYPE, source.bundles)
            layers.append(LayerBundles(i, source, pool, passes, overlap, ring, pinned=True))
            replace_module(network, each.path, StreamedLinear(each.module, each.layout, layers[-1]))
        for before, after in pairwise([*layers, *layers[:1]]):
            before.after = after  # after the last, the first of the next token
        return Streaming(passes, overlap, ring, layers, (), places)


@dataclass(frozen=True)
class ExpertInstallation:
    """Streamed experts for a model of mlx-lm. capacities: slots by container. ring_bytes: of one of its buffers."""

    settings: Settings
    capacities: Sequence[int]
    ring_bytes: int
    reader: Reader

    def install(self, network: Module, experts: Sequence[ExpertContainer]) -> Streaming:
        """Put them in the place of the model's containers."""
        passes, overlap = Passes(len(experts), self._window, "expert"), Overlap(self.settings.overlap)
        slot_bytes = max((expert.layout.slot_bytes for expert in experts), default=SLOT_ALIGNMENT)
        ring = Ring(self.reader, slot_bytes, SLOT_DTYPE, self.ring_bytes)
        paths = {path for expert in experts for path in expert.layout.paths}
        files = {path: CheckpointFile.open(self.reader, path) for path in paths}
        layers: list[LayerBundles] = []
        modules: list[StreamedExperts] = []
        for i, expert in enumerate(experts):
            source = SlotSource(self.reader, files, expert.layout)
            pool = BundlePool(
                self.capacities[i], source.row_bytes, SLOT_DTYPE, source.bundles, self.settings.hot_neurons, dense=False
            )
            layers.append(LayerBundles(i, source, pool, passes, overlap, ring, look_ahead=ExpertLookAhead()))
            modules.append(self._streamed(network, expert, layers[-1]))
        for before, after, expert in zip(modules, modules[1:], experts[1:], strict=False):
            ask = router_of(network, expert.path, after)
            before.guess = RouterGuess(ask, after) if ask else None
        return Streaming(passes, overlap, ring, layers, (), range(len(layers)))

    @staticmethod
    def _streamed(network: Module, expert: ExpertContainer, layer: LayerBundles) -> StreamedExperts:
        """One container's, in its place."""
        module = StreamedExperts(expert.module, expert.layout, layer)
        module.is_last = _is_in_last_layer(network, expert.path)
        module.beside = tuple(take_early(network, expert.path))
        replace_module(network, expert.path, module)
        return module

    @property
    def _window(self) -> int:
        """A token of experts is enough, unless another window is asked for: beyond it the most used stay."""
        return EXPERT_WINDOW if self.settings.window == Settings.window else self.settings.window
