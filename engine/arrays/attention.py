"""Attention to keys and values where there is no GPU: MLX's own takes two to six times as long for one token, and some
hundred times for a prompt."""

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.models.base import scaled_dot_product_attention
from numpy.typing import NDArray

from engine.arrays.evaluation import evaluating
from engine.arrays.kv_cache import held_of
from engine.arrays.packed import FEW_VECTORS, Tensor, attend, attend_many, available, packed_matrix
from engine.arrays.products import as_numpy, floats_of
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
    if not available() or other_kind or not evaluating.get():
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
    if batch == 1 and length <= FEW_VECTORS and in_order:
        return _of_few_tokens(queries, keys, values, scale, sinks)
    return _of_many_tokens(queries, keys, values, scale, mask, sinks)


def _of_few_tokens(
    queries: mx.array, keys: mx.array, values: mx.array, scale: float, sinks: mx.array | None
) -> mx.array:
    """Each token attends to itself and those before it, to the bit as if it were alone."""
    q, sink = floats_of(queries)[0] * np.float32(scale), None if sinks is None else floats_of(sinks)
    length, tokens, slots = q.shape[1], keys.shape[2], keys.shape[1]
    held = tuple(_Held.of(array) for array in held_of(keys, values))
    out = np.empty((*q.shape[:2], values.shape[-1]), np.float32)
    for i in range(length):
        seen = tokens - length + i + 1
        out[:, i] = attend(held[0].heads(seen), held[1].heads(seen), q[:, i], slots, sink)
    return mx.array(out[None]).astype(queries.dtype)


def _of_many_tokens(
    queries: mx.array, keys: mx.array, values: mx.array, scale: float, mask: Mask, sinks: mx.array | None
) -> mx.array:
    """Some queries of one head at a time: no more scores than theirs to some keys are ever there at once."""
    q, sink = floats_of(queries) * np.float32(scale), None if sinks is None else floats_of(sinks)
    tokens, slots, shown = keys.shape[2], keys.shape[1], None
    before = tokens - q.shape[2] if isinstance(mask, str) else None
    if isinstance(mask, mx.array):
        shown = np.broadcast_to(np.array(mask), (*q.shape[:3], tokens))
    mx.eval(keys, values)
    held = _Held.of(keys), _Held.of(values)
    out = np.empty((*q.shape[:3], values.shape[-1]), np.float32)
    for b in range(len(q)):
        k, v = (each.heads(tokens, b) for each in held)
        out[b] = attend_many(k, v, q[b], slots, before, None if shown is None else shown[b], sink)
    return mx.array(out).astype(queries.dtype)


@dataclass(frozen=True)
class _Held:
    """Keys or values [batch, heads, tokens, dim], evaluated, and their memory."""

    dtype: mx.Dtype
    memory: NDArray[Any]

    @classmethod
    def of(cls, array: mx.array) -> "_Held":
        """An array's own, or, where a token's numbers do not follow each other, a copy."""
        memory = as_numpy(array)
        if memory.strides[-1] != memory.itemsize:
            memory = np.ascontiguousarray(memory)
        return cls(array.dtype, memory)

    def heads(self, tokens: int, batch: int = 0) -> Matrix:
        """The first tokens as a matrix for each head, where they lie."""
        held = self.memory[batch]
        head_bytes, token_bytes, _ = held.strides
        tensor = Tensor(held.ctypes.data, head_bytes, (tokens, held.shape[2]), self.dtype, token_bytes)
        return packed_matrix(None, tensor, None, None)
