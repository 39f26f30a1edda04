"""Rotary positions of a few tokens where there is no GPU: MLX computes all sines and cosines for every call there, in
some twenty operations."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx_lm.models.rope_utils import Llama3RoPE, ProportionalRoPE, SuScaledRoPE, YarnRoPE

from engine.arrays.evaluation import evaluating
from engine.arrays.packed import FEW_VECTORS, Floats
from engine.arrays.products import as_numpy, floats_of

BLOCK_POSITIONS = 64  # whose sines and cosines are computed at once
KEPT_BLOCKS = 16  # of all kinds of rotation: a model has one or two


@dataclass(frozen=True)
class Rotation:
    """The turn of the first `width` values of a head, in pairs, which layers have in common.

    kind: equal for all that do. interleaved: pairs are neighbours, not of one half each. turned: as MLX turns x [1, 1,
    positions, width] from an offset on.
    """

    kind: tuple[Any, ...]
    width: int
    interleaved: bool
    turned: Callable[[mx.array, int], mx.array] = field(compare=False)

    @property
    def pairs(self) -> tuple[slice, slice]:
        """The places of the first and of the second values of all pairs."""
        width, half = self.width, self.width // 2
        return (slice(0, width, 2), slice(1, width, 2)) if self.interleaved else (slice(half), slice(half, width))

    def of(self, x: Floats, offset: int) -> Floats:
        """x [..., tokens, head_dim], the tokens at the positions from `offset` on, turned as MLX does, to the bit."""
        cosines, sines = self._at(offset, x.shape[-2])
        y, (one, other) = x.copy(), self.pairs
        first, second = x[..., one], x[..., other]
        y[..., one] = first * cosines - second * sines
        y[..., other] = first * sines + second * cosines
        return y

    def _at(self, offset: int, tokens: int) -> Floats:
        """Cosines and sines [2, tokens, pairs]."""
        first, last = offset // BLOCK_POSITIONS, (offset + tokens - 1) // BLOCK_POSITIONS
        start = offset - first * BLOCK_POSITIONS
        if first == last:
            return _block(self, first)[:, start : start + tokens]
        blocks = [_block(self, block) for block in range(first, last + 1)]
        return np.concatenate(blocks, axis=1)[:, start : start + tokens]


@functools.lru_cache(KEPT_BLOCKS)
def _block(rotation: Rotation, block: int) -> Floats:
    """Cosines and sines of some positions, [2, BLOCK_POSITIONS, pairs]: what becomes of a one in each pair's first
    place."""
    ones, (one, other) = np.zeros((1, 1, BLOCK_POSITIONS, rotation.width), np.float32), rotation.pairs
    ones[..., one] = 1
    turned = floats_of(rotation.turned(mx.array(ones), block * BLOCK_POSITIONS))[0, 0]
    return np.stack([turned[:, one], turned[:, other]])


class _Rotary:
    """The part that rotations of a few tokens share."""

    _rotation: Rotation | None = None

    def __call__(self: Any, x: mx.array, offset: Any = 0, **others: Any) -> mx.array:
        own = super().__call__  # type: ignore[misc] # of the class that it is mixed into
        few = x.shape[-2] <= FEW_VECTORS and x.dtype == mx.float32 and type(offset) is int
        if others or not few or not evaluating.get():
            turned: mx.array = own(x, offset=offset, **others)
            return turned
        if self._rotation is None:
            self._rotation = _rotation_of(self, lambda x, offset: own(x, offset=offset))
        return mx.array(self._rotation.of(as_numpy(x), offset))


def _rotation_of(module: Any, turned: Callable[[mx.array, int], mx.array]) -> Rotation:
    numbers = tuple((name, value) for name, value in vars(module).items() if isinstance(value, int | float))
    arrays = tuple(floats_of(value).tobytes() for value in module.values() if isinstance(value, mx.array))
    width = module.dim if isinstance(module, SuScaledRoPE) else module.dims
    return Rotation((type(module), numbers, arrays), width, getattr(module, "traditional", False), turned)


ROTARY: dict[type, type] = {
    kind: type(f"_{kind.__name__}", (_Rotary, kind), {})
    for kind in (nn.RoPE, Llama3RoPE, ProportionalRoPE, SuScaledRoPE, YarnRoPE)
}
