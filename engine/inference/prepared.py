"""The execution of a prepared model: our own architectures, their neurons on flash."""

from collections.abc import Iterator
from typing import Any

import mlx.core as mx

from engine.arrays.aligned import settle_in_huge_pages
from engine.arrays.layers import use_native_layers
from engine.flash.reader import Reader
from engine.inference.context import KeyValueContext
from engine.planning.memory import MemoryPlan
from engine.planning.prepared import PreparedSizes, compute_dtype
from engine.settings import Settings
from engine.store.fitting import build_prepared
from engine.store.manifest import BUNDLES, RESIDENT, PreparedModel
from engine.streaming.install import Installation, Streaming
from engine.system.allocator import long_lived


class PreparedExecution:
    """A prepared model. Whole layers are streamed for a prompt, exactly."""

    context: KeyValueContext
    feels_pools = True  # neurons that are not selected count as well where they are in memory

    def __init__(self, prepared: PreparedModel):
        self.stored = prepared
        self.network, args = build_prepared(prepared)
        self.sizes = PreparedSizes.of_built(prepared, args, self.network.layers[0].ffn.activation)

    def measured_loss(self, settings: Settings) -> float | None:
        """As measured while preparing; only where a predictor selects, nothing is exact."""
        if not settings.selection.predicts:
            return 0.0
        measured = self.stored.manifest.calibration
        return None if settings.threshold_shift or measured is None else measured.loss

    def install(self, settings: Settings, plan: MemoryPlan, reader: Reader) -> Streaming:
        """Streamed FFNs, and what is resident in the dtype that is computed in."""
        dtype, slots = compute_dtype(self.stored, settings), plan.budget.capacities
        self.context = KeyValueContext(self.network, dtype)
        file = reader.open(self.stored.folder / BUNDLES)
        weights = resident_weights(self.stored, dtype)
        buffer_bytes = plan.workspace.buffer_bytes
        installation = Installation(self.stored, settings, dtype, slots, buffer_bytes, reader, file)
        streaming = installation.install(self.network, weights)
        self.network.load_weights(list(weights.items()), strict=True)
        use_native_layers(self.network)
        mx.eval(self.network.parameters())
        settle_in_huge_pages(self.network)
        return streaming

    def blocks(self, tokens: list[int], size: int, observed: bool, branch: int = 0) -> Iterator[list[int]]:  # noqa: ARG002
        """Each one reads every layer once."""
        for start in range(0, len(tokens), size):
            yield tokens[start : start + size]

    def compute(self, tokens: list[int], last_only: bool) -> mx.array:
        """Logits of the last token, or of all."""
        logits: mx.array = self.network(mx.array([tokens]), self.context.caches, last_only).astype(mx.float32)
        mx.eval(logits)
        return logits


def resident_weights(prepared: PreparedModel, dtype: mx.Dtype) -> dict[str, mx.array]:
    """The resident weights, in the dtype that is computed in. Nothing is there twice: as stored and as computed."""
    stored: Any = mx.load(str(prepared.folder / RESIDENT))
    weights: dict[str, mx.array] = stored
    with long_lived():
        for name, tensor in prepared.resident.items():
            weights[name] = weights[name] if weights[name].dtype == dtype else tensor.read_as(dtype)
            mx.eval(weights[name])
    return weights
