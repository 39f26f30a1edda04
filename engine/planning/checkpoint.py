"""The memory that a checkpoint will take that is run as it is, item by item, before anything of it is evaluated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.embedding import Embedding
from mlx.nn.layers.quantized import QuantizedEmbedding
from mlx.utils import tree_flatten
from mlx_lm.models.cache import KVCache, make_prompt_cache

from engine.memory.budget import SHARE_WITHOUT_BUDGET, MemoryBudget, PoolDemand, plan
from engine.planning.memory import OVERHEAD
from engine.settings import Settings
from engine.store.layout import Layout
from engine.streaming.install import ExpertContainer, probed
from engine.streaming.ring import BUFFERS

USUAL_CONTEXT = 8192  # tokens, where nobody says how many: caches of the longest would take all memory
MIN_CHUNK, MAX_CHUNK = 128, 4096  # tokens of a prompt that are computed at once
MAX_PAIRS = 32_767  # of tokens and their experts in one product: beyond it some versions of MLX are wrong on Metal
FLOAT_BYTES = 4  # of what is computed, at most
CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length", "model_max_length")
MAX_CONTEXT, MAX_VOCABULARY = 1 << 20, 1 << 30  # tokens, where the config does not say


@dataclass(frozen=True)
class ExpertShape:
    """One container. chosen: experts that a token needs. widths: of all its matrices' outputs together."""

    layout: Layout
    chosen: int

    @property
    def widths(self) -> int:
        """Numbers that an expert computes for a token, all its matrices together."""
        return sum(tensor.shape[0] for name, tensor in self.layout.tensors.items() if name.endswith(".weight"))


@dataclass(frozen=True)
class CheckpointPlan:
    """budget: items, and slots by container. chunk: tokens of a prompt that are computed at once. cache_limit,
    ring_bytes: that MLX may keep, and of one of the ring's buffers."""

    budget: MemoryBudget
    context: int
    chunk: int
    cache_limit: int
    ring_bytes: int


@dataclass(frozen=True)
class CheckpointSizes:
    """Sizes of a model whose experts are taken out, and which is not evaluated. cache_bytes: of one token's caches, and
    of what each further step of tokens adds. looked_up: bytes of resident tables of which a token takes a row."""

    resident: int
    experts: Sequence[ExpertShape]
    cache_bytes: tuple[int, int]
    context: int
    vocabulary: int
    stored: int
    looked_up: int = 0

    @classmethod
    def of(
        cls, network: Module, config: Mapping[str, Any], experts: Sequence[ExpertContainer], stored: int
    ) -> "CheckpointSizes":
        """Of a model that is not evaluated. stored: bytes of the checkpoint's weights."""
        with probed(network, experts) as probes:
            caches = cache_bytes(network)
        shapes = [ExpertShape(expert.layout, probe.chosen) for expert, probe in zip(experts, probes, strict=True)]
        context, vocabulary = longest_context(config), vocabulary_of(config)
        return cls(resident_bytes(network), shapes, caches, context, vocabulary, stored, looked_up_bytes(network))

    def plan(self, settings: Settings) -> CheckpointPlan:
        """Raises BudgetError. The workspace grows only with what is left beyond the smallest budget."""
        if settings.memory_budget is None:
            return self._plan(settings, self.stored)
        frugal = self._plan(settings, 0)
        return self._plan(settings, settings.memory_budget - frugal.budget.smallest)

    def _plan(self, settings: Settings, roomy: int) -> CheckpointPlan:
        context = min(self.context, settings.context or USUAL_CONTEXT)
        slot = max((expert.layout.slot_bytes for expert in self.experts), default=0)
        ring = max(slot, min(roomy // 16 // BUFFERS, 8 << 20))
        cache_limit = min(256 << 20, max(4 << 20, roomy // 16))
        chunk, token = self._chunk(roomy)
        first, step = self.cache_bytes
        fixed = {
            "resident": self.resident,
            "kv_cache": first + step * (-(-context // KVCache.step)),
            "workspace": BUFFERS * ring + chunk * token + 4 * FLOAT_BYTES * self.vocabulary + cache_limit + OVERHEAD,
        }
        budget = plan(settings.memory_budget, fixed, [_demand(expert) for expert in self.experts], SHARE_WITHOUT_BUDGET)
        return CheckpointPlan(budget, context, chunk, cache_limit, ring)

    def _chunk(self, roomy: int) -> tuple[int, int]:
        """Tokens of a prompt at once, and the bytes that one of them takes in the layer that takes most."""
        token = max((FLOAT_BYTES * expert.chosen * expert.widths for expert in self.experts), default=1 << 16)
        chosen = max((expert.chosen for expert in self.experts), default=1)
        most = min(MAX_CHUNK, MAX_PAIRS // chosen)
        return max(min(MIN_CHUNK, most), min(most, roomy // 16 // token)), token


def longest_context(config: Mapping[str, Any]) -> int:
    """Tokens that a model was made for."""
    return next(
        (n for part in _parts(config) for key in CONTEXT_KEYS if isinstance(n := part.get(key), int)), MAX_CONTEXT
    )


def vocabulary_of(config: Mapping[str, Any]) -> int:
    """Tokens that a model knows."""
    return next((n for part in _parts(config) if isinstance(n := part.get("vocab_size"), int)), MAX_VOCABULARY)


def _parts(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A config's part about text, and all of it."""
    text = config.get("text_config")
    return [text, config] if isinstance(text, dict) else [config]


def looked_up_bytes(network: Module) -> int:
    """Bytes of the tables of which a token takes a row, where they are no head as well."""
    modules = dict(network.named_modules())
    tables = {path: module for path, module in modules.items() if isinstance(module, Embedding | QuantizedEmbedding)}
    tied = not any(path.split(".")[-1] == "lm_head" for path in modules)
    return sum(resident_bytes(table) for path, table in tables.items() if not (tied and path.endswith("embed_tokens")))


def resident_bytes(network: Module) -> int:
    """Bytes of all parameters."""
    parameters: Any = tree_flatten(network.parameters())
    return sum(parameter.nbytes for _, parameter in parameters)


def cache_bytes(network: Module) -> tuple[int, int]:
    """Bytes of all caches after one token, and those that each further step of tokens adds; nothing is evaluated."""
    one, more = (_bytes_after(network, tokens) for tokens in (1, KVCache.step + 1))
    return one, more - one


def _bytes_after(network: Module, tokens: int) -> int:
    caches: list[Any] = make_prompt_cache(network)
    network(mx.zeros((1, tokens), mx.int32), cache=caches)
    return sum(cache.nbytes for cache in caches)


def _demand(expert: ExpertShape) -> PoolDemand:
    """A pool must hold one token's experts."""
    layout = expert.layout
    return PoolDemand(layout.slot_bytes, layout.bundles, min(expert.chosen, layout.bundles), 1.0)
