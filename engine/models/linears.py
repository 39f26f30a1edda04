"""The weights of a model of mlx-lm's that need not be in memory as a whole: linears, which can be multiplied block by
block, and tables, of which a token takes a row."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.embedding import Embedding
from mlx.nn.layers.linear import Linear
from mlx.nn.layers.quantized import QuantizedEmbedding, QuantizedLinear

from engine.models.caches import shaped_caches
from engine.models.checkpoint import replace_module

LINEARS, TABLES = (Linear, QuantizedLinear), (Embedding, QuantizedEmbedding)
MATRIX = ("weight", "scales", "biases")  # tensors that have a row for each of a linear's outputs, or a table's ids
BLOCK_BYTES = 1 << 20  # of a linear's block, at most: a read that is as fast as any
MIN_BLOCKS = 8  # of a linear, where it has rows enough: so finely a budget is made use of
ROWS_UNIT = 32  # rows that a block is a multiple of, as products like it; what has fewer is not worth a read
FFN_NAMES = frozenset({"mlp", "feed_forward", "ffn", "mlp_block"})


@dataclass(frozen=True)
class Uses:
    """The modules of a model whose weights nothing but their own call looks at, with their paths.

    linears: in the order in which they are called, tables among them that also make the logits. tables: those that are
    looked up.
    """

    linears: tuple[tuple[str, Module], ...] = ()
    tables: tuple[tuple[str, Module], ...] = ()

    @property
    def head(self) -> str | None:
        """The path of what makes the logits: it is multiplied last, and nothing has more rows; None if that is none of
        these."""
        rows = [len(linear["weight"]) for _, linear in self.linears]
        return self.linears[-1][0] if rows and rows[-1] == max(rows) else None

    @property
    def only_tables(self) -> list[tuple[str, Module]]:
        """Tables that are nothing else."""
        multiplied = {path for path, _ in self.linears}
        return [(path, table) for path, table in self.tables if path not in multiplied]


def uses_of(network: Module) -> Uses:
    """A model's linears and tables, as it uses them. Nothing is evaluated."""
    with _watched(network) as watched:
        try:
            shaped_caches(network)
        except Exception:  # of an architecture that looks at its weights in a way of its own
            return Uses()
    free = [each for each in watched if not each.touched]
    multiplied = sorted((each for each in free if each.turn), key=lambda each: each.turn)
    return Uses(
        tuple((each.path, each.module) for each in multiplied),
        tuple((each.path, each.module) for each in free if each.looked_up),
    )


def is_ffn(path: str) -> bool:
    """True for a linear of a layer's FFN."""
    return not FFN_NAMES.isdisjoint(path.split("."))


def matrix_of(module: Module) -> dict[str, mx.array]:
    """The tensors of a linear or a table that have a row for each output or id."""
    tensors: dict[str, Any] = module.parameters()
    return {name: tensors[name] for name in MATRIX if name in tensors}


def block_rows(matrix: Mapping[str, mx.array]) -> int:
    """Rows of a block of a linear's matrix."""
    rows, size = matrix["weight"].shape[0], sum(array.nbytes for array in matrix.values())
    liked = BLOCK_BYTES * rows // size
    return max(1, min(liked, rows // MIN_BLOCKS) // ROWS_UNIT) * ROWS_UNIT


class _Watched(Module):
    """Stands for a module while it is found out how it is used. turn: of its first product among all; 0 for none.
    looked_up: a table was called. touched: something looked at more of it than its answer."""

    def __init__(self, path: str, module: Any, turns: Iterator[int]):
        super().__init__()
        self.__dict__.update(path=path, module=module, turns=turns, turn=0, looked_up=False, touched=False)

    def __call__(self, x: mx.array) -> mx.array:
        if isinstance(self.module, LINEARS):
            return self._multiplied(x, self.module)
        self.__dict__["looked_up"] = True
        rows: mx.array = self.module(x)
        return rows

    def as_linear(self, x: mx.array) -> mx.array:
        return self._multiplied(x, self.module.as_linear)

    def _multiplied(self, x: mx.array, product: Any) -> mx.array:
        if not self.turn:
            self.__dict__["turn"] = next(self.turns)
        answer: mx.array = product(x)
        return answer

    def __getattr__(self, name: str) -> Any:
        self.__dict__["touched"] = True
        return getattr(self.module, name)

    def __contains__(self, name: object) -> bool:
        self.__dict__["touched"] = True
        return name in self.module


@contextmanager
def _watched(network: Module) -> Iterator[list[_Watched]]:
    turns, found = iter(range(1, 1 << 30)), []
    for path, module in network.named_modules():
        if type(module) in (*LINEARS, *TABLES) and module.weight.ndim == 2 and len(module.weight) >= ROWS_UNIT:
            found.append(_Watched(path, module, turns))
            replace_module(network, path, found[-1])
    try:
        yield found
    finally:
        for each in found:
            replace_module(network, each.path, each.module)
