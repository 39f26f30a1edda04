"""The tail that every attention has in common: rotate, remember, attend, and put the heads side by side."""

from collections.abc import Callable
from typing import Protocol

import mlx.core as mx

from engine.arrays.attention import Mask, attended
from engine.arrays.layers import side_by_side


class Cache(Protocol):
    """The keys and values of a layer's earlier tokens, of which there are `offset`."""

    @property
    def offset(self) -> int:
        """The number of earlier tokens."""

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """All keys and values, with those of the present tokens [batch, heads, length, head_dim] behind the others."""


def attend(
    queries: mx.array,
    keys: mx.array,
    values: mx.array,
    cache: Cache | None,
    mask: Mask,
    scale: float,
    rope: Callable[..., mx.array] | None = None,
) -> mx.array:
    """The heads' outputs side by side, [batch, length, heads * head_dim].

    queries: [batch, heads, length, head_dim]; keys and values: of perhaps fewer heads, each shared by a group.

    cache: of the tokens before, or None. mask: None, "causal" or bool [length, tokens]. rope: rotates by position.
    """
    if rope is not None:
        offset = cache.offset if cache is not None else 0
        queries, keys = rope(queries, offset=offset), rope(keys, offset=offset)
    if cache is not None:
        keys, values = cache.update_and_fetch(keys, values)
    return side_by_side(attended(queries, keys, values, cache, scale, mask))
