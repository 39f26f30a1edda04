"""The interface of what differs between kinds of model: how one is built, filled, and computed."""

from collections.abc import Iterator
from typing import Any, Protocol

import mlx.core as mx
from mlx.nn.layers.base import Module

from engine.flash.reader import Reader
from engine.inference.states import ContextState
from engine.planning.memory import MemoryPlan, Sizes
from engine.settings import Settings
from engine.store.manifest import PreparedModel
from engine.store.mlx_folder import MlxFolder
from engine.streaming.install import Streaming


class Context(Protocol):
    """A model's memory of the tokens so far."""

    caches: list[Any]

    @property
    def trims(self) -> bool:
        """True where `trim` can go back to any token."""

    def mark(self, tokens: int) -> None:
        """A pass of so many decoded tokens is next: of several, some may be taken back, by `trim` to this point."""

    @property
    def state(self) -> ContextState:
        """All that it holds, which goes on changing with it until another state is taken up."""

    def fresh(self) -> list[Any]:
        """Empty caches of the model's."""

    def take(self, state: ContextState | None) -> None:
        """Go on from a state, which is the context's from now on; from nothing without one."""

    @property
    def tokens(self) -> int:
        """Tokens in it."""

    @property
    def rows(self) -> int:
        """Tokens that there is room for."""

    def resize(self, rows: int) -> None:
        """Have room for so many tokens, no fewer than there are."""

    def trim(self, tokens: int) -> int:
        """Keep the first `tokens` tokens, or, where there is no way back to just these, fewer. Returns how many."""


class Execution(Protocol):
    """A model that is built, nothing of it evaluated, until it is installed."""

    @property
    def context(self) -> Context:
        """The memory of the tokens so far, once it is installed."""

    @property
    def feels_pools(self) -> bool:
        """True where what is computed depends on what happens to be in the pools."""

    @property
    def stored(self) -> PreparedModel | MlxFolder:
        """The model's files."""

    @property
    def network(self) -> Module:
        """The model itself."""

    @property
    def sizes(self) -> Sizes:
        """Its needs of memory."""

    def measured_loss(self, settings: Settings) -> float | None:
        """The share by which perplexity is higher than with exact selection; None where it was not measured."""

    def install(self, settings: Settings, plan: MemoryPlan, reader: Reader) -> Streaming:
        """Put streamed modules in the place of the model's own, and bring the rest into memory."""

    def blocks(self, tokens: list[int], size: int, observed: bool, branch: int = 0) -> Iterator[list[int]]:
        """The blocks of at most `size` tokens in which a prompt is computed, one asked for after the other is.

        branch: after so many of them other conversations may branch off.
        """

    def compute(self, tokens: list[int], last_only: bool) -> mx.array:
        """Evaluated float32 logits [1, tokens, vocabulary] of tokens that are appended to the context; of the last one
        only where no others are asked for, and of a block before the last perhaps unevaluated."""
