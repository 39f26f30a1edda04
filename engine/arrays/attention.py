"""Attention to keys and values where there is no GPU: MLX's own takes two to six times as long for one token, and some
twenty times for a prompt."""

from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.models.base import scaled_dot_product_attention

from engine.arrays.evaluation import evaluating
from engine.arrays.kv_cache import held_of
from engine.arrays.packed import FEW_VECTORS, Floats, Tensor, attend, available, packed_matrix
from engine.arrays.products import as_float32, as_numpy, floats_of
from engine.system.native_library import Matrix

Mask = mx.array | str | None  # bool [length, tokens], or "causal"


def attended(
    queries: mx.array,
    keys: mx.array,
    values: mx.array,
    cache: Any,
    scale: float,
    mask: Mask = None,
    sinks: mx.array | None = None,
) -> mx.array:
    """As mlx-lm's `scaled_dot_product_attention`, [batch, heads, length, head_dim].

    queries: in the result's shape; keys and values: of perhaps fewer heads, each shared by a group. cache: the one that
    they are of, which may keep them quantised. sinks: a score by head that nothing is to be read at.
    """
    other_kind = hasattr(cache, "bits") or (isinstance(mask, mx.array) and mask.dtype != mx.bool_)
    if mx.metal.is_available() or other_kind or not evaluating.get():
        out: mx.array = scaled_dot_product_attention(
            queries,
            keys,
            values,
            cache=cache,
            scale=scale,
            mask=mask,  # type: ignore[arg-type] # which takes "causal" as well
            sinks=sinks,
        )
        return out
    batch, _, length, _ = queries.shape
    in_order = mask is None if length == 1 else mask == "causal"
    if batch == 1 and length <= FEW_VECTORS and in_order and available():
        return _of_few_tokens(queries, keys, values, scale, sinks)
    mx.eval(queries, keys, values)
    return _of_many_tokens(queries, keys, values, scale, mask, sinks)


def _of_few_tokens(
    queries: mx.array, keys: mx.array, values: mx.array, scale: float, sinks: mx.array | None
) -> mx.array:
    """Each token attends to itself and those before it, to the bit as if it were alone."""
    q, sink = floats_of(queries)[0] * np.float32(scale), None if sinks is None else floats_of(sinks)
    length, tokens, out = q.shape[1], keys.shape[2], np.empty((*q.shape[:2], values.shape[-1]), np.float32)
    keys, values = held_of(keys, values)
    for i in range(length):
        seen = tokens - length + i + 1
        out[:, i] = attend(_heads(keys, seen), _heads(values, seen), q[:, i], keys.shape[1], sink)
    return mx.array(out[None]).astype(queries.dtype)


def _heads(array: mx.array, tokens: int) -> Matrix:
    """The first tokens of keys or values [1, heads, tokens, dim], evaluated, as a matrix for each head, where they
    lie."""
    held = as_numpy(array)
    _, head_bytes, token_bytes, _ = held.strides
    tensor = Tensor(held.ctypes.data, head_bytes, (tokens, array.shape[3]), array.dtype, token_bytes)
    return packed_matrix(None, tensor, None, None)


def _softmax(scores: Floats, sink: Floats | None) -> None:
    """Scores [..., tokens] become shares, of which the sinks [..., 1] have what is missing."""
    largest = scores.max(axis=1, keepdims=True)
    largest = largest if sink is None else np.maximum(largest, sink)
    scores -= largest
    np.exp(scores, out=scores)
    total = scores.sum(axis=1, keepdims=True)
    scores /= total if sink is None else total + np.exp(sink - largest)


def _of_many_tokens(
    queries: mx.array, keys: mx.array, values: mx.array, scale: float, mask: Mask, sinks: mx.array | None
) -> mx.array:
    """One head at a time, so that no more than that is ever there in float32."""
    q, k, v = (as_numpy(a) for a in (queries, keys, values))
    (batch, heads, length, _), tokens, group = q.shape, k.shape[2], q.shape[1] // k.shape[1]
    hidden = None
    if isinstance(mask, str):
        hidden = np.triu(np.ones((length, tokens), bool), tokens - length + 1)
    elif mask is not None:
        hidden = np.broadcast_to(~np.array(mask), (batch, heads, length, tokens))
    out = np.empty((batch, heads, length, v.shape[-1]), np.float32)
    for b, head in np.ndindex(batch, heads):
        one_query, one_key, one_value = (as_float32(a) for a in (q[b, head], k[b, head // group], v[b, head // group]))
        scores = (one_query * np.float32(scale)) @ one_key.T
        if hidden is not None:
            scores[hidden if hidden.ndim == 2 else hidden[b, head]] = -np.inf
        _softmax(scores, None if sinks is None else floats_of(sinks)[head])
        np.matmul(scores, one_value, out=out[b, head])
    return mx.array(out).astype(queries.dtype)
