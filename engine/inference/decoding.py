"""Decoding: the tokens of an answer, pass after pass. This is the one place that makes a pass of tokens to verify."""

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, replace
from threading import Event
from time import perf_counter
from typing import Protocol

import mlx.core as mx

from engine.inference.drafts import Answer, Drafts
from engine.inference.sampling import Sample
from engine.statistics import TokenStatistics
from engine.streaming.passes import Pass


class Model(Protocol):
    """A loaded model, as far as decoding needs it."""

    @property
    def cached_tokens(self) -> list[int]: ...

    @property
    def context(self) -> int: ...

    @property
    def bundles(self) -> int: ...

    def expect(self, tokens: Sequence[int]) -> None: ...

    def verify(self, tokens: Sequence[int], cancelled: Event | None = None) -> tuple[mx.array, Pass]: ...

    def keep(self, tokens: int) -> int: ...


@dataclass(frozen=True)
class Decoded:
    """A token that was decided. statistics: its share of what the pass cost. passed: tokens of that pass."""

    token: int
    statistics: TokenStatistics
    passed: int


class Decoding:
    """Tokens one after the other, each chosen by `sample` from the model's own logits. Drafts only say how many are
    decided by one pass.

    passes: after the prompt's. drafted: tokens that they were given beside. accepted: of these, those that were right.
    drafters: both counts by the name of what made the drafts.
    ends: tokens after which no other counts. certain: those that `sample` will choose next in any case, as it goes.
    draw: how `sample` chooses where nothing is certain, which may be asked ahead of it; None for `sample` itself.
    """

    def __init__(
        self,
        model: Model,
        sample: Sample,
        drafts: Drafts,
        ends: Collection[int] = (),
        cancelled: Event | None = None,
        certain: Sequence[int] = (),
        draw: Sample | None = None,
    ):
        self.passes = self.drafted = self.accepted = 0
        self.drafters: dict[str, tuple[int, int]] = {}
        self._draw = draw or sample
        self._model, self._sample, self._drafts = model, sample, drafts
        self._ends, self._cancelled, self._certain = ends, cancelled, certain

    def tokens(self, logits: mx.array, current: Pass, most: int) -> Generator[Decoded]:
        """At most so many tokens. logits [1, 1, vocabulary], current: of the prompt's pass. However it ends, the
        context then holds nothing behind the last token that was asked for."""
        known, prompt = list(self._model.cached_tokens), len(self._model.cached_tokens)
        said = prompt
        self._drafts.begin(Answer(self._draw, logits.shape[-1], self._ends, self._cancelled))
        try:
            decided, passed, drafting_ms = self._decided(logits, (), known), 1, 0.0
            while True:
                self._model.expect(known[-1:])
                statistics = current.statistics(self._model.bundles)
                statistics = replace(statistics, compute_ms=statistics.compute_ms + drafting_ms)
                for each in statistics.shares(decided):
                    said += 1
                    yield Decoded(known[said - 1], each, passed)
                if said >= prompt + most:
                    return
                current, decided, passed, drafting_ms = self._next(known, prompt + most - said)
        finally:
            self._model.keep(max(prompt, said - 1))

    def _next(self, known: list[int], most: int) -> tuple[Pass, int, int, float]:
        """Make a pass. Returns it, how many tokens it has decided, which are known then, how many were given to it, and
        the milliseconds that drafting took before."""
        began = perf_counter()
        kept = self._model.keep(len(known) - 1)
        waiting = known[kept:]  # more than the last one where the context could not go back to just these
        room = max(0, min(most, self._model.context - len(known)) - 1)
        drafts = self._drafts.after(known, room if len(waiting) == 1 else 0, self._certain)
        drafted = perf_counter()
        logits, current = self._model.verify([*waiting, *drafts], self._cancelled)
        decided = self._decided(logits[:, len(waiting) - 1 :], drafts, known)
        seconds, passed = perf_counter() - drafted, len(waiting) + len(drafts)
        self._drafts.verified(passed, known[-decided:], seconds, drafted - began, current.io_s)
        self.passes += 1
        self._count(len(drafts), sum(token == draft for token, draft in zip(known[-decided:], drafts, strict=False)))
        return current, decided, passed, 1e3 * (drafted - began)

    def _count(self, drafted: int, accepted: int) -> None:
        self.drafted, self.accepted = self.drafted + drafted, self.accepted + accepted
        if drafted:
            before = self.drafters.get(self._drafts.source, (0, 0))
            self.drafters[self._drafts.source] = before[0] + drafted, before[1] + accepted

    def _decided(self, logits: mx.array, drafts: Sequence[int], known: list[int]) -> int:
        """Choose after each token whose logits [1, 1 + drafts, vocabulary] these are, as long as the drafts are what is
        chosen. Returns how many tokens are known now that were not."""
        for count, draft in enumerate([*drafts, None], 1):
            token = self._sample(logits[:, count - 1], known)
            known.append(token)
            if token != draft or token in self._ends:
                break
        return count
