"""The context of an mlx-lm model: caches of any kind, and how they go back to an earlier token."""

from collections.abc import Iterator
from copy import copy
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx_lm.models.cache import KVCache, QuantizedKVCache, make_prompt_cache

from engine.inference.context import lengthen

MAX_SNAPSHOTS = 4  # prompts whose ends can be gone back to

Caches = list[Any]


class SnapshotContext:
    """Caches that can always be trimmed are; of the others, rotating and recurrent ones, snapshots are kept.

    tokens: that the caches hold for certain; a pass that failed may have left more.
    """

    def __init__(self, network: Module):
        self._network = network
        self.caches: Caches = make_prompt_cache(network)
        self.tokens = 0
        self._under_way = False
        self._snapshots: list[tuple[int, Caches]] = []  # tokens, and copies of the caches that cannot be trimmed

    def make_room(self, tokens: int) -> None:
        """Let so many more tokens fit, where all are kept: by themselves, mlx-lm's caches grow all in one graph, and
        leave holes between what stays."""
        rows = -(-(self.tokens + tokens) // KVCache.step) * KVCache.step
        for cache in self.caches:
            if type(cache) is KVCache and cache.keys is not None:
                lengthen(cache, rows)

    def begin(self, tokens: int) -> None:
        """A pass of so many tokens begins."""
        self.make_room(tokens)  # of a first prompt, the first block says what keys and values are like
        self._under_way = True

    def advance(self, tokens: int) -> None:
        """A pass is over, which appended so many tokens."""
        self._under_way = False
        self.tokens += tokens

    def snapshot(self) -> None:
        """Remember this point, to which `trim` can go back."""
        if any(not _always_trims(cache) for cache in self.caches):
            self._snapshots.append((self.tokens, self._copies(self.caches)))
            del self._snapshots[:-MAX_SNAPSHOTS]

    def evaluate(self) -> None:
        """Compute what the caches hold."""
        mx.eval(list(_arrays(self.caches)))

    def trim(self, tokens: int) -> int:
        """Keep the first `tokens` tokens, or, where there is no way back to just these, fewer. Returns how many."""
        if tokens == self.tokens and not self._under_way:
            return tokens
        self._under_way = False
        if all(map(_always_trims, self.caches)):
            self._set(tokens, [None] * len(self.caches))
        else:
            self._snapshots = [point for point in self._snapshots if point[0] <= tokens]
            self._set(*(self._snapshots[-1] if self._snapshots else (0, make_prompt_cache(self._network))))
        return self.tokens

    def _set(self, tokens: int, saved: Caches) -> None:
        for i, (cache, other) in enumerate(zip(self.caches, self._copies(saved), strict=True)):
            if other is None:
                cache.trim(cache.offset - tokens)
            else:
                self.caches[i] = other
        self.tokens = tokens

    def _copies(self, caches: Caches) -> Caches:
        """Copies that nothing changes in place; None for what can be trimmed."""
        return [None if cache is None or _always_trims(cache) else _copied(cache) for cache in caches]


def _always_trims(cache: Any) -> bool:
    return type(cache) in (KVCache, QuantizedKVCache)


def _arrays(value: Any) -> Iterator[mx.array]:
    """All arrays of caches, whatever else they hold."""
    if isinstance(value, mx.array):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _arrays(each)
    elif hasattr(value, "state"):
        yield from _arrays(list(vars(value).values()))


def _copied(value: Any) -> Any:
    """A copy of a cache whose arrays are objects of their own: mlx-lm writes into its arrays in place."""
    if isinstance(value, mx.array):
        return mx.stop_gradient(value)
    if isinstance(value, list | tuple):
        return type(value)(map(_copied, value))
    if not hasattr(value, "state"):
        return value
    other = copy(value)
    for name, attribute in vars(value).items():
        setattr(other, name, _copied(attribute))
    return other
