"""A checkpoint in MLX's format, run where it lies: its experts on flash, the rest in memory."""

from collections.abc import Iterator
from threading import Event
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten

from engine.arrays.packed import use_packed_products
from engine.arrays.products import use_fast_products
from engine.flash.profile import DriveProfile, profile_path
from engine.flash.reader import open_reader
from engine.inference.caches import SnapshotContext
from engine.inference.model import LoadedModel, reading
from engine.inference.sampling import advised_sampling
from engine.models.checkpoint import load_lazily
from engine.planning.checkpoint import CheckpointSizes, compute_as_here
from engine.planning.memory import plan_memory
from engine.planning.outlook import Outlook
from engine.settings import Settings
from engine.store.mlx_folder import MlxFolder
from engine.streaming.install import ExpertInstallation, find_experts
from engine.streaming.passes import Observer, Pass
from engine.streaming.source import SlotSource
from engine.system.allocator import long_lived
from engine.system.footprint import footprint
from engine.tokens.tokenizer import read_tokenizer

MAX_VOCABULARY = 1 << 30  # tokens, where the config does not say


class LoadedCheckpoint(LoadedModel):
    """As a loaded model, of mlx-lm's own architecture. Where it has no experts, all of it is in memory."""

    prepared: MlxFolder
    _context: SnapshotContext

    def __init__(self, checkpoint: MlxFolder, settings: Settings):
        self.baseline_bytes = footprint()
        self.prepared, self.settings, self.name = checkpoint, settings, checkpoint.name
        self._closed = False
        lazy = load_lazily(checkpoint.folder)
        experts = find_experts(lazy, checkpoint.tensors)
        self.network = lazy.network
        compute_as_here(self.network)
        sizes = CheckpointSizes.of_built(lazy, experts, checkpoint.bytes)
        del lazy
        plan = plan_memory(sizes, settings)
        self._vocabulary = sizes.network.vocabulary or MAX_VOCABULARY
        self.model_bytes = checkpoint.bytes
        self.flash_bytes = sum(expert.layout.bundles * expert.layout.bundle_bytes for expert in experts)
        self.context, self.budget, workspace = plan.context, plan.budget, plan.workspace
        self._chunk = workspace.chunk
        mx.set_cache_limit(plan.cache_limit)
        profile = DriveProfile.load(profile_path(checkpoint.folder))
        self.outlook = Outlook(sizes, profile)
        self.reader = open_reader(*reading(settings, profile, max((e.layout.slot_bytes for e in experts), default=1)))
        try:
            installation = ExpertInstallation(settings, self.budget.capacities, workspace.buffer_bytes, self.reader)
            self.streaming = installation.install(self.network, experts)
            self._evaluate_resident()
            use_packed_products(self.network)
            use_fast_products(self.network)
            self.tokenizer = read_tokenizer(checkpoint.folder, checkpoint.config)
            self.advised_sampling = advised_sampling(checkpoint.folder)
        except BaseException:
            self.reader.close()
            raise
        self.cached_tokens: list[int] = []
        self._next_look = 0.0
        self._context = SnapshotContext(self.network)

    @property
    def caches(self) -> list[Any]:
        """mlx-lm's caches, by layer."""
        return self._context.caches

    @property
    def layers(self) -> int:
        """Layers whose experts are streamed."""
        return len(self.streaming.layers)

    @property
    def neurons(self) -> int:
        """Experts of a layer."""
        return max((layer.source.bundles for layer in self.streaming.layers), default=0)

    @property
    def measured_loss(self) -> float:
        """Nothing is lost: the router says exactly which experts a token needs."""
        return 0.0

    @property
    def direct_io(self) -> bool:
        """True where reads bypass the operating system's cache."""
        sources = [layer.source for layer in self.streaming.layers]
        return all(file.direct for each in sources if isinstance(each, SlotSource) for file in each.files.values())

    def prefill(
        self, tokens: list[int], cancelled: Event | None = None, observer: Observer | None = None
    ) -> tuple[mx.array, Pass]:
        """Append tokens to the context, a chunk at a time; each chunk reads an expert once.

        Returns logits [1, tokens, vocabulary], of the last token only unless observed, and the pass that was made.
        """
        current = self.streaming.passes.begin(len(tokens), cancelled, observer)
        if observer is None:
            for chunk in self._chunks(tokens[:-1]):
                self._forward(chunk)
            self._context.snapshot()
            return self._forward(tokens[-1:]), current
        return mx.concatenate(
            [self._forward(chunk, last_only=False) for chunk in self._chunks(tokens)], axis=1
        ), current

    def _chunks(self, tokens: list[int]) -> Iterator[list[int]]:
        for start in range(0, len(tokens), self._chunk):
            yield tokens[start : start + self._chunk]

    def _compute(self, tokens: list[int], last_only: bool) -> mx.array:
        """Logits of a token, or of all that are wanted; of several otherwise none, only what the caches hold."""
        self._context.make_room(len(tokens))
        logits: mx.array = self.network(mx.array([tokens]), cache=self._context.caches).astype(mx.float32)
        if last_only and len(tokens) > 1:
            self._context.evaluate()
        else:
            mx.eval(logits)
        self._context.advance(len(tokens))
        return logits

    def _evaluate_resident(self) -> None:
        with long_lived():
            parameters: Any = tree_flatten(self.network.parameters())
            for _, parameter in parameters:  # one by one: no two are there twice at once
                mx.eval(parameter)
