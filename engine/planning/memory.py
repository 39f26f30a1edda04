"""The memory plan of a prepared model under given settings, before anything is loaded."""

import math
from dataclasses import dataclass

import mlx.core as mx

from engine.arrays.dtypes import NAMES, name_of, stored_dtype
from engine.arrays.products import BLOCK
from engine.memory.budget import (
    FLOAT32_BELOW,
    FREE_MEMORY_SHARE,
    SHARE_WITHOUT_BUDGET,
    SPARE_ROWS,
    MemoryBudget,
    PoolDemand,
    plan,
)
from engine.models.activations import Activation
from engine.models.config import ModelArgs
from engine.planning.shape import ModelShape
from engine.settings import Settings
from engine.store.manifest import PreparedModel
from engine.store.reports import LayerReport
from engine.streaming.ring import BUFFERS
from engine.system.machine import memory_available

PREFILL_TOKENS = 256  # a prompt is prefilled in blocks of this many tokens, each one reading every layer once
OVERHEAD = 10_000_000  # bytes: reader threads, libraries' pages, the interpreter's own growth, allocator slack
FLOAT32_BYTES = 4
LOGITS_COPIES = 8  # the last token's and this one's: as computed, as float32, and as sampling sorts and sums them
TOKENIZER_SHARE = 8  # bytes of its tables for each byte of its files
OPEN_STATES = 8  # hidden states of a block that are there at once: input, normed, queries, keys, values, sums


@dataclass(frozen=True)
class MemoryPlan:
    """budget: items and pool rows. cache_limit, piece_bytes: bytes MLX may keep, and of a piece of the layer stream."""

    budget: MemoryBudget
    dtype: mx.Dtype
    context: int
    cache_limit: int
    piece_bytes: int


@dataclass(frozen=True)
class Sizes:
    """The sizes that a prepared model's memory depends on, read from its files once: a plan for other settings is then
    arithmetic.

    predictors: weights, in elements. context: tokens that the model was made for. width: of the hidden state. heads: of
    keys. decisive: rows of a bundle that exact selection keeps. tokenizer: bytes of its files.
    available: bytes of memory that were free when it was read; where it is not known, 0.
    """

    prepared: PreparedModel
    predictors: int
    context: int
    width: int
    heads: int
    decisive: int
    tokenizer: int
    available: int = 0

    @classmethod
    def of(cls, prepared: PreparedModel, args: ModelArgs, activation: Activation) -> "Sizes":
        """args: the architecture's."""
        return cls(
            prepared,
            sum(math.prod(tensor.shape) for tensor in prepared.predictors.values()),
            args.max_position_embeddings,
            args.hidden_size,
            args.num_key_value_heads,
            activation.decisive,
            sum(file.stat().st_size for file in prepared.folder.glob("*token*.json")),
            memory_available(),
        )

    def shape(self, dtype: mx.Dtype) -> ModelShape:
        """The shape of the model, computed in `dtype`."""
        stored = NAMES[self.prepared.bundles.dtype]
        return ModelShape.from_config(self.prepared.config, stored, name_of(dtype))


def plan_memory(sizes: Sizes, settings: Settings) -> MemoryPlan:
    """Plan a model's memory. Raises BudgetError.

    The workspace grows only with what is left beyond the smallest budget: so more memory is never worse.
    """
    if settings.memory_budget is None:
        return _plan(sizes, settings, sizes.prepared.bytes)
    frugal = _plan(sizes, settings, 0)
    return _plan(sizes, settings, settings.memory_budget - frugal.budget.smallest)


