"""The sizes of a checkpoint that is run as it is: experts on flash, the rest computed by mlx-lm."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import mlx.core as mx
from mlx.nn.layers.base import Module

from engine.arrays.layers import attends_natively
from engine.arrays.packed import available, panels_bytes
from engine.models.checkpoint import LazyModel, load_lazily
from engine.planning.layers import ExpertLayer, StreamedLayer, layers_of
from engine.planning.logits import logits_bytes
from engine.planning.memory import ROOMY_DIVISOR, Workspace, prompt_share
from engine.planning.overhead import overhead_bytes
from engine.planning.shape import BundleShape, ModelShape, first_number
from engine.planning.ways import ReadWays, as_read
from engine.settings import Settings
from engine.store.columns import read_columns
from engine.store.mlx_folder import MlxFolder
from engine.streaming.found import Streamable, find_streamable
from engine.streaming.ring import BUFFERS
from engine.system.machine import memory_available

MIN_CHUNK, MAX_CHUNK = 128, 4096  # tokens of a prompt that are computed at once
MAX_PAIRS = 32_767  # of tokens and their experts in one product: beyond it some versions of MLX are wrong on Metal
MAX_BUFFER_BYTES = 8 << 20
FLOAT_BYTES = 4  # of what is computed, at most
HEAD_KEYS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
TOKEN_BYTES = 1 << 16  # that a prompt's token is computed with, of a model without experts, at least
OPEN_OUTPUTS = 12  # of a linear that are there at once: blocks, joined, gated, and their copies for products
OPEN_EXPERT_OUTPUTS = 5  # of a token's experts: copies for products, part by part, joined, in the tokens' own order
OPEN_NATIVE_OUTPUTS = 2  # the same where products are native, and go to their places part by part
LOGITS_COPIES, SCORES_COPIES = 4, 2  # scores: of attention, where no GPU fuses them
EXPERT_HEAP_BYTES = 16_000_000  # that sorting tokens by expert leaves in pieces, as measured


@dataclass(frozen=True)
class CheckpointSizes:
    """Sizes of a model whose experts are taken out, and which is not evaluated. heads: of a layer's attention
    whose scores are there at once. ways: to read linears of which a token needs active rows alone."""

    network: ModelShape
    stored_bytes: int
    overhead: int
    heads: int
    available: int = 0
    ways: ReadWays | None = None

    @classmethod
    def of(cls, checkpoint: MlxFolder) -> "CheckpointSizes":
        """Of a checkpoint that is not loaded. Raises CheckpointError."""
        lazy = load_lazily(checkpoint.folder)
        found = find_streamable(lazy, checkpoint.tensors, read_columns(checkpoint.folder))
        compute_as_here(lazy.network)
        return cls.of_built(lazy, *as_read(lazy, found, checkpoint.folder), checkpoint)

    @classmethod
    def of_built(
        cls, lazy: LazyModel, found: Streamable, ways: ReadWays | None, checkpoint: MlxFolder
    ) -> "CheckpointSizes":
        """found: of the model, as it is read; experts are taken out of it. ways: that were chosen from."""
        shape = ModelShape.of_checkpoint(lazy, found)
        heads = 0 if attends_natively(lazy.network) else first_number(lazy.config, HEAD_KEYS) or 0
        overhead = overhead_bytes(checkpoint.folder)
        return cls(shape, checkpoint.bytes, overhead, heads, memory_available(), ways)

    def shape(self, settings: Settings) -> ModelShape:
        """The shape of the model: it is computed as it is stored; its context may be kept smaller."""
        if self.keeps_small(settings):
            return replace(self.network, caches=self.network.small_caches)
        return self.network

    def keeps_small(self, settings: Settings) -> bool:
        """True where keys and values are kept in 8 bits."""
        return settings.small_context and bool(self.network.small_caches)

    def layers(self, settings: Settings) -> Sequence[StreamedLayer]:  # noqa: ARG002
        """The layers' experts, the linears, of which the FFNs' are the first to be streamed, and the tables."""
        return layers_of(self.network)

    def selector_bytes(self, settings: Settings) -> dict[str, int]:  # noqa: ARG002
        """Nothing: the router is a part of the model."""
        return {}

    def workspace(self, settings: Settings, context: int, roomy: int) -> Workspace:
        """Stream buffers, what a chunk of a prompt is computed with, and the logits."""
        buffer = self._buffer(roomy)
        chunk, token = self._chunk(context, roomy)
        logits = LOGITS_COPIES * FLOAT_BYTES * self.network.vocabulary
        passed = logits_bytes(self.network.vocabulary, LOGITS_COPIES, settings)
        heap = EXPERT_HEAP_BYTES if self._has_experts else 0
        size = BUFFERS * buffer + max(chunk * token + logits + heap + panels_bytes(), passed)
        return Workspace(size, chunk, buffer, chunk * token)

    def _buffer(self, roomy: int) -> int:
        """Bytes of one of the ring's buffers, a slot's at least. Together they hold as much as the largest linear of a
        layer: so much is read while attention, or what else has room, is computed."""
        slot = max((bundles.bytes for bundles in self.network.bundles if bundles.kind != "row"), default=0)
        linear = max((each.total_bytes for each in self._linears), default=0)
        share = prompt_share(roomy) if self._has_experts else roomy // ROOMY_DIVISOR
        return max(slot, min(max(share, linear) // BUFFERS, MAX_BUFFER_BYTES))

    def _chunk(self, context: int, roomy: int) -> tuple[int, int]:
        """Tokens of a prompt at once, and the bytes that one of them takes: in the layer that takes most, and for
        attention's scores."""
        layers = [ExpertLayer(bundles) for bundles in self.network.bundles if bundles.kind == "expert"]
        open_outputs = OPEN_NATIVE_OUTPUTS if available() else OPEN_EXPERT_OUTPUTS
        outputs = [open_outputs * FLOAT_BYTES * layer.chosen * layer.bundles.numbers for layer in layers]
        token = max(self._linear_token, max(outputs, default=0))
        if not mx.metal.is_available():
            token += SCORES_COPIES * FLOAT_BYTES * self.heads * context
        most = min(MAX_CHUNK, MAX_PAIRS // max((layer.chosen for layer in layers), default=1))
        return max(min(MIN_CHUNK, most), min(most, prompt_share(roomy) // token)), token

    @property
    def _has_experts(self) -> bool:
        return any(bundles.kind == "expert" for bundles in self.network.bundles)

    @property
    def _linear_token(self) -> int:
        """Bytes that a prompt's token is computed with in linears: several outputs of the widest, which the head is
        not, as it makes the logits of one token alone."""
        widest = max((each.count * each.numbers for each in self._linears), default=0)
        return max(TOKEN_BYTES, OPEN_OUTPUTS * FLOAT_BYTES * widest)

    @property
    def _linears(self) -> list[BundleShape]:
        """Those of the layers."""
        return [each for each in self.network.bundles if each.kind == "block" and not each.is_head]


def compute_as_here(network: Module) -> None:
    """Let an unevaluated model compute in what this machine computes best: the CPU's products are exact and fast in
    float32 alone."""
    if not mx.metal.is_available():
        network.set_dtype(mx.float32)
