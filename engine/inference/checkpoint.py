"""The execution of a checkpoint in MLX's format, run where it lies: its experts on flash, or blocks of its linears."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.utils import tree_flatten

from engine.arrays.layers import use_native_layers
from engine.errors import CheckpointError
from engine.flash.reader import Reader
from engine.inference.caches import SnapshotContext
from engine.models.checkpoint import load_lazily, replace_module
from engine.planning.checkpoint import CheckpointSizes, compute_as_here
from engine.planning.memory import MemoryPlan
from engine.settings import Settings
from engine.store.mlx_folder import MlxFolder
from engine.streaming.experts import StreamedExperts
from engine.streaming.install import ExpertInstallation, LinearInstallation, Streaming, find_streamed
from engine.system.allocator import give_back_free_memory, long_lived
from engine.text import Text


class CheckpointExecution:
    """A model of mlx-lm's own architecture. Where it has no experts, its linears are streamed if there is no room for
    them."""

    context: SnapshotContext
    feels_pools = False  # a bundle is the same wherever it is

    def __init__(self, checkpoint: MlxFolder):
        self.stored = checkpoint
        lazy = load_lazily(checkpoint.folder)
        self._experts, self._linears = find_streamed(lazy, checkpoint.tensors)
        self.network = lazy.network
        compute_as_here(self.network)
        self.sizes = CheckpointSizes.of_built(lazy, self._experts, self._linears, checkpoint)

    def measured_loss(self, settings: Settings) -> float:  # noqa: ARG002
        """Nothing is lost: the router says exactly which experts a token needs, and of linears all is computed."""
        return 0.0

    def install(self, settings: Settings, plan: MemoryPlan, reader: Reader) -> Streaming:
        """Streamed experts or linears, and all else as it is stored."""
        self.context = SnapshotContext(self.network)
        budget, buffer_bytes = plan.budget, plan.workspace.buffer_bytes
        if self._linears:
            linears = LinearInstallation(settings, budget, buffer_bytes, reader)
            streaming = linears.install(self.network, self._linears)
        else:
            experts = ExpertInstallation(settings, budget.capacities, buffer_bytes, reader)
            streaming = experts.install(self.network, self._experts)
        self._experts, self._linears = [], []  # what was replaced is let go
        self._evaluate_resident()
        use_native_layers(self.network)
        return streaming

    def blocks(self, tokens: list[int], size: int, observed: bool) -> Iterator[list[int]]:
        """Each one reads an expert once. The last token is alone, after a point to which the context can go back."""
        if observed:
            yield from _cut(tokens, size)
            return
        yield from _cut(tokens[:-1], size)
        self.context.snapshot()
        yield tokens[-1:]

    def compute(self, tokens: list[int], last_only: bool) -> mx.array:
        """Logits of a token, or of all that are wanted; of several otherwise none, only what the caches hold."""
        self.context.begin()
        if last_only and len(tokens) > 1:
            with without_head(self.network):
                logits: mx.array = self.network(mx.array([tokens]), cache=self.context.caches)
            self.context.evaluate()
            give_back_free_memory()  # a block leaves more behind than the next can use
        else:
            logits = self.network(mx.array([tokens]), cache=self.context.caches).astype(mx.float32)
            self._check_numbers(logits)
        self.context.advance(len(tokens))
        return logits

    def _check_numbers(self, logits: mx.array) -> None:
        """Raises CheckpointError for logits that are none: nobody wants an answer drawn from them."""
        broken = mx.any(mx.isnan(logits))
        mx.eval(logits, broken)
        if broken.item():
            raise CheckpointError(
                "{folder} computes what is no number (NaN): {tensor} is damaged. Download it again.",
                folder=self.stored.folder,
                tensor=damaged_tensor(self.network) or Text("one of its weights"),
            )

    def _evaluate_resident(self) -> None:
        with long_lived():
            parameters: Any = tree_flatten(self.network.parameters())
            for _, parameter in parameters:  # one by one: no two are there twice at once
                mx.eval(parameter)


def _cut(tokens: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(tokens), size):
        yield tokens[start : start + size]


@contextmanager
def without_head(network: Module) -> Iterator[None]:
    """Let a model's head answer zeros that nobody evaluates: where products are native they are made at once, and those
    of a block of a prompt take more time and memory than a layer."""
    named = dict(network.named_modules())
    head = next((path for path in named if path.split(".")[-1] == "lm_head"), None)
    table = next((module for path, module in named.items() if path.split(".")[-1] == "embed_tokens"), None)
    if head is not None:
        replace_module(network, head, _NoHead())
    elif table is not None:
        vars(table)["as_linear"] = _NoHead()
    try:
        yield
    finally:
        if head is not None:
            replace_module(network, head, named[head])
        elif table is not None:
            del vars(table)["as_linear"]


class _NoHead(Module):
    def __call__(self, x: mx.array) -> mx.array:
        return mx.zeros((*x.shape[:-1], 1), x.dtype)


def damaged_tensor(network: Module) -> str | None:
    """The name of a tensor in memory, resident or of an expert, that is not a number throughout; None if all are."""
    parameters: Any = tree_flatten(network.parameters())
    for name, parameter in parameters:
        if mx.issubdtype(parameter.dtype, mx.floating) and not mx.all(mx.isfinite(parameter)).item():
            return str(name)
    for path, module in network.named_modules():
        if isinstance(module, StreamedExperts) and (name := module.damaged):
            return f"{path}.{name}"
    return None