def _plan(sizes: Sizes, settings: Settings, roomy: int) -> MemoryPlan:
    """roomy: bytes that the workspace is in proportion to."""
    prepared = sizes.prepared
    bundles, dtype = prepared.bundles, compute_dtype(prepared, settings)
    shape = sizes.shape(dtype)
    context = min(sizes.context, settings.context or sizes.context)
    piece = min(max(layer.bytes for layer in bundles.layers), max(2 << 20, roomy // 16) // BUFFERS, 8 << 20)
    cache_limit = min(256 << 20, max(4 << 20, roomy // 16))
    fixed = {
        "resident": shape.resident_bytes,
        **_selector_bytes(sizes, settings, dtype),
        "kv_cache": _kv_cache_bytes(shape, context),
        "workspace": _workspace_bytes(sizes, shape, context, piece) + cache_limit + OVERHEAD,
    }
    demands = [_demand(prepared, settings, i) for i in range(len(bundles.layers))]
    budget = plan(settings.memory_budget, fixed, demands, _share_without_budget(sizes, settings, fixed, demands))
    return MemoryPlan(budget, dtype, context, cache_limit, piece)


def _share_without_budget(sizes: Sizes, settings: Settings, fixed: dict[str, int], demands: list[PoolDemand]) -> float:
    """The share of all neurons that gets a row where nobody chose a budget: all where free memory allows, else half."""
    if settings.selection == "dense":
        return 0.0
    everything = sum(fixed.values()) + sum(demand.bytes(demand.neurons) for demand in demands)
    return 1.0 if everything <= FREE_MEMORY_SHARE * sizes.available else SHARE_WITHOUT_BUDGET


def compute_dtype(prepared: PreparedModel, settings: Settings) -> mx.Dtype:
    """The dtype that is computed in: as is asked for, else float32 for a small model, else as it is stored."""
    small = prepared.bytes < FLOAT32_BELOW
    if settings.compute_dtype == "float32" or (small and settings.compute_dtype is None):
        return mx.float32
    return stored_dtype(prepared.bundles.dtype)


def selected_share(report: LayerReport, selection: str) -> float:
    """Share of a layer's neurons that one token needs, by what was measured while preparing."""
    density = max(0.01, 1 - report.sparsity)
    return min(1.0, density + (report.false_positives if selection == "predictor" else 0.0))


def _selector_bytes(sizes: Sizes, settings: Settings, dtype: mx.Dtype) -> dict[str, int]:
    if settings.selection == "predictor":
        return {"predictors": sizes.predictors * dtype.size}
    if settings.selection == "exact":
        bundles = sizes.prepared.bundles
        rows = sum(layer.neurons for layer in bundles.layers)
        return {"exact_selection": rows * sizes.decisive * bundles.width * dtype.size}
    return {}


def _kv_cache_bytes(shape: ModelShape, context: int) -> int:
    """Keys and values of a full context, and one layer's keys or values again: while they grow they are there twice."""
    return shape.context_bytes(context) + max(cache.bytes(context) for cache in shape.caches) // 2


def _workspace_bytes(sizes: Sizes, shape: ModelShape, context: int, piece: int) -> int:
    """Stream buffers, what one block of a prompt is computed with or the logits are, and the tokenizer's tables."""
    logits = LOGITS_COPIES * FLOAT32_BYTES * shape.vocabulary
    block = OPEN_STATES * PREFILL_TOKENS * sizes.width * FLOAT32_BYTES
    halves = _ffn_workspace(shape, piece), _attention_workspace(sizes, shape, context)
    return BUFFERS * piece + max(block + max(halves), logits) + TOKENIZER_SHARE * sizes.tokenizer


def _ffn_workspace(shape: ModelShape, piece: int) -> int:
    """Of one piece of a layer: each part's product, what the activation makes of them, the hidden values as numpy's and
    as MLX's. Where weights are not computed in their own dtype, they are converted, at most a piece of them."""
    hidden = PREFILL_TOKENS * (piece // shape.row_bytes + 1) * FLOAT32_BYTES
    converted = min(2 * piece, 2 * FLOAT32_BYTES * BLOCK) if shape.dtype != "float32" else 0
    if mx.metal.is_available():
        converted = 2 * piece if shape.dtype != shape.compute_dtype else 0
    return (shape.parts + 3) * hidden + converted


def _attention_workspace(sizes: Sizes, shape: ModelShape, context: int) -> int:
    """Of one head: its keys and values in float32, its scores twice, and what hides the future."""
    keys = max(cache.row_bytes for cache in shape.caches) * context // max(1, sizes.heads)
    return 2 * keys + PREFILL_TOKENS * context * (2 * FLOAT32_BYTES + 1)


def _demand(prepared: PreparedModel, settings: Settings, layer: int) -> PoolDemand:
    """A pool must hold one usual token's active set; beyond that, busier layers want more."""
    place, report = prepared.bundles.layers[layer], prepared.layer_reports[layer]
    if settings.selection == "dense":
        return PoolDemand(place.row_bytes, place.neurons, 0, 1.0)
    selected = selected_share(report, settings.selection)
    minimum = min(place.neurons, int(SPARE_ROWS * selected * place.neurons) + 1)
    return PoolDemand(place.row_bytes, place.neurons, minimum, selected)
