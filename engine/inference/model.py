"""The loaded model: prefill, decode, trim, within its memory budget."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from time import monotonic, perf_counter
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module

from engine.errors import BudgetError, PressureError, PromptError
from engine.flash.profile import DEFAULT_THREADS, DriveProfile, drive_of, profile_path, scratch_place
from engine.flash.reader import open_reader
from engine.inference.contexts import Contexts
from engine.inference.draft_choice import Candidate, DraftChoice, draft_models
from engine.inference.draft_model import DraftModel
from engine.inference.draft_place import DraftPlace
from engine.inference.drafts import Drafter, Drafts, PromptLookup
from engine.inference.execution import Context, Execution
from engine.inference.generate import Generation, Recalled
from engine.inference.keeping import Keeping, ReadBack, fingerprint_of
from engine.inference.kept import KeptContexts
from engine.inference.memory import HeldMemory
from engine.inference.sampling import advised_sampling
from engine.memory.budget import MemoryBudget
from engine.planning.measured import ContextLoss, Measured
from engine.planning.outlook import Outlook
from engine.planning.shape import flash_bytes
from engine.settings import DRAFT_MODEL_AUTO, Drafting, GenerationOptions, Settings
from engine.sparsity.selectors import Selector
from engine.statistics import TokenStatistics, means
from engine.streaming.passes import Observer, Pass, PromptTold
from engine.system import pressure
from engine.system.allocator import give_back_free_memory
from engine.system.folders import models_folder
from engine.tokens.forms import Message
from engine.tokens.tokenizer import read_tokenizer

log = logging.getLogger(__name__)
MAX_VOCABULARY = 1 << 30  # tokens, where the config does not say
KEEP_S = 20.0  # of a prefill, from one writing of its context to the next
RESIDENT_BLOCK_TOKENS = 256  # of a prompt, of a model that streams nothing
LOOK_S = 2.0  # between two looks at how short of memory the system is


class LoadedModel:
    """A model in memory, its FFN weights on flash. One thread loads, runs and closes it.

    settings: what was asked for. baseline_bytes: the process before loading. contexts: of this conversation and others.
    drafting: the choice of the model that drafts beside it. outlook: what other settings would bring. advised_sampling:
    as the model's makers advise, by the names of GenerationOptions.
    """

    def __init__(
        self,
        execution: Execution,
        settings: Settings,
        baseline_bytes: int,
        progress: Callable[[float], None],
        drafting: DraftChoice | None = None,
    ):
        """execution: nothing of it evaluated yet. progress(share): while all bundles are read, where all have room."""
        self.baseline_bytes, self.settings, self._closed = baseline_bytes, settings, False
        self._execution, self.stored = execution, execution.stored
        self.name, self.model_bytes = self.stored.name, self.stored.bytes
        self.drafting, source = drafting, drafting.source if drafting else None
        draft, sizes = source.planner if source else None, execution.sizes
        self._memory = HeldMemory(sizes, settings, draft)
        self._draft_place = DraftPlace(source, self._memory)
        bundles = [layer.bundles for layer in sizes.layers(settings)]
        self.flash_bytes = flash_bytes(bundles)
        self.vocabulary = sizes.shape(settings).vocabulary or MAX_VOCABULARY
        mx.set_cache_limit(self._memory.plan.cache_limit)
        profile = DriveProfile.load(profile_path(self.stored.folder))
        self.outlook = Outlook(sizes, profile, Measured.load(self.stored.folder, profile), draft)
        self.reader = open_reader(*reading(settings, profile, max((each.bytes for each in bundles), default=1)))
        try:
            self.tokenizer = read_tokenizer(self.stored.folder, self.stored.config)  # first: to be built takes most
            self.advised_sampling = advised_sampling(self.stored.folder)
            self.streaming = execution.install(settings, self._memory.plan, self.reader)
            kept_room = self._memory.plan.kept_room
            self.contexts = Contexts(self._context, kept_room, marks_prompts=not execution.feels_pools)
            beside = self._draft_place.fill(must=settings.draft_model != DRAFT_MODEL_AUTO)
            self._memory.attach(execution.context, self.streaming, self.contexts, beside)
            if draft and beside is None:
                self._memory.dismiss_draft()
            self.contexts.hold = self._memory.hold
            if settings.read_at_once and self.streaming.can_fill:
                self.streaming.fill(progress)
        except BaseException:
            self.reader.close()
            raise
        drafters: list[Drafter] = [PromptLookup(), *([self.draft_model] if self.draft_model else [])]
        self.drafts = Drafts(drafters if settings.drafts is Drafting.LOOKUP else [], not self._context.trims)
        self._keeping: Keeping | None = None
        self._next_keeping = 0.0
        self._next_look = 0.0  # at how short of memory the system is

    @property
    def draft_model(self) -> DraftModel | None:
        """The model that drafts beside it; None for none, or as long as it has given its room back."""
        return self._draft_place.model

    @property
    def draft_models(self) -> Callable[[], list[Candidate]]:
        """A search for the models on this disk that could draft beside it, the largest first. Any thread may call it,
        and keep it: it keeps nothing of the model in memory."""
        return partial(draft_models, self.stored, self.outlook.sizes, self.settings)

    @property
    def network(self) -> Module:
        """The model itself."""
        return self._execution.network

    @property
    def caches(self) -> list[Any]:
        """mlx-lm's caches, by layer."""
        return self._context.caches

    @property
    def _context(self) -> Context:
        return self._execution.context

    @property
    def cached_tokens(self) -> list[int]:
        """Tokens of the context."""
        return self.contexts.tokens

    @property
    def budget(self) -> MemoryBudget:
        """The bytes that are held, item by item: another object whenever that changes."""
        return self._memory.budget

    @property
    def given_bytes(self) -> int:
        """Bytes that the model holds less for now, for a system that is short of memory."""
        return self._memory.given_bytes

    @property
    def taken_bytes(self) -> int:
        """Bytes of weights that had room in memory beside a short context, and have not beside this one."""
        return self._memory.taken_bytes

    @property
    def context(self) -> int:
        """Tokens of the longest context that the budget has room for."""
        return self._memory.longest

    @property
    def layers(self) -> int:
        """Layers whose bundles are streamed."""
        return len(self.streaming.layers)

    @property
    def bundles(self) -> int:
        """Bundles of a layer."""
        return max((layer.source.bundles for layer in self.streaming.layers), default=0)

    @property
    def neurons(self) -> int:
        """Neurons of a layer, several of which may be one bundle; 0 where bundles are something else."""
        return self.streaming.neurons

    @property
    def left_early(self) -> int:
        """Neurons that had to leave the pool while still in the window, since loading."""
        return self.streaming.left_early

    @property
    def _block(self) -> int:
        """Tokens of a prompt that are computed at once: where nothing is read for them, fewer than there is room for,
        as it can be stopped between two blocks only."""
        chunk = self._memory.plan.workspace.chunk
        return chunk if self.streaming.layers else min(chunk, RESIDENT_BLOCK_TOKENS)

    def learn(self, alone: Sequence[TokenStatistics]) -> None:
        """Take in what an answer's tokens have cost that had a pass of their own: the next forecast, in this process or
        another, is nearer to it."""
        try:
            outlook = self.outlook.after(self.settings, means(alone), len(alone))
            if outlook is not self.outlook:
                self.outlook = outlook
                outlook.measured.save(self.stored.folder)
        except (BudgetError, OSError) as error:  # memory is shorter than it was, or the disk is full
            log.warning("what was measured is not kept: %s", error)

    @property
    def measured_loss(self) -> float | None:
        """The share by which perplexity is higher than with exact selection, as measured while preparing.

        None where it was not measured with these settings.
        """
        return self._execution.measured_loss(self.settings)

    @property
    def can_keep_small(self) -> bool:
        """True where keys and values can be kept in 8 bits."""
        return self.outlook.can_keep_small

    @property
    def context_loss(self) -> ContextLoss | None:
        """The loss that this would bring, as measured on this machine."""
        return ContextLoss.load(self.stored.folder)

    @property
    def streams(self) -> str:
        """The kind of bundle that comes from flash: neuron, expert or block; empty where nothing is streamed."""
        streaming = self.streaming.layers or self.streaming.others
        return (self._execution.sizes.shape(self.settings).kind or "") if streaming else ""

    @property
    def overlap(self) -> str:
        """The way of using the time that flash takes that tokens were found to be fastest with, as in Summary."""
        found = self.streaming.overlap.found if self.streams else None
        return found.name.lower() if found else ""

    @property
    def reasoning_controls(self) -> frozenset[str]:
        """The options of how to reason that the chat template knows: `enable_thinking`, `reasoning_effort`."""
        template = self.tokenizer.template if self.tokenizer else None
        return template.controls if template else frozenset()

    @property
    def drive_folder(self) -> Path:
        """A folder for files on the drive that is read from: the models folder, unless the model is elsewhere."""
        usual, folder = models_folder(), self.stored.folder
        return usual if drive_of(usual) == drive_of(folder) else scratch_place(folder)

    @property
    def direct_io(self) -> bool:
        """True where reads bypass the operating system's cache."""
        return all(layer.source.direct for layer in self.streaming.layers)

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
        progress: PromptTold | None = None,
    ) -> Generation:
        """An answer, as an iterator of pieces. prompt: text, a list of token ids, or chat messages.

        cancelled: stops within one layer. progress: is told, several times a second, how far a prompt is that takes
        long. Raises PromptError, and PressureError where the system is critically short
        of memory: it is given a part of the pools instead.
        """
        if pressure.memory_pressure() >= pressure.Pressure.CRITICAL:
            self.give_back()
            raise PressureError(
                "The system is critically short of memory, so no answer was begun. Close other applications, and try "
                "again."
            )
        return Generation(self, prompt, options or GenerationOptions(), cancelled, progress)

    def prefill(
        self,
        tokens: list[int],
        cancelled: Event | None = None,
        observer: Observer | None = None,
        progress: PromptTold | None = None,
        branch: int = 0,
    ) -> tuple[mx.array, Pass]:
        """Append tokens to the context, a block at a time, exactly. branch: after so many of them other conversations
        may branch off.

        Returns logits [1, tokens, vocabulary], of the last token only unless observed, and the pass that was made.
        """
        self._memory.hold(len(self.cached_tokens) + len(tokens))
        current = self.streaming.passes.begin(len(tokens), cancelled, observer)
        current.progress = progress
        blocks = self._execution.blocks(tokens, self._block, observer is not None, branch)
        if observer is not None:
            return mx.concatenate([self._forward(block, last_only=False) for block in blocks], axis=1), current
        for block in blocks:
            logits = self._forward(block)
            self._keep_as_it_goes()
        return logits, current

    def expect(self, tokens: Sequence[int]) -> None:
        """Start reading what tokens need for certain, as soon as it is known that they will be computed next."""
        self.streaming.expect(tokens)

    def decode(
        self, token: int, cancelled: Event | None = None, observer: Observer | None = None
    ) -> tuple[mx.array, Pass]:
        """Append one token to the context. Logits [1, 1, vocabulary] and the pass that was made."""
        return self.verify([token], cancelled, observer)

    def verify(
        self, tokens: Sequence[int], cancelled: Event | None = None, observer: Observer | None = None
    ) -> tuple[mx.array, Pass]:
        """Append a few tokens to the context in one pass, each computed as if it were alone. Logits [1, tokens,
        vocabulary] and the pass that was made. `keep` says how many of them count."""
        self._memory.hold(len(self.cached_tokens) + len(tokens))
        current, overlap = self.streaming.passes.begin(0, cancelled, observer), self.streaming.overlap
        self._context.mark(len(tokens))
        if len(tokens) > 1:
            return self._forward(list(tokens), last_only=False), current
        overlap.begin()
        logits = self._forward(list(tokens))
        overlap.end(perf_counter() - current.began)
        return logits, current

    def keep(self, tokens: int) -> int:
        """Keep the first `tokens` tokens of the context, of which the last pass has appended some too many; fewer where
        there is no way back to just these. Returns how many."""
        wrong = max(0, len(self.cached_tokens) - tokens)
        self.streaming.accept(self.streaming.passes.current.tokens - wrong)
        return self.trim(tokens) if wrong else len(self.cached_tokens)

    def trim(self, tokens: int) -> int:
        """Keep the first `tokens` tokens of the context, or fewer where there is no way back to just these. Returns how
        many."""
        return self.contexts.trim(tokens)

    def recall(self, prompt: list[int], seeded: bool = False, conversation: str = "", branch: int = 0) -> Recalled:
        """Go on from the context, of this conversation or another, in memory or kept on disk, that has most of a
        prompt's beginning.

        seeded: the answer is the same whatever came before. Where a predictor selects, what happens to be in memory
        beside the selected neurons counts as well. conversation: as in GenerationOptions. branch: after so many tokens
        other conversations may branch off.
        """
        found = self._keeping.read_back(prompt, seeded, conversation) if self._keeping else ReadBack()
        if seeded and self._execution.feels_pools:
            self.streaming.forget()
        elif found.pools:
            self.streaming.warm(found.pools)
        self._next_keeping = monotonic() + KEEP_S
        return Recalled(self.contexts.find(prompt, seeded, conversation, branch), found.tokens, found.trouble)

    def keep_in(self, files: KeptContexts | None) -> None:
        """Keep the contexts of conversations in these files from now on, and read them back from there. Raises
        OSError."""
        model = fingerprint_of(self.stored.folder, self.settings) if files else ""
        self._keeping = Keeping(files, model, self.contexts, self._context.fresh) if files else None

    def keep_contexts(self, interrupted: Callable[[], bool] = lambda: False) -> None:
        """Write the contexts that have changed, between two answers, until somebody interrupts."""
        if self._keeping:
            self._keeping.keep(lambda: self.streaming.held, interrupted)

    def _keep_as_it_goes(self) -> None:
        """Write what a long prefill has done so far: it goes on from there, whatever becomes of the process."""
        if self._keeping and monotonic() >= self._next_keeping:
            self.contexts.mark()
            self.keep_contexts()
            self._next_keeping = monotonic() + KEEP_S

    def forget_conversation(self, conversation: str) -> None:
        """Give up the contexts of a conversation, by the name that options have for it; between two tokens."""
        self.contexts.forget(conversation)

    def forget(self) -> None:
        """Give up all contexts and what is in the pools: what comes is the same whatever came before."""
        self.contexts.forget()
        self.streaming.forget()

    def keep_within_budget(self, footprint_bytes: int) -> None:
        """Give back what is kept for reuse when the process has grown beyond the budget all the same, and parts of the
        pools when the system is short of memory; they come back later. Between two tokens."""
        if footprint_bytes - self.baseline_bytes > self.budget.ceiling:
            mx.clear_cache()
            give_back_free_memory()
        if monotonic() >= self._next_look:
            self._next_look = monotonic() + LOOK_S
            self.relieve(pressure.memory_pressure())
        self._draft_place.look_after(self.drafts)
        if self.outlook.draft is not self._draft_place.planner:
            self.outlook = replace(self.outlook, draft=self._draft_place.planner)

    def relieve(self, level: pressure.Pressure) -> None:
        """Give the system a part of the pools where it is short of memory, or take some of it again where it is not any
        more. Between two tokens."""
        relief, before = self._memory.relief, self._memory.relief.share
        if level is pressure.Pressure.NORMAL:
            relief.take(monotonic())
        elif level is pressure.Pressure.WARNING:
            relief.give()
        else:
            relief.give_half()
        if relief.share != before:
            self._memory.follow_relief()

    def give_back(self) -> None:
        """Give the system more than half of the pools for a while."""
        self.relieve(pressure.Pressure.CRITICAL)

    def reserve(self, tokens: int) -> None:
        """Keep room in the context for so many tokens, whether they come or not: for those that measure what that
        costs. Raises BudgetError."""
        self._memory.reserve(tokens)

    def set_budget(self, memory_budget: int | None) -> None:
        """Hold what another budget, in bytes, has room for, from the next token on. Raises BudgetError where it has too
        little for the present context; nothing has changed then."""
        settings = replace(self.settings, memory_budget=memory_budget)
        self._memory.set_budget(settings)
        self.settings = settings
        self._draft_place.rethink()

    def close(self) -> None:
        """Free memory and stop the reader. Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        self._draft_place.close()
        self.streaming.close()
        self.reader.close()
        self._memory.detach()
        del self._execution, self.streaming, self.contexts
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
            self.streaming.passes.current.stop_if_cancelled()  # whether or not there is a layer that streams and asks
            logits = self._execution.compute(tokens, last_only)
            if len(tokens) > 1:
                self.streaming.forget_readers()
        except BaseException:
            self.streaming.drop()
            self.trim(len(self.cached_tokens))
            raise
        self.cached_tokens.extend(tokens)
        return logits


def reading(settings: Settings, profile: DriveProfile | None, row_bytes: int) -> tuple[int, int]:
    """Threads and gap to read bundles of `row_bytes` with: what is set, else the drive's profile's, else the usual."""
    threads, gap = settings.reader_threads, settings.read_gap
    if threads is None:
        threads = profile.threads if profile else DEFAULT_THREADS
    if gap is None:
        gap = profile.gap(row_bytes) if profile else 0
    return threads, gap
