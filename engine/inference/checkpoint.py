"""The execution of a checkpoint in MLX's format, run where it lies: its experts, linears and tables on flash."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.utils import tree_flatten

from engine.arrays.aligned import settle_in_huge_pages
from engine.arrays.dtypes import DTYPES
from engine.arrays.layers import use_native_layers
from engine.errors import CheckpointError
from engine.flash.reader import Reader
from engine.inference.caches import SnapshotContext
from engine.models.checkpoint import LazyModel, load_lazily, module_at, replace_module
from engine.planning.checkpoint import CheckpointSizes, compute_as_here
from engine.planning.memory import MemoryPlan
from engine.planning.ways import as_read
from engine.settings import Settings
from engine.store.columns import read_columns
from engine.store.mlx_folder import MlxFolder
from engine.store.stored_tensor import StoredTensor
from engine.streaming.checkpoint import CheckpointInstallation
from engine.streaming.experts import StreamedExperts
from engine.streaming.found import Streamable, find_streamable
from engine.streaming.install import Streaming
from engine.system.allocator import give_back_free_memory, long_lived
from engine.text import Text

LARGE_BYTES = 1 << 20  # of a parameter, of which it counts whether it is there twice


class CheckpointExecution:
    """A model of mlx-lm's own architecture. Its linears and tables are streamed if there is no room for them."""

    context: SnapshotContext
    feels_pools = False  # a bundle is the same wherever it is

    def __init__(self, checkpoint: MlxFolder):
        self.stored = checkpoint
        lazy = load_lazily(checkpoint.folder)
        found = find_streamable(lazy, checkpoint.tensors, read_columns(checkpoint.folder))
        self._head = found.head
        self.network = lazy.network
        self._stored = _stored_as_they_are(lazy, checkpoint)
        compute_as_here(self.network)
        self._found, ways = as_read(lazy, found, checkpoint.folder)
        self.sizes = CheckpointSizes.of_built(lazy, self._found, ways, checkpoint)

    def measured_loss(self, settings: Settings) -> float:  # noqa: ARG002
        """Nothing is lost: the router says exactly which experts a token needs, and of linears all is computed."""
        return 0.0

    def install(self, settings: Settings, plan: MemoryPlan, reader: Reader) -> Streaming:
        """Streamed modules where there is no room, and all else as it is stored."""
        self.context = SnapshotContext(self.network, self.sizes.keeps_small(settings))
        how = settings, plan.budget, plan.workspace.buffer_bytes, reader
        streaming = CheckpointInstallation(*how, self._found).install(self.network)
        self._found = Streamable()  # what was replaced is let go
        self._evaluate_resident()
        use_native_layers(self.network)
        return streaming

    def blocks(self, tokens: list[int], size: int, observed: bool, branch: int = 0) -> Iterator[list[int]]:
        """Each one reads an expert once. The last token is alone. To where each one ends, the context can go back."""
        if observed:
            yield from _cut(tokens, size)
            return
        if 0 < branch < len(tokens) - 1:
            yield from _cut(tokens[:branch], size)
            self.context.snapshot(lasting=True)
            tokens = tokens[branch:]
        for block in _cut(tokens[:-1], size):
            yield block
            self.context.snapshot()
        self.context.snapshot()
        yield tokens[-1:]

    def compute(self, tokens: list[int], last_only: bool) -> mx.array:
        """Logits of a token, or of all that are wanted; of several otherwise none, only what the caches hold."""
        self.context.begin()
        if last_only and len(tokens) > 1:
            with without_head(self.network, self._head):
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
            for name, parameter in parameters:  # one by one: no two are there twice at once
                stored = self._stored.get(name)
                if stored is not None and parameter.dtype != DTYPES[stored.dtype]:
                    replace_module(self.network, name, stored.read_as(parameter.dtype))
                else:
                    mx.eval(parameter)
        self._stored = {}
        settle_in_huge_pages(self.network)


def _stored_as_they_are(lazy: LazyModel, checkpoint: MlxFolder) -> dict[str, StoredTensor]:
    """The large parameters that lie in files as they are used, by name. Where they are computed in another dtype, they
    are read piece by piece, so that none is there twice."""
    parameters: Any = tree_flatten(lazy.network.parameters())
    tensors = {name: checkpoint.tensors.get(lazy.name_of(array) or "") for name, array in parameters}
    return {name: t for name, t in tensors.items() if t and t.dtype in DTYPES and t.nbytes >= LARGE_BYTES}


def _cut(tokens: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(tokens), size):
        yield tokens[start : start + size]


@contextmanager
def without_head(network: Module, path: str | None) -> Iterator[None]:
    """Let a model's head answer zeros that nobody evaluates: where products are native they are made at once, and those
    of a block of a prompt take more time and memory than a layer. path: of the head, None where that is not known."""
    head = module_at(network, path)
    if hasattr(head, "as_linear"):  # which is also a table
        vars(head)["as_linear"] = _NoHead()
    elif head is not None:
        replace_module(network, path or "", _NoHead())
    try:
        yield
    finally:
        if hasattr(head, "as_linear"):
            del vars(head)["as_linear"]
        elif head is not None:
            replace_module(network, path or "", head)


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
