"""The linears of a model of mlx-lm's that can be multiplied block by block, in the order in which they are computed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.linear import Linear
from mlx.nn.layers.quantized import QuantizedLinear

from engine.models.caches import shaped_caches
from engine.models.checkpoint import replace_module

LINEARS = (Linear, QuantizedLinear)
MATRIX = ("weight", "scales", "biases")  # tensors that have a row for each of a linear's outputs
BLOCK_BYTES = 1 << 20  # of a linear's block, at most: a read that is as fast as any
MIN_BLOCKS = 8  # of a linear, where it has rows enough: so finely a budget is made use of
ROWS_UNIT = 32  # rows that a block is a multiple of, as products like it
FFN_NAMES = frozenset({"mlp", "feed_forward", "ffn", "mlp_block"})


def linears(network: Module) -> list[tuple[str, Module]]:
    """The linears of a model, whose weights nothing but their own call looks at, with their paths, in the order in
    which they are called. Nothing is evaluated."""
    with _watched(network) as watched:
        try:
            shaped_caches(network)
        except Exception:  # of an architecture that looks at its linears in a way of its own
            return []
        called = sorted((each for each in watched if each.turn and not each.touched), key=lambda each: each.turn)
    return [(each.path, each.linear) for each in called]


def is_ffn(path: str) -> bool:
    """True for a linear of a layer's FFN."""
    return not FFN_NAMES.isdisjoint(path.split("."))


def matrix_of(linear: Module) -> dict[str, mx.array]:
    """The tensors of a linear that have a row for each output."""
    tensors: dict[str, Any] = linear.parameters()
    return {name: tensors[name] for name in MATRIX if name in tensors}


def block_rows(matrix: Mapping[str, mx.array]) -> int:
    """Rows of a block of a linear's matrix."""
    rows, size = matrix["weight"].shape[0], sum(array.nbytes for array in matrix.values())
    liked = BLOCK_BYTES * rows // size
    return max(1, min(liked, rows // MIN_BLOCKS) // ROWS_UNIT) * ROWS_UNIT


class _Watched(Module):
    """Stands for a linear while it is found out whether and when it is called. touched: something looked at more of it
    than its answer."""

    def __init__(self, path: str, linear: Any, turns: Iterator[int]):
        super().__init__()
        self.__dict__.update(path=path, linear=linear, turns=turns, turn=0, touched=False)

    def __call__(self, x: mx.array) -> mx.array:
        if not self.turn:
            self.__dict__["turn"] = next(self.turns)
        answer: mx.array = self.linear(x)
        return answer

    def __getattr__(self, name: str) -> Any:
        self.__dict__["touched"] = True
        return getattr(self.linear, name)

    def __contains__(self, name: object) -> bool:
        self.__dict__["touched"] = True
        return name in self.linear


@contextmanager
def _watched(network: Module) -> Iterator[list[_Watched]]:
    turns, found = iter(range(1, 1 << 30)), []
    for path, module in network.named_modules():
        if type(module) in LINEARS and module.weight.ndim == 2:
            found.append(_Watched(path, module, turns))
            replace_module(network, path, found[-1])
    try:
        yield found
    finally:
        for each in found:
            replace_module(network, each.path, each.linear)
