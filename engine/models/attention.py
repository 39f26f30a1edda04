"""The tail that every attention has in common: rotate, remember, attend, and put the heads side by side."""

from collections.abc import Callable
from typing import Protocol

import mlx.core as mx
import numpy as np
from mlx_lm.models.base import scaled_dot_product_attention

from engine.arrays.products import as_float32, as_numpy

Mask = mx.array | str | None  # bool [length, tokens], or "causal"


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
    batch, _, length, _ = queries.shape
    if length > 1 and not mx.metal.is_available():
        out = _attend_numpy(queries, keys, values, mask, scale)
    else:
        out = scaled_dot_product_attention(
            queries,
            keys,
            values,
            cache=cache,
            scale=scale,
            mask=mask,  # type: ignore[arg-type] # which takes "causal" as well
        )
    return out.transpose(0, 2, 1, 3).reshape(batch, length, -1)


def _attend_numpy(queries: mx.array, keys: mx.array, values: mx.array, mask: Mask, scale: float) -> mx.array:
    """Many tokens on the CPU, where MLX's attention takes some twenty times as long; one head at a time, so that no
    more than that is ever there in float32."""
    q, k, v = (as_numpy(a) for a in (queries, keys, values))
    (batch, heads, length, _), tokens, group = q.shape, k.shape[2], q.shape[1] // k.shape[1]
    hidden = None
    if isinstance(mask, str):
        hidden = np.triu(np.ones((length, tokens), bool), tokens - length + 1)
    elif mask is not None:
        hidden = ~np.array(mask).reshape(length, tokens)
    out = np.empty((batch, heads, length, v.shape[-1]), np.float32)
    for b, head in np.ndindex(batch, heads):
        one_query, one_key, one_value = (as_float32(a) for a in (q[b, head], k[b, head // group], v[b, head // group]))
        scores = (one_query * np.float32(scale)) @ one_key.T
        if hidden is not None:
            scores[hidden] = -np.inf
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        np.matmul(scores, one_value, out=out[b, head])
    return mx.array(out).astype(queries.dtype)
