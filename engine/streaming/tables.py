"""Tables that stay on flash: embeddings of which a token takes a row, for all of the model's layers perhaps.

The rows follow from the tokens alone: a token's is asked for as soon as it is known, a prompt's come in one batch.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module

from engine.memory.pool import Integers
from engine.store.layout import Layout
from engine.streaming.bundles import LayerBundles, Part
from engine.streaming.linears import StreamedLinear

MAX_WRONG = 3  # expectations in a row, after which there are no more


class StreamedTable(Module):
    """Takes the place of an embedding: `table(ids)`, int [...]; result [..., width], as the embedding's own, which
    computes it of the rows that were read.

    layout: its tensors, a row a bundle. head: where it also makes the logits.
    """

    def __init__(self, table: Module, layout: Layout, bundles: LayerBundles, head: StreamedLinear | None = None):
        super().__init__()
        self.bundles, self._layout = bundles, layout
        self._dtypes = {name: table[name].dtype for name in layout.tensors}
        self.table: Any = table
        self._show({})  # what lies on flash is never evaluated as a whole
        if head is not None:
            self.head = head
        self._expected: Integers | None = None
        self._token = -1  # of the window, when it was called last
        self._wrong = 0  # expectations in a row: its ids may be made of the tokens in a way of their own

    def __call__(self, ids: mx.array) -> mx.array:
        """The rows of `ids`."""
        flat = np.array(ids).astype(np.int64).reshape(-1)
        wanted, places = np.unique(flat, return_inverse=True)
        self._learn(wanted)
        rows = self._gathered(self._parts(wanted, places), wanted, places)
        self._show(rows)
        try:
            y: mx.array = self.table(mx.arange(len(flat)).reshape(ids.shape))
        finally:
            self._show({})
        return y

    def as_linear(self, x: mx.array) -> mx.array:
        """The product with all rows, [..., ids], of x [..., width]."""
        y: mx.array = self.head(x)
        return y

    def expect(self, tokens: Sequence[int]) -> None:
        """Start reading the rows of tokens that are about to be computed."""
        if self._wrong == MAX_WRONG or not self.bundles.pool.capacity:
            return
        ids = np.unique(np.asarray(tokens, np.int64))
        self._expected = ids[ids < self.bundles.source.bundles]
        self.bundles.expect(self._expected)

    def _learn(self, wanted: Integers) -> None:
        expected, self._expected = self._expected, None
        if expected is not None and len(expected):
            self._wrong = 0 if np.isin(wanted, expected).any() else self._wrong + 1

    def _parts(self, wanted: Integers, places: Integers) -> Iterable[Part]:
        bundles, token = self.bundles, self.bundles.passes.window.token
        seen, self._token = self._token == token, token
        if len(wanted) <= bundles.pool.capacity and not seen:  # what a token needs can make no room for more of its own
            return bundles.bring(wanted)
        last = np.zeros(len(wanted), np.int64)
        last[places] = np.arange(len(places)) - len(places) + 1
        return bundles.fetch(wanted, token + last)

    def _gathered(self, parts: Iterable[Part], wanted: Integers, places: Integers) -> dict[str, mx.array]:
        """The tensors' rows, [ids, ...], in the dtype that is computed with."""
        found: list[tuple[Integers, dict[str, mx.array]]] = []
        for part in parts:
            here, held = part.find(wanted[places])
            rows = mx.array(held)
            tensors = {name: view[rows] for name, view in self._layout.views(part.slab.matrix).items()}
            for tensor in tensors.values():
                self.bundles.read_by(tensor)
            found.append((here, tensors))
        return {name: self._joined([(at, t[name]) for at, t in found]).astype(d) for name, d in self._dtypes.items()}

    @staticmethod
    def _joined(pieces: list[tuple[Integers, mx.array]]) -> mx.array:
        if len(pieces) == 1:
            return pieces[0][1]
        order = np.argsort(np.concatenate([places for places, _ in pieces]))
        return mx.concatenate([rows for _, rows in pieces])[mx.array(order)]

    def _show(self, tensors: dict[str, mx.array]) -> None:
        """Let the embedding have these tensors, and no others."""
        for name in self._layout.tensors:
            self.table.pop(name, None)
            if name in tensors:
                self.table[name] = tensors[name]
