"""Passes: runs through all layers, what they are for and what they cost."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from time import perf_counter
from typing import Protocol

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.errors import CancelledError
from engine.memory.window import Window
from engine.statistics import BundleKind, PromptProgress, TokenStatistics
from engine.system.footprint import footprint

FIRST_WORD_S, WORDS_S = 0.5, 0.1  # of a prompt, until it is said how far it is, and then between two times
PromptTold = Callable[[PromptProgress], None]


class Observer(Protocol):
    """A measurement that is told every layer's activations, `hidden` [1, tokens, neurons], as they are computed."""

    def computed(self, layer: int, hidden: mx.array) -> None:
        """Of the neurons that were in memory: those outside it count as inactive."""

    def streamed(self, layer: int, x: mx.array, neurons: NDArray[np.int64], hidden: mx.array) -> None:
        """Of these neurons, some of a layer that is streamed whole. x [1, tokens, width]: the FFN's input."""


@dataclass
class Pass:
    """One run through all layers, and its cost so far. experts: by layer
    the ids that its router has chosen, in whatever order and form; None where bundles are no experts.

    prompt_tokens: of a prompt, whose layers are streamed whole, block after block; 0 for a token that is decoded.
    cancelled: stops the run within one layer. kind: what a bundle is. others: modules beside the layers whose bundles
    are of another kind: they come after the layers in `all_active`, `all_loaded` and `all_resident`.
    """

    layers: int
    prompt_tokens: int = 0
    cancelled: Event | None = None
    observer: Observer | None = None
    kind: BundleKind = "neuron"
    others: int = 0
    began: float = field(default_factory=perf_counter)
    tokens: int = 0  # computed so far, those of the present block included
    io_s: float = 0.0
    memory_s: float = 0.0
    bytes_read: int = 0
    reads: int = 0
    counted: int = 0  # tokens that the window has moved on by
    progress: PromptTold | None = None  # is told how far a prompt is
    _block: int = 0  # tokens of the present block,
    _layers_done: int = 0  # and how many layers are done with it
    _told: float = 0.0  # when that was last told

    def __post_init__(self) -> None:
        self.all_active, self.all_loaded, self.all_resident = ([0] * (self.layers + self.others) for _ in range(3))
        self.experts: list[mx.array | NDArray[np.int64] | None] = [None] * self.layers
        self.active_shares: list[mx.array] = []  # of experts' neurons, those that are not zero, as they are computed

    @property
    def active(self) -> list[int]:
        """The layers' bundles in the active set, by layer."""
        return self.all_active[: self.layers]

    @property
    def loaded(self) -> list[int]:
        """Those that were read."""
        return self.all_loaded[: self.layers]

    @property
    def resident(self) -> list[int]:
        """Those in the pool afterwards."""
        return self.all_resident[: self.layers]

    @property
    def is_prompt(self) -> bool:
        """True for a prompt, False for a token that is decoded."""
        return self.prompt_tokens > 0

    @property
    def at_end(self) -> bool:
        """True in the last block of a prompt."""
        return self.tokens == self.prompt_tokens

    @property
    def keeps_caches_only(self) -> bool:
        """True in a block of a prompt that others follow, and whose logits nobody looks at."""
        return self.is_prompt and not self.at_end and self.observer is None

    def check(self) -> None:
        """A layer begins whose bundles are streamed. Raises CancelledError if the run is to stop."""
        self.stop_if_cancelled()
        self._tell()
        self._layers_done += 1  # once it has run, which the next layer tells of

    def stop_if_cancelled(self) -> None:
        """Raises CancelledError if the run is to stop."""
        if self.cancelled is not None and self.cancelled.is_set():
            raise CancelledError("Stopped.")

    def begin_block(self, tokens: int) -> None:
        """The next `tokens` tokens are about to be computed."""
        self.tokens += tokens
        self._block, self._layers_done = tokens, 0
        self._tell()

    def _tell(self) -> None:
        """Say how far a prompt is, where that takes long enough to be asked, and not too often."""
        now, progress = perf_counter(), self.progress
        if progress is None or now - self.began < FIRST_WORD_S or now - self._told < WORDS_S:
            return
        self._told = now
        share = min(1.0, self._layers_done / max(1, self.layers + self.others))
        done = self.tokens - self._block * (1 - share)
        left = (self.prompt_tokens - done) * (now - self.began) / done if done else 0.0
        progress(PromptProgress(int(done), self.prompt_tokens, left))

    def read(self, waited_s: float, bytes_read: int, reads: int) -> None:
        """Count what was read, and the wait for it."""
        self.io_s += waited_s
        self.bytes_read += bytes_read
        self.reads += reads

    def statistics(self, bundles: int) -> TokenStatistics:
        """The cost from the start of this pass until now. bundles: of a layer."""
        compute = perf_counter() - self.began - self.io_s - self.memory_s
        return TokenStatistics(
            io_ms=1e3 * self.io_s,
            memory_ms=1e3 * self.memory_s,
            compute_ms=1e3 * compute,
            bytes_read=self.bytes_read,
            reads=self.reads,
            active=tuple(self.active),
            loaded=tuple(self.loaded),
            resident=tuple(self.resident),
            bundles=bundles,
            footprint_bytes=footprint(),
            kind=self.kind,
            experts=() if self.is_prompt else self._experts_used(),
            active_share=self._active_share(),
        )

    def _active_share(self) -> float | None:
        return float(np.array(mx.mean(mx.stack(self.active_shares)))) if self.active_shares else None

    def _experts_used(self) -> tuple[tuple[int, ...], ...]:
        """The ids by layer. They are known once the token is."""
        if any(ids is None for ids in self.experts):
            return ()
        return tuple(tuple(np.unique(np.array(ids)).tolist()) for ids in self.experts)


class Passes:
    """The passes of one model, one after the other. current: the one under way. window: moves on with their tokens.
    layers, others: of the next one, as `Pass` has them."""

    def __init__(self, layers: int, window: int, kind: BundleKind = "neuron", others: int = 0):
        self.window, self.layers, self.others = Window(window), layers, others
        self.current = Pass(layers, kind=kind, others=others)

    def begin(self, prompt_tokens: int = 0, cancelled: Event | None = None, observer: Observer | None = None) -> Pass:
        """A new pass, which is the current one from now on."""
        kind = self.current.kind
        self.current = Pass(self.layers, prompt_tokens, cancelled, observer, kind, self.others)
        return self.current

    def advance(self, tokens: int) -> None:
        """The next `tokens` tokens of the current pass are about to be computed. Of those that are decoded, the first
        alone counts for certain."""
        self.current.begin_block(tokens)
        self._count(self.current.tokens if self.current.is_prompt else 1)

    def accept(self, tokens: int) -> None:
        """So many tokens of the current pass count, if they are decoded: the window ends with the last of them."""
        if not self.current.is_prompt:
            self._count(tokens)

    def _count(self, tokens: int) -> None:
        self.window.advance(tokens - self.current.counted)
        self.current.counted = tokens
