"""The context of an mlx-lm model: caches of any kind, and how they go back to an earlier token."""

import mlx.core as mx
from mlx.nn.layers.base import Module

from engine.inference.context import rows_of, set_rows
from engine.inference.states import Caches, ContextState, Snapshot, always_trims, arrays_of, copied
from engine.models.caches import MAX_SNAPSHOTS, prompt_caches


class SnapshotContext:
    """Caches that can always be trimmed are; of the others, rotating and recurrent ones, snapshots are kept.

    tokens: that the caches hold for certain; a pass that failed may have left more.
    """

    def __init__(self, network: Module, small: bool = False):
        """small: keys and values are kept in 8 bits where all are kept."""
        self._network, self._small = network, small
        self.caches: Caches = self._fresh()
        self.tokens = 0
        self._rows = 0
        self._under_way = False
        self._snapshots: list[Snapshot] = []
        self._marked: list[Snapshot] = []  # one at most: before a pass of several tokens

    def _fresh(self) -> Caches:
        return prompt_caches(self._network, self._small)

    @property
    def rows(self) -> int:
        """Tokens that there is room for."""
        return self._rows

    def resize(self, rows: int) -> None:
        """Have room for so many tokens, no fewer than there are, where all are kept: by themselves, mlx-lm's caches
        grow all in one graph, and leave holes between what stays."""
        self._rows = rows
        for cache in self.caches:
            if always_trims(cache) and cache.keys is not None:
                set_rows(cache, rows)

    def begin(self) -> None:
        """A pass begins."""
        self.resize(self._rows)  # of a first prompt, the first block says what keys and values are like
        self._under_way = True

    def advance(self, tokens: int) -> None:
        """A pass is over, which appended so many tokens."""
        self._under_way = False
        self.tokens += tokens

    def snapshot(self, lasting: bool = False) -> None:
        """Remember this point, to which `trim` can go back. lasting: other conversations may branch off here."""
        if self.trims or any(each.tokens == self.tokens for each in self._snapshots):
            return
        self._snapshots.append(Snapshot(self.tokens, self._copies(self.caches), lasting))
        if len(self._snapshots) > MAX_SNAPSHOTS:
            self._snapshots.pop(_dispensable(self._snapshots))

    @property
    def trims(self) -> bool:
        """True where `trim` can go back to any token."""
        return all(map(always_trims, self.caches))

    def mark(self, tokens: int) -> None:
        """A pass of so many decoded tokens is next: of several, some may be taken back, by `trim` to this point."""
        wanted = tokens > 1 and not self.trims
        self._marked = [Snapshot(self.tokens, self._copies(self.caches))] if wanted else []

    def evaluate(self) -> None:
        """Compute what the caches hold."""
        mx.eval(list(arrays_of(self.caches)))

    @property
    def state(self) -> ContextState:
        """All that it holds, which goes on changing with it until another state is taken up."""
        return ContextState(self.tokens, self.caches, tuple(self._snapshots))

    def fresh(self) -> Caches:
        """Empty caches of the model's."""
        caches: Caches = self._fresh()
        return caches

    def take(self, state: ContextState | None) -> None:
        """Go on from a state, which is the context's from now on; from nothing without one."""
        self._under_way, self._marked = False, []
        fresh = state or ContextState(0, self.fresh())
        self.tokens, self.caches, self._snapshots = fresh.tokens, list(fresh.caches), list(fresh.snapshots)
        self._rows = max((rows_of(cache) for cache in self.caches if always_trims(cache)), default=0)

    def trim(self, tokens: int) -> int:
        """Keep the first `tokens` tokens, or, where there is no way back to just these, fewer. Returns how many."""
        if tokens == self.tokens and not self._under_way:
            return tokens
        self._under_way = False
        if self.trims:
            self._set(Snapshot(tokens, [None] * len(self.caches)))
        else:
            self._snapshots = [each for each in self._snapshots if each.tokens <= tokens]
            self._marked = [each for each in self._marked if each.tokens <= tokens]
            points = [Snapshot(0, self._fresh()), *self._snapshots, *self._marked]
            self._set(max(points, key=lambda each: each.tokens))
        return self.tokens

    def _set(self, point: Snapshot) -> None:
        for i, (cache, other) in enumerate(zip(self.caches, self._copies(point.caches), strict=True)):
            if other is None:
                cache.trim(cache.offset - point.tokens)
            else:
                self.caches[i] = other
        self.tokens = point.tokens

    def _copies(self, caches: Caches) -> Caches:
        """Copies that nothing changes in place; None for what can be trimmed."""
        return [None if cache is None or always_trims(cache) else copied(cache) for cache in caches]


def _dispensable(snapshots: list[Snapshot]) -> int:
    """The number of the snapshot whose neighbours are the nearest to each other; neither the last, nor a lasting one
    while there are others."""
    points = [0, *(each.tokens for each in snapshots)]
    gaps = {i: points[i + 2] - points[i] for i in range(len(snapshots) - 1)}
    return min(gaps, key=lambda i: (snapshots[i].lasting, gaps[i]))
