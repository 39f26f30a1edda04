"""What a prepared model will hold in memory under given settings, before anything is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass

import mlx.core as mx
from mlx_lm.models.cache import KVCache

from engine.arrays.dtypes import stored_dtype
from engine.memory.budget import FLOAT32_BELOW, SHARE_WITHOUT_BUDGET, SPARE_ROWS, MemoryBudget, PoolDemand, plan
from engine.models.activations import Activation
from engine.settings import Settings
from engine.store.manifest import PreparedModel
from engine.store.reports import LayerReport
from engine.store.stored_tensor import StoredTensor
from engine.streaming.ring import BUFFERS

PREFILL_TOKENS = 256  # a prompt is prefilled in blocks of this many tokens, each one reading every layer once
OVERHEAD = 16_000_000  # bytes: reader threads, the interpreter's own growth, allocator slack


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
    """What of a model its memory depends on, read from its files once: a plan for other settings is then arithmetic.

    resident, predictors: weights, in elements. key_width: of a layer's keys, in elements. decisive: rows of a bundle
    that exact selection keeps. tokenizer: bytes of its files.
    """

    prepared: PreparedModel
    resident: int
    predictors: int
    key_width: int
    context: int
    vocabulary: int
    decisive: int
    tokenizer: int

    @classmethod
    def of(cls, prepared: PreparedModel, args, activation: Activation) -> "Sizes":
        """args: the architecture's ModelArgs."""
        return cls(
            prepared,
            _elements(prepared.resident),
            _elements(prepared.predictors),
            args.key_width,
            args.max_position_embeddings,
            args.vocab_size,
            activation.decisive,
            sum(file.stat().st_size for file in prepared.folder.glob("*token*.json")),
        )


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
    context = min(sizes.context, settings.context or sizes.context)
    piece = min(max(layer.bytes for layer in bundles.layers), max(2 << 20, roomy // 16) // BUFFERS, 8 << 20)
    cache_limit = min(256 << 20, max(4 << 20, roomy // 16))
    fixed = {
        "resident": sizes.resident * dtype.size,
        **_selector_bytes(sizes, settings, dtype),
        "kv_cache": _kv_cache_bytes(sizes, context, dtype),
        "workspace": _workspace_bytes(sizes, dtype, piece) + cache_limit + OVERHEAD,
    }
    demands = [_demand(prepared, settings, i) for i in range(len(bundles.layers))]
    share = 0.0 if settings.selection == "dense" else SHARE_WITHOUT_BUDGET
    budget = plan(settings.memory_budget, fixed, demands, share)
    return MemoryPlan(budget, dtype, context, cache_limit, piece)


def compute_dtype(prepared: PreparedModel, settings: Settings) -> mx.Dtype:
    small = prepared.bytes < FLOAT32_BELOW
    if settings.compute_dtype == "float32" or (small and settings.compute_dtype is None):
        return mx.float32
    return stored_dtype(prepared.bundles.dtype)


def selected_share(report: LayerReport, selection: str) -> float:
    """Share of a layer's neurons that one token needs, by what was measured while preparing."""
    density = max(0.01, 1 - report.sparsity)
    return min(1.0, density + (report.false_positives if selection == "predictor" else 0.0))


def _elements(tensors: Mapping[str, StoredTensor]) -> int:
    return sum(tensor.size for tensor in tensors.values())


def _selector_bytes(sizes: Sizes, settings: Settings, dtype: mx.Dtype) -> dict[str, int]:
    if settings.selection == "predictor":
        return {"predictors": sizes.predictors * dtype.size}
    if settings.selection == "exact":
        bundles = sizes.prepared.bundles
        rows = sum(layer.neurons for layer in bundles.layers)
        return {"exact_selection": rows * sizes.decisive * bundles.width * dtype.size}
    return {}


def _kv_cache_bytes(sizes: Sizes, context: int, dtype: mx.Dtype) -> int:
    """Keys and values of a full context; the cache grows in steps, and one layer's is there twice while it does."""
    layers, rows = len(sizes.prepared.bundles.layers), -(-context // KVCache.step) * KVCache.step
    return 2 * (layers + 2) * rows * sizes.key_width * dtype.size


def _workspace_bytes(sizes: Sizes, dtype: mx.Dtype, piece: int) -> int:
    """Stream buffers, activations of one prefill block, logits, and the tokenizer's tables."""
    bundles = sizes.prepared.bundles
    converted = 2 * piece if dtype.size != stored_dtype(bundles.dtype).size else 0
    activations = PREFILL_TOKENS * 4 * (3 * (piece // bundles.layers[0].row_bytes) + 8 * bundles.width)
    return BUFFERS * piece + converted + activations + 4 * 4 * sizes.vocabulary + 8 * sizes.tokenizer


def _demand(prepared: PreparedModel, settings: Settings, layer: int) -> PoolDemand:
    """A pool must hold one usual token's active set; beyond that, busier layers want more."""
    place, report = prepared.bundles.layers[layer], prepared.layer_reports[layer]
    if settings.selection == "dense":
        return PoolDemand(place.row_bytes, place.neurons, 0, 1.0)
    selected = selected_share(report, settings.selection)
    minimum = min(place.neurons, int(SPARE_ROWS * selected * place.neurons) + 1)
    return PoolDemand(place.row_bytes, place.neurons, minimum, selected)
