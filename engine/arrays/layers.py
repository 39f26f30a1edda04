"""A model's layers where there is no GPU: MLX's own take 30 to 50 microseconds a call there, however small, and
multiply with a reference BLAS."""

import functools
from dataclasses import dataclass
from types import FunctionType
from typing import Any, cast

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from engine.arrays.attention import attended
from engine.arrays.evaluation import evaluating
from engine.arrays.packed import Floats, Form, Resident, available, normed
from engine.arrays.products import floats_of
from engine.arrays.rotation import ROTARY

ATTENTION = "scaled_dot_product_attention"  # the name of mlx-lm's


def use_native_layers(model: nn.Module) -> None:
    """Let a model's linears, head, norms and attention compute natively. Of no effect where there is a GPU."""
    if not available():
        return
    for module in model.modules():
        kind: Any = type(module)
        if kind in NATIVE and "global_scale" not in module:
            module.__class__ = NATIVE[kind]
        else:
            module.__class__ = _attending(kind)


def attends_natively(model: nn.Module) -> bool:
    """True for a model whose attention `use_native_layers` replaces: some scores alone are then there at once."""
    return available() and any(_calls_attention(type(module)) for module in model.modules())


def _calls_attention(kind: Any) -> bool:
    call = kind.__call__
    return isinstance(call, FunctionType) and ATTENTION in call.__code__.co_names


@functools.cache
def _attending(kind: Any) -> type:
    """The same module; one of mlx-lm's that attends with our attention in the place of the one that its file names:
    whatever other model there is of this kind, perhaps one that must not be evaluated, keeps its own."""
    if not _calls_attention(kind):
        return cast("type", kind)
    call = kind.__call__
    names = call.__globals__ | {ATTENTION: attended}
    ours = FunctionType(call.__code__, names, call.__name__, call.__defaults__, call.__closure__)
    ours.__kwdefaults__ = call.__kwdefaults__
    return type(kind.__name__, (kind,), {"__call__": ours})


def added(x: mx.array, y: mx.array) -> mx.array:
    """x + y; of one token's float32 numbers without a GPU at once, as handing them to MLX's own thread takes longer."""
    if not (_is_at_once(x) and y.dtype == mx.float32):
        return x + y
    return mx.array(floats_of(x) + floats_of(y))


def in_heads(x: mx.array, dim: int) -> mx.array:
    """[batch, heads, length, dim] of x [batch, length, heads * dim]; at once, as above."""
    batch, length, _ = x.shape
    if _is_at_once(x):
        return mx.array(floats_of(x).reshape(batch, -1, length, dim))
    return x.reshape(batch, length, -1, dim).transpose(0, 2, 1, 3)


def side_by_side(x: mx.array) -> mx.array:
    """[batch, length, heads * dim] of x [batch, heads, length, dim]; at once, as above."""
    batch, heads, length, dim = x.shape
    if _is_at_once(x, heads):
        return mx.array(floats_of(x).reshape(batch, length, -1))
    return x.transpose(0, 2, 1, 3).reshape(batch, length, heads * dim)


def _is_at_once(x: mx.array, heads: int = 1) -> bool:
    """True for the float32 numbers of one token, where there is no GPU."""
    return x.size == heads * x.shape[-1] and x.dtype == mx.float32 and available() and evaluating.get()


class _Multiplied:
    """The part that linears and embeddings share: their weights as a matrix, made when it is first wanted."""

    _matrix: Resident | None = None
    _bias: Floats | None = None

    def _product(self: Any, x: mx.array) -> mx.array:
        if self._matrix is None or self._matrix.weight is not self.weight:
            self._prepare()
        y = self._matrix.times(floats_of(x).reshape(-1, x.shape[-1]))
        if self._bias is not None:
            y += self._bias
        return mx.array(y.reshape(*x.shape[:-1], -1)).astype(self._result_dtype(x))

    def _result_dtype(self: Any, x: mx.array) -> mx.Dtype:
        """As MLX's: scales that are no floats do not count."""
        weight = self.get("scales", self.weight)
        return x.dtype if x.dtype == mx.float32 or weight.dtype == mx.uint8 else mx.result_type(x, weight)

    def _prepare(self: Any) -> None:
        form = Form(self.bits, self.group_size, self.mode) if "scales" in self else None
        self._matrix = Resident(self.weight, form, self.get("scales"), self.get("biases"))
        self._bias = floats_of(self.bias).copy() if "bias" in self else None


class _Linear(_Multiplied, nn.Linear):
    def __call__(self, x: mx.array) -> mx.array:
        return self._product(x)


class _QuantizedLinear(_Multiplied, nn.QuantizedLinear):
    def __call__(self, x: mx.array) -> mx.array:
        return self._product(x)


class _Embedding(_Multiplied, nn.Embedding):
    def __call__(self, x: mx.array) -> mx.array:
        """In float32, and so is all that is computed from it: products sum in float32 anyway, whatever weights are."""
        rows: mx.array = super().__call__(x)
        return rows.astype(mx.float32)

    def as_linear(self, x: mx.array) -> mx.array:
        return self._product(x)


class _QuantizedEmbedding(_Multiplied, nn.QuantizedEmbedding):
    def __call__(self, x: mx.array) -> mx.array:
        """In float32, as above: where scales are no floats, MLX would make it bfloat16."""
        rows: mx.array = super().__call__(x)
        return rows.astype(mx.float32)

    def as_linear(self, x: mx.array) -> mx.array:
        return self._product(x)


@dataclass(frozen=True)
class _Parts:
    """A norm's weights and biases, each None where there are none: MLX's arrays, and float32 of them."""

    arrays: tuple[Any, ...]
    floats: tuple[Floats | None, ...]

    def are(self, arrays: tuple[Any, ...]) -> bool:
        """True for these very arrays."""
        return all(one is other for one, other in zip(self.arrays, arrays, strict=True))


class _Normed:
    """The part that norms share: their weights and biases in float32, made when they are first wanted."""

    _parts: _Parts | None = None

    def _normed(self: Any, x: mx.array, centred: bool) -> mx.array:
        arrays = self.get("weight"), self.get("bias")
        if self._parts is None or not self._parts.are(arrays):
            self._parts = _Parts(arrays, tuple(None if part is None else np.array(floats_of(part)) for part in arrays))
        y = mx.array(normed(floats_of(x), self.eps, centred, *self._parts.floats))
        if x.dtype == mx.float32:
            return y
        return y.astype(mx.result_type(x, *(part for part in arrays if part is not None)))


class _LayerNorm(_Normed, nn.LayerNorm):
    def __call__(self, x: mx.array) -> mx.array:
        return self._normed(x, True)


class _RMSNorm(_Normed, nn.RMSNorm):
    def __call__(self, x: mx.array) -> mx.array:
        return self._normed(x, False)


NATIVE: dict[type, type] = {
    nn.Linear: _Linear,
    nn.Embedding: _Embedding,
    nn.QuantizedLinear: _QuantizedLinear,
    nn.QuantizedEmbedding: _QuantizedEmbedding,
    nn.LayerNorm: _LayerNorm,
    nn.RMSNorm: _RMSNorm,
    **ROTARY,
}
