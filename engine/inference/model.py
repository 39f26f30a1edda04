"""The loaded model: prefill, decode, trim, within its memory budget."""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from time import monotonic, perf_counter
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module

from engine.arrays.products import use_fast_products
from engine.errors import PromptError
from engine.flash.profile import DEFAULT_THREADS, DriveProfile, drive_of, profile_path
from engine.flash.reader import open_reader
from engine.inference.caches import SnapshotContext
from engine.inference.context import Context
from engine.inference.generate import Generation
from engine.inference.sampling import advised_sampling
from engine.planning.memory import plan_memory
from engine.planning.outlook import Outlook
from engine.planning.prepared import PreparedSizes, compute_dtype
from engine.settings import GenerationOptions, Settings
from engine.sparsity.selectors import Selector
from engine.store.fitting import build_prepared
from engine.store.manifest import BUNDLES, RESIDENT, PreparedModel
from engine.store.mlx_folder import MlxFolder
from engine.streaming.install import Installation, Streaming
from engine.streaming.passes import Observer, Pass
from engine.system import pressure
from engine.system.allocator import give_back_free_memory, long_lived
from engine.system.folders import models_folder
from engine.system.footprint import footprint
from engine.tokens.prompt import Message
from engine.tokens.tokenizer import read_tokenizer

LOOK_S = 2.0  # between two looks at how short of memory the system is


