"""The shape of a model: what it keeps on flash, in memory and of its context, counted on the model itself.

The model is built from its config by its own class, and nothing of it is evaluated: that takes milliseconds and no
memory for any size, and no architecture has to be known here.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.embedding import Embedding
from mlx.utils import tree_flatten
from mlx_lm.models.switch_layers import QuantizedSwitchLinear, SwitchLinear

from engine.arrays.dtypes import DTYPES
from engine.errors import CheckpointError, FlawError
from engine.models import ARCHITECTURES, build
from engine.models.base import CausalModel
from engine.models.caches import shaped_caches, small_caches
from engine.models.checkpoint import LazyModel
from engine.models.config import ModelArgs
from engine.models.ffn import DenseFFN
from engine.models.linears import TABLES, Uses, block_rows, matrix_of, uses_of
from engine.models.mlx_lm import build_mlx_lm, containers, quantisation_of, stored_name
from engine.models.probe import probed
from engine.statistics import BundleKind
from engine.store.bundle_file import padded_row_bytes
from engine.store.layout import SLOT_ALIGNMENT, VIEW_ALIGNMENT
from engine.store.packing import Packing
from engine.streaming.found import ExpertContainer, ExpertNeurons, LinearBlocks, Streamable, TableRows
from engine.system.documents import DOWNLOAD_AGAIN, parsing
from engine.text import Text

MAX_ITEMS = 2**31 - 1  # of an array, that MLX counts in 32 bits
MAX_CONTEXT = 1 << 20  # tokens, where nobody says how many a model was made for
KEPT_SHAPES = 64  # of the configs asked for last: a list of models asks for each again and again
PROBE_TOKENS = 3  # of a context whose caches are looked at
CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length", "model_max_length")

SWITCHES = (SwitchLinear, QuantizedSwitchLinear)

Config = dict[str, Any]


@dataclass(frozen=True)
class BundleShape:
    """The bundles of one module, which stay on flash.

    kind: what a bundle is. path: of the module in the model. count: bundles. bytes: of one, in its slot. stored_bytes:
    of one, as it is read. reads: that bring one. numbers: that it computes for a token. chosen: how many of them a
    token needs, None where that differs from token to token, as of neurons. item_bytes: of the smallest numbers in it.
    is_head: it makes the logits. active_share: of the rows of a linear, or the columns of experts, those that a token
    needs, in the mean; None where it needs all. owners: experts that columns belong to.
    """

    kind: BundleKind
    path: str
    count: int
    bytes: int
    stored_bytes: int
    reads: float = 1
    numbers: int = 0
    chosen: int | None = None
    item_bytes: int = 1
    is_head: bool = False
    active_share: float | None = None
    owners: int = 0

    @property
    def slots(self) -> int:
        """The most that one array has room for: all, unless MLX cannot count their numbers."""
        return min(self.count, MAX_ITEMS * self.item_bytes // self.bytes)

    @property
    def total_bytes(self) -> int:
        """The bytes of all of them."""
        return self.count * self.bytes


@dataclass(frozen=True)
class CacheShape:
    """The memory of one layer for the context. row_bytes: of each token. fixed_bytes: however long it is. window:
    tokens after which the oldest make way, None where all are kept. step: tokens for which room is made at once: by
    mlx-lm's own caches; those of our architectures have as much as they are told to."""

    row_bytes: int
    fixed_bytes: int = 0
    window: int | None = None
    step: int = 256

    @property
    def always_trims(self) -> bool:
        """True where the last tokens can be taken off; else there are snapshots to go back to."""
        return self.window is None and not self.fixed_bytes

    def bytes(self, tokens: int, chunk: int = 0) -> int:
        """The bytes for a context of so many tokens. chunk: tokens that come at once; a window is kept beside them."""
        rows = -(-tokens // self.step) * self.step
        return self.fixed_bytes + self.row_bytes * (rows if self.window is None else min(rows, self.window + chunk))


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a model, in bytes.

    bundles: of each module whose weights are streamed, in the model's order. caches: of each layer. resident_bytes: all
    weights that are no bundles, as they are in memory. looked_up_bytes: of these, tables of which a token takes a row
    and which are nothing else. head_bytes: of these, the matrix that makes logits. vocabulary: tokens, 0 where nobody
    says. context: tokens that the model was made for. parts: matrices that a bundle is made of. dtype, compute_dtype:
    of weights as stored, and as computed. parallel: whether attention and FFN are side by side. packed: whether weights
    are quantised. small_caches: of each layer with keys and values in 8 bits; none where that is not possible.
    """

    bundles: tuple[BundleShape, ...]
    caches: tuple[CacheShape, ...]
    resident_bytes: int
    looked_up_bytes: int
    head_bytes: int
    vocabulary: int
    context: int
    dtype: str
    compute_dtype: str
    parts: int = 1
    parallel: bool = False
    packed: bool = False
    small_caches: tuple[CacheShape, ...] = ()

    @classmethod
    def of_checkpoint(cls, lazy: LazyModel, found: Streamable) -> "ModelShape":
        """The shape of a checkpoint's model whose experts were taken out, and of which nothing is evaluated. found: all
        of it that can be streamed."""
        matrices = {_laid_out_linear(each): _bytes_in(matrix_of(each.module)) for each in found.linears}
        matrices |= {_laid_out_rows(each): _bytes(each.module) for each in found.tables}
        matrices |= {_laid_out_columns(each.path, each.neurons): 0 for each in found.by_neurons if each.neurons}
        experts = [_laid_out(each) for each in found.experts]
        return _of_mlx_lm(lazy.network, lazy.config, experts, matrices, stored_name(lazy.config))

    @classmethod
    def from_config(
        cls, config: Config, dtype: str | None = None, compute_dtype: str | None = None, bits: int | None = None
    ) -> "ModelShape":
        """The shape of a Hugging Face config.json, parsed. dtype: as stored, None takes the config's; compute_dtype: as
        computed and resident, None for the same. Quantised weights stay as they are stored. bits: of neurons that
        `prepare` quantises.

        Raises CheckpointError for a config that no architecture makes a model of.
        """
        try:
            text = json.dumps(config, sort_keys=True)
        except (TypeError, ValueError, RecursionError) as error:
            raise CheckpointError("config.json is no table of plain values: {error}", error=error) from error
        return _shape(text, dtype, compute_dtype, bits)

    @property
    def streams_neurons(self) -> bool:
        """True if neurons are the bundles."""
        return any(bundle.kind == "neuron" for bundle in self.bundles)

    @property
    def kind(self) -> BundleKind | None:
        """The kind of bundle that the model is streamed by; None for a model all of which is resident."""
        return chief_kind(self.bundles)

    @property
    def chief_bundles(self) -> tuple[BundleShape, ...]:
        """The bundles of that kind, of each module that has such."""
        return tuple(bundle for bundle in self.bundles if bundle.kind == self.kind)

    @property
    def layers(self) -> int:
        """Modules with such bundles: the layers, but for those that are resident."""
        return len(self.chief_bundles)

    @property
    def neurons(self) -> int:
        """Bundles of a layer."""
        return self.bundles[0].count

    @property
    def row_bytes(self) -> int:
        """Of one bundle in its slot."""
        return self.bundles[0].bytes

    @property
    def bundle_bytes(self) -> int:
        """Of all bundles, with their padding."""
        return sum(bundle.total_bytes for bundle in self.bundles)

    @property
    def attention_bytes(self) -> int:
        """Of what is multiplied for each token beside bundles and head."""
        return self.resident_bytes - self.looked_up_bytes - self.head_bytes

    @property
    def model_bytes(self) -> int:
        """The bytes that naive loading reads for every token."""
        return self.resident_bytes + self.bundle_bytes

    def context_bytes(self, tokens: int, chunk: int = 0) -> int:
        """Of keys and values, and what else layers remember, of so many tokens, of which `chunk` come at once."""
        return sum(cache.bytes(tokens, chunk) for cache in self.caches)

    def snapshot_bytes(self, tokens: int, chunk: int = 0) -> int:
        """Of a snapshot of what cannot be trimmed, after so many tokens."""
        return sum(cache.bytes(tokens, chunk) for cache in self.caches if not cache.always_trims)


def chief_kind(bundles: Iterable[BundleShape]) -> BundleKind | None:
    """The kind that a model is streamed by: experts, where linears and tables are streamed beside them; None for no
    bundles."""
    kinds = {bundle.kind for bundle in bundles}
    order: tuple[BundleKind, ...] = ("neuron", "expert", "block", "row")
    return next((kind for kind in order if kind in kinds), None)


def flash_bytes(bundles: Sequence[BundleShape]) -> int:
    """The bytes that stay on flash unless there is room for them: of a model of experts, theirs alone, as for all else
    there usually is."""
    experts = [bundle for bundle in bundles if bundle.kind == "expert"]
    return sum(bundle.count * bundle.stored_bytes for bundle in experts or bundles)


@lru_cache(KEPT_SHAPES)
def _shape(text: str, dtype: str | None, compute_dtype: str | None, bits: int | None) -> ModelShape:
    config = json.loads(text)
    stored = dtype or stored_name(config)
    stored = stored if stored in DTYPES else "float16"
    with parsing(Path("config.json"), CheckpointError, Text("Download the model again.")):
        if _streams_neurons(config):
            return _of_neurons(*build(config), stored, compute_dtype or stored, bits)
        network = build_mlx_lm(config)
        found = [_built(path, module) for path, module in containers(network)]
        with probed(network, {each.bundles.path: each.width for each in found}):
            matrices = dict(_built_matrices(uses_of(network)))
        return _of_mlx_lm(network, config, found, matrices, stored)


def _streams_neurons(config: Config) -> bool:
    """True if neurons of its FFN are bundles; the same model_type may also be mlx-lm's, with another activation."""
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in ARCHITECTURES:
        return False
    family = ARCHITECTURES[model_type]
    quantised = config.get("quantization") or config.get("quantization_config")
    return not quantised and (family.key not in config or config[family.key] in family.activations)


def _of_neurons(model: CausalModel, args: ModelArgs, stored: str, computed: str, bits: int | None) -> ModelShape:
    weights = dict(tree_flatten(model.parameters()))
    item = DTYPES[computed].size
    resident = sum(w.size for name, w in weights.items() if ".ffn." not in name)
    biases = [bias.size for layer in model.layers for bias in layer.ffn.biases() if bias is not None]
    head = weights[f"{model.head}.weight"].size
    tables = {f"{path}.weight" for path, module in model.named_modules() if isinstance(module, Embedding)}
    looked_up = sum(weights[name].size for name in tables - {f"{model.head}.weight"})
    ffns = {f"model.layers.{i}.ffn": layer.ffn for i, layer in enumerate(model.layers)}
    return ModelShape(
        bundles=tuple(_neurons(path, ffn, stored, bits) for path, ffn in ffns.items()),
        caches=tuple(replace(_cache(cache, item), step=1) for cache in shaped_caches(model)),
        resident_bytes=(resident + sum(biases)) * item,
        looked_up_bytes=looked_up * item,
        head_bytes=head * item,
        vocabulary=args.vocab_size,
        context=args.max_position_embeddings,
        parts=len(model.layers[0].ffn.activation.parts),
        dtype=stored,
        compute_dtype=computed,
        parallel=getattr(args, "parallel_attn", args.model_type == "phi"),
    )


def _neurons(path: str, ffn: DenseFFN, stored: str, bits: int | None) -> BundleShape:
    parts = ffn.bundle_parts()
    neurons, width = parts[0].shape
    if bits is not None:
        packing = Packing.of(bits, ffn.activation.parts, width, stored)
        return BundleShape("neuron", path, packing.bundles(neurons), packing.row_bytes, packing.row_bytes)
    row_bytes = padded_row_bytes(len(parts) * width * DTYPES[stored].size)
    return BundleShape("neuron", path, neurons, row_bytes, row_bytes)


@dataclass(frozen=True)
class _Experts:
    """A container of experts, of which it is not known yet how many a token needs. width: of its output. resident:
    bytes of its matrices that the network still counts among its own."""

    bundles: BundleShape
    width: int
    resident: int = 0


def _of_mlx_lm(
    network: Module, config: Config, experts: Sequence[_Experts], matrices: Mapping[BundleShape, int], stored: str
) -> ModelShape:
    """Of a model of mlx-lm's. matrices: linears and tables that can be streamed, with the bytes of each as it is."""
    widths = {each.bundles.path: each.width for each in experts}
    with parsing(Path("config.json"), CheckpointError, DOWNLOAD_AGAIN), probed(network, widths) as probes:
        caches = tuple(_cache(cache) for cache in shaped_caches(network, PROBE_TOKENS))
        small = tuple(map(_cache, small_caches(network, PROBE_TOKENS) or ()))
        for each, probe in zip(experts, probes, strict=True):
            _check_chosen(probe.chosen, each.bundles.count)
    chosen = (replace(e.bundles, chosen=probe.chosen) for e, probe in zip(experts, probes, strict=True))
    looked_up, head = _resident_tables(network, matrices)
    return ModelShape(
        bundles=(*chosen, *matrices),
        caches=caches,
        small_caches=small,
        resident_bytes=_bytes(network) - sum(each.resident for each in experts) - sum(matrices.values()),
        looked_up_bytes=looked_up,
        head_bytes=head,
        vocabulary=first_number(config, ("vocab_size",)) or 0,
        context=first_number(config, CONTEXT_KEYS) or MAX_CONTEXT,
        dtype=stored,
        compute_dtype=stored,
        packed=quantisation_of(config) is not None,
    )


def _resident_tables(network: Module, matrices: Iterable[BundleShape]) -> tuple[int, int]:
    """The bytes of tables that are only looked up, and of the matrix that makes logits, where they cannot be
    streamed."""
    taken, with_head = {each.path for each in matrices}, any(each.is_head for each in matrices)
    named = [(path, module) for path, module in network.named_modules() if path not in taken]
    tables = {path: _bytes(module) for path, module in named if isinstance(module, TABLES)}
    head = {path: _bytes(module) for path, module in named if path.split(".")[-1] == "lm_head"}
    tied = {path: size for path, size in tables.items() if path.endswith("embed_tokens")}
    tied = {} if head or with_head else tied
    return sum(tables.values()) - sum(tied.values()), sum((head or tied).values())


def _check_chosen(chosen: int, count: int) -> None:
    if chosen > count:  # 0: a container that no token reaches
        raise FlawError("it chooses {chosen} of {count} experts", chosen=chosen, count=count)


def _built(path: str, container: Module) -> _Experts:
    """A container whose matrices are there, though not evaluated; what else is in it, such as a norm, is resident."""
    linears = [child for child in container.children().values() if isinstance(child, SWITCHES)]
    count, rows = linears[0].weight.shape[0], [linear.weight.shape[-2] for linear in linears]
    size = sum(map(_bytes, linears))
    arrays = [array for linear in linears for array in linear.parameters().values()]
    bundles = BundleShape("expert", path, count, padded_row_bytes(size // count), size // count, len(arrays), sum(rows),
                          item_bytes=min(array.itemsize for array in arrays))  # fmt: skip
    return _Experts(bundles, rows[-1], size)


def _laid_out_linear(linear: LinearBlocks) -> BundleShape:
    """The blocks of a linear, or its rows. With a slot for each of them it stays as it is, perhaps in another dtype."""
    layout = linear.active.layout if linear.active else linear.layout
    size = max(layout.slot_bytes, -(-_bytes_in(matrix_of(linear.module)) // layout.bundles))
    if linear.active:
        return BundleShape("row", linear.path, layout.bundles, size, layout.bundle_bytes, linear.active.reads,
                           active_share=linear.active.ffn.active_share)  # fmt: skip
    rows = layout.tensors["weight"].shape[0]
    return BundleShape(
        "block", linear.path, layout.bundles, size, layout.bundle_bytes, numbers=rows, is_head=linear.is_head
    )


def _laid_out_rows(table: TableRows) -> BundleShape:
    """The rows of a table. With a slot for each of them it stays as it is, perhaps in another dtype."""
    layout = table.layout
    size = max(layout.slot_bytes, -(-_bytes(table.module) // layout.bundles))
    return BundleShape("row", table.path, layout.bundles, size, layout.bundle_bytes, len(layout.tensors), chosen=1)


def _built_matrices(uses: Uses) -> Iterator[tuple[BundleShape, int]]:
    """Linears and tables whose tensors are there, though not evaluated, with their bytes."""
    for path, module in uses.linears:
        yield _built_blocks(path, module, path == uses.head), _bytes_in(matrix_of(module))
    for path, module in uses.only_tables:
        yield _built_rows(path, module), _bytes(module)


def _built_blocks(path: str, linear: Module, is_head: bool) -> BundleShape:
    matrix = matrix_of(linear)
    rows = block_rows(matrix)
    count = -(-matrix["weight"].shape[0] // rows)
    size = -(-_bytes_in(matrix) // count)
    padded = -(-size // SLOT_ALIGNMENT) * SLOT_ALIGNMENT
    return BundleShape("block", path, count, padded, size, numbers=rows, is_head=is_head)


def _built_rows(path: str, table: Module) -> BundleShape:
    matrix = matrix_of(table)
    count = matrix["weight"].shape[0]
    size = sum(array.nbytes // count for array in matrix.values())
    padded = sum(-(-array.nbytes // count // VIEW_ALIGNMENT) * VIEW_ALIGNMENT for array in matrix.values())
    return BundleShape("row", path, count, padded, size, len(matrix), chosen=1)


def _laid_out(expert: ExpertContainer) -> _Experts:
    """A container whose matrices stay in a checkpoint's files."""
    layout = expert.layout
    rows = [tensor.shape[0] for name, tensor in layout.tensors.items() if name.endswith(".weight")]
    rows += [expert.width] if expert.by_neurons else []
    bundles = BundleShape("expert", expert.path, layout.bundles, layout.slot_bytes, layout.bundle_bytes,
                          len(layout.tensors), sum(rows),
                          item_bytes=min(tensor.dtype.size for tensor in layout.tensors.values()))  # fmt: skip
    return _Experts(bundles, expert.width)


def _laid_out_columns(path: str, neurons: ExpertNeurons) -> BundleShape:
    """The columns of a container's experts, a neuron a bundle."""
    form = neurons.form
    slot = -(-form.column_bytes // VIEW_ALIGNMENT) * VIEW_ALIGNMENT
    return BundleShape("row", f"{path}.fc2", form.stored.shape[0], slot, form.column_bytes, neurons.reads, item_bytes=4,
                       active_share=neurons.active_share, owners=form.experts)  # fmt: skip


def _cache(cache: Any, item: int | None = None) -> CacheShape:
    """The shape of an unevaluated cache of mlx-lm's. item: bytes of its elements, None for those that it has."""
    if inner := getattr(cache, "caches", None):
        shapes = [_cache(each, item) for each in inner]
        windows = [shape.window for shape in shapes if shape.row_bytes]
        return CacheShape(
            sum(shape.row_bytes for shape in shapes),
            sum(shape.fixed_bytes for shape in shapes),
            windows[0] if windows else None,
        )
    keys = getattr(cache, "keys", None)
    if keys is None:
        return CacheShape(0, _bytes_in(cache.state))
    arrays = [keys, cache.values] if isinstance(keys, mx.array) else [*keys, *cache.values]
    rows = sum(array.size * (item or array.dtype.size) // array.shape[2] for array in arrays)
    return CacheShape(rows, window=getattr(cache, "max_size", None))


def _bytes(module: Module) -> int:
    return _bytes_in(module.parameters())


def _bytes_in(tree: Any) -> int:
    """The bytes of all arrays in nested lists and tables."""
    arrays: Any = tree_flatten(tree)
    return sum(array.nbytes for _, array in arrays if isinstance(array, mx.array))


def first_number(config: Config, keys: tuple[str, ...]) -> int | None:
    """The first of some numbers that a config, or its part about text, gives; of a list by layer, its largest."""
    for part in (config.get("text_config"), config):
        for value in (part.get(key) for key in keys) if isinstance(part, dict) else ():
            numbers = [number for number in (value if isinstance(value, list) else [value]) if isinstance(number, int)]
            if numbers and min(numbers) > 0:
                return max(numbers)
    return None