class LoadedModel:
    """A model in memory, its FFN weights on flash. One thread loads, runs and closes it.

    settings: what was asked for. budget: what is held, by item. context: tokens. baseline_bytes: the process before
    loading. cached_tokens: what the KV cache holds. outlook: what other settings would bring. advised_sampling: as the
    model's makers advise, by the names of GenerationOptions.
    """

    prepared: PreparedModel | MlxFolder
    network: Module
    outlook: Outlook
    streaming: Streaming
    _context: Context | SnapshotContext

    def __init__(self, prepared: PreparedModel, settings: Settings):
        self.baseline_bytes = footprint()
        self.prepared, self.settings, self._closed = prepared, settings, False
        self._bundles, self._manifest = prepared.bundles, prepared.manifest
        self.name, self.model_bytes, self.flash_bytes = prepared.name, prepared.bytes, prepared.bundles.bytes
        network, args = build_prepared(prepared)
        self.network, self._vocabulary = network, args.vocab_size
        sizes = PreparedSizes.of_built(prepared, args, network.layers[0].ffn.activation)
        plan = plan_memory(sizes, settings)
        self.context, self.dtype, self.budget = plan.context, compute_dtype(prepared, settings), plan.budget
        workspace = plan.workspace
        self._chunk = workspace.chunk
        mx.set_cache_limit(plan.cache_limit)
        self._context = Context(network, self.dtype)
        profile = DriveProfile.load(profile_path(prepared.folder))
        self.outlook = Outlook(sizes, profile)
        self.reader = open_reader(*reading(settings, profile, prepared.bundles.layers[0].row_bytes))
        try:
            self._file = self.reader.open(prepared.folder / BUNDLES)
            weights = resident_weights(prepared, self.dtype)
            installation = Installation(
                prepared,
                settings,
                self.dtype,
                self.budget.capacities,
                workspace.buffer_bytes,
                self.reader,
                self._file,
            )
            self.streaming = installation.install(network, weights)
            self._load(weights)
            self.tokenizer = read_tokenizer(prepared.folder, prepared.config)
            self.advised_sampling = advised_sampling(prepared.folder)
        except BaseException:
            self.reader.close()
            raise
        self.cached_tokens: list[int] = []
        self._next_look = 0.0  # at how short of memory the system is

    @property
    def layers(self) -> int:
        """Layers whose bundles are streamed."""
        return len(self._bundles.layers)

    @property
    def neurons(self) -> int:
        """FFN neurons of a layer."""
        return self._bundles.layers[0].neurons

    @property
    def left_early(self) -> int:
        """Neurons that had to leave the pool while still in the window, since loading."""
        return self.streaming.left_early

    @property
    def vocabulary(self) -> int:
        """Tokens that the model knows."""
        return self._vocabulary

    @property
    def measured_loss(self) -> float | None:
        """The share by which perplexity is higher than with exact selection, as measured while preparing.

        None where it was not measured with these settings.
        """
        if self.settings.selection != "predictor":
            return 0.0
        measured = self._manifest.calibration
        return None if self.settings.threshold_shift or measured is None else measured.loss

    @property
    def reasoning_controls(self) -> frozenset[str]:
        """The options of how to reason that the chat template knows: `enable_thinking`, `reasoning_effort`."""
        template = self.tokenizer.template if self.tokenizer else None
        return template.controls if template else frozenset()

    @property
    def drive_folder(self) -> Path:
        """A folder for files on the drive that is read from: the models folder, unless the model is elsewhere."""
        usual, folder = models_folder(), self.prepared.folder
        return usual if drive_of(usual) == drive_of(folder) else folder.parent

    @property
    def direct_io(self) -> bool:
        """True where reads bypass the operating system's cache."""
        return self._file.direct

    def selector(self, layer: int) -> Selector | None:
        """The selector of a layer's neurons; None where all are computed."""
        return self.streaming.selector(layer)

    def replace_selectors(self, replacement: Callable[[int, Selector], Selector]) -> None:
        """Let `replacement(layer, selector)` select each layer's neurons: to record a trace, or to replay one."""
        self.streaming.replace_selectors(replacement)

    def generate(
        self,
        prompt: str | Sequence[int] | Sequence[Message],
        options: GenerationOptions | None = None,
        cancelled: Event | None = None,
    ) -> Generation:
        """An answer, as an iterator of pieces. prompt: text, a list of token ids, or chat messages.

        cancelled: stops within one layer. Raises PromptError.
        """
        return Generation(self, prompt, options or GenerationOptions(), cancelled)

    def prefill(
        self, tokens: list[int], cancelled: Event | None = None, observer: Observer | None = None
    ) -> tuple[mx.array, Pass]:
        """Append tokens to the context by streaming whole layers, exactly.

        Returns logits [1, tokens, vocabulary], of the last token only unless observed, and the pass that was made.
        """
        current = self.streaming.passes.begin(len(tokens), cancelled, observer)
        logits = []
        self._context.make_room(len(tokens))
        for start in range(0, len(tokens), self._chunk):
            block = tokens[start : start + self._chunk]
            logits.append(self._forward(block, last_only=observer is None))
        return (mx.concatenate(logits, axis=1) if observer is not None else logits[-1]), current

    def decode(
        self, token: int, cancelled: Event | None = None, observer: Observer | None = None
    ) -> tuple[mx.array, Pass]:
        """Append one token to the context. Logits [1, 1, vocabulary] and the pass that was made."""
        current, overlap = self.streaming.passes.begin(0, cancelled, observer), self.streaming.overlap
        self._context.make_room(1)
        overlap.begin()
        logits = self._forward([token])
        overlap.end(perf_counter() - current.began)
        return logits, current

    def trim(self, tokens: int) -> int:
        """Keep the first `tokens` tokens of the context, or fewer where there is no way back to just these. Returns how
        many."""
        kept = self._context.trim(tokens)
        del self.cached_tokens[kept:]
        return kept

    def forget(self) -> None:
        """Give up the context and what is in the neuron pools: the next answer is the same whatever came before.

        Where a predictor selects, what happens to be in memory beside the selected neurons counts as well.
        """
        self.trim(0)
        self.streaming.forget()

    def keep_within_budget(self, footprint_bytes: int) -> None:
        """Give back what is kept for reuse when the process has grown beyond the budget all the same, and part of the
        neuron pools when the system is critically short of memory. Between two tokens."""
        if footprint_bytes - self.baseline_bytes > self.budget.ceiling:
            mx.clear_cache()
            give_back_free_memory()
        if monotonic() >= self._next_look:
            self._next_look = monotonic() + LOOK_S
            if pressure.memory_pressure() >= pressure.Pressure.CRITICAL:
                self.give_back()

    def give_back(self) -> None:
        """Halve the neuron pools, for a system that is critically short of memory. Loading again restores them."""
        self.budget = self.budget.halved()
        self.streaming.shrink(self.budget.capacities)

    def close(self) -> None:
        """Free memory and stop the reader. Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        self.streaming.close()
        self.reader.close()
        del self.network, self._context, self.streaming
        mx.clear_cache()

    def _forward(self, tokens: list[int], last_only: bool = True) -> mx.array:
        """Evaluated float32 logits. If it fails, the context is as it was before.

        Raises PromptError for a token that the model does not have: its embedding would be any memory's.
        """
        if not (min(tokens) >= 0 and max(tokens) < self.vocabulary):
            raise PromptError(
                "{name} has {size} tokens and was given token {token}: its tokenizer is another model's. Download and "
                "prepare the model again.",
                name=self.name,
                size=self.vocabulary,
                token=max(tokens),
            )
        self.streaming.passes.advance(len(tokens))
        try:
            logits = self._compute(tokens, last_only)
        except BaseException:
            self.streaming.drop()
            self.trim(len(self.cached_tokens))
            raise
        self.cached_tokens += tokens
        return logits

    def _compute(self, tokens: list[int], last_only: bool) -> mx.array:
        """Evaluated float32 logits of tokens that are appended to the context."""
        logits: mx.array = self.network(mx.array([tokens]), self._context.caches, last_only).astype(mx.float32)
        mx.eval(logits)
        return logits

    def _load(self, weights: dict[str, mx.array]) -> None:
        """Load what is resident."""
        self.network.load_weights(list(weights.items()), strict=True)
        use_fast_products(self.network)
        mx.eval(self.network.parameters())


def resident_weights(prepared: PreparedModel, dtype: mx.Dtype) -> dict[str, mx.array]:
    """The resident weights, in the dtype that is computed in. Nothing is there twice: as stored and as computed."""
    stored: Any = mx.load(str(prepared.folder / RESIDENT))
    weights: dict[str, mx.array] = stored
    with long_lived():
        for name, tensor in prepared.resident.items():
            weights[name] = weights[name] if weights[name].dtype == dtype else tensor.read_as(dtype)
            mx.eval(weights[name])
    return weights


def reading(settings: Settings, profile: DriveProfile | None, row_bytes: int) -> tuple[int, int]:
    """Threads and gap to read bundles of `row_bytes` with: what is set, else the drive's profile's, else the usual."""
    threads, gap = settings.reader_threads, settings.read_gap
    if threads is None:
        threads = profile.threads if profile else DEFAULT_THREADS
    if gap is None:
        gap = profile.gap(row_bytes) if profile else 0
    return threads, gap
