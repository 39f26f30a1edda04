"""The FFN whose neurons stay on flash: select, bring, multiply (paper, section 3)."""

from collections.abc import Iterable
from typing import TypeVar

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.arrays.products import float32_blocks
from engine.memory.pool import Integers
from engine.models.activations import Activation
from engine.models.ffn import Resident
from engine.sparsity.selectors import Selector
from engine.streaming.bundles import LayerBundles, Part

Rows = TypeVar("Rows", mx.array, NDArray[np.float32])


class NeuronProduct:
    """The product of an FFN's input with some of its neurons, whose bundles are [up | down] or [gate | up | down].

    bias: float32 [neurons], of the bundles' first part; zeros where the model has none, as gated ones do.
    """

    def __init__(self, activation: Activation, bias: NDArray[np.float32]):
        self.activation, self._bias = activation, bias

    def __call__(self, x: mx.array, part: Part) -> tuple[mx.array, mx.array]:
        """Hidden values [1, tokens, neurons] and output [1, tokens, width] of x [1, tokens, width]."""
        bias = self._bias[part.ids]
        bias[part.arriving] = -np.inf  # every activation here makes nothing of it
        if not mx.metal.is_available():
            return self._in_numpy(x, part.matrix, bias)
        *inputs, down = (rows.astype(x.dtype) for rows in self._parts(part.matrix, x.shape[-1]))
        products = [x @ rows.T for rows in inputs]
        hidden = self.activation.hidden(products[0] + mx.array(bias).astype(x.dtype), *products[1:])
        return hidden, hidden @ down

    def _in_numpy(self, x: mx.array, rows: mx.array, bias: NDArray[np.float32]) -> tuple[mx.array, mx.array]:
        """Without a GPU: MLX has only a reference BLAS there, and would copy each strided part. Block by block."""
        tokens = np.array(x[0].astype(mx.float32))
        hidden = np.empty((len(tokens), rows.shape[0]), np.float32)
        y = np.zeros_like(tokens)
        for start, block in float32_blocks(rows):
            here = slice(start, start + len(block))
            *inputs, down = self._parts(block, tokens.shape[-1])
            products = [tokens @ part.T for part in inputs]
            products[0] += bias[here]
            hidden[:, here] = self.activation.hidden(*products)
            y += hidden[:, here] @ down
        return mx.array(hidden)[None], mx.array(y)[None].astype(x.dtype)

    def _parts(self, rows: Rows, width: int) -> list[Rows]:
        return [rows[:, i * width : (i + 1) * width] for i in range(len(self.activation.parts))]


class AllNeurons(Resident):
    """Takes the place of a layer's dense FFN: `ffn(x)`, x and result [1, tokens, width]. All neurons of the layer are
    multiplied for every token, which is exact and slow.

    down_bias: [width] or None.
    """

    def __init__(self, bundles: LayerBundles, product: NeuronProduct, down_bias: mx.array | None):
        self.bundles, self.product, self.down_bias = bundles, product, down_bias

    def __call__(self, x: mx.array) -> mx.array:
        self.bundles.passes.current.check()
        return self.over(x, self.bundles.stream())

    def over(self, x: mx.array, parts: Iterable[Part]) -> mx.array:
        """The sum over parts of the layer."""
        y = None
        for part in parts:
            hidden, added = self.product(x, part)
            y = added if y is None else y + added
            self.bundles.read_by(y)
            self._see(x, part, hidden)
        y = mx.zeros_like(x) if y is None else y
        return y if self.down_bias is None else y + self.down_bias

    def _see(self, x: mx.array, part: Part, hidden: mx.array) -> None:
        """Tell whoever measures."""
        if observer := self.bundles.passes.current.observer:
            observer.streamed(self.bundles.layer, x, part.ids, hidden)


class StreamedNeurons(AllNeurons):
    """The same with the neurons alone that a token needs, as the selector says. Prompts need nearly all: they are
    streamed, and the pool is filled with what their last tokens used.

    early_reads: where attention stands beside the FFN, reads begin before it.
    """

    def __init__(
        self,
        bundles: LayerBundles,
        product: NeuronProduct,
        down_bias: mx.array | None,
        selector: Selector,
        early_reads: bool = True,
    ):
        super().__init__(bundles, product, down_bias)
        self.selector, self._early_reads = selector, early_reads

    def __call__(self, x: mx.array) -> mx.array:
        if self.bundles.passes.current.is_prompt:
            if not self.bundles.pool.keep_hot:
                self.bundles.clear()
            return super().__call__(x)
        self.bundles.passes.current.check()
        return self.over(x, self.bundles.bring(self._select(x)))

    def anticipate(self, x: mx.array) -> None:
        """Start reading what will probably be needed, while attention is computed.

        x: what the input would be if attention added nothing. Reads that the real misses have to wait for are few: the
        guesses learn to be right.
        """
        bundles = self.bundles
        if bundles.look_ahead is not None and bundles.overlap.ahead and not bundles.passes.current.is_prompt:
            bundles.expect(self.selector.guess(x, bundles.look_ahead.shift))

    def begin(self, x: mx.array) -> bool:
        """Select, and start reading what is missing; `ffn(x)` must follow. Returns whether something is being read.

        For layers whose attention and FFN are side by side: flash works while attention is computed.
        """
        if not self._early_reads or self.bundles.passes.current.is_prompt:
            return False
        return self.bundles.begin(self._select(x))

    def _select(self, x: mx.array) -> Integers:
        begun = self.bundles.begun
        return self.selector.select(x) if begun is None else begun

    def _see(self, x: mx.array, part: Part, hidden: mx.array) -> None:
        current = self.bundles.passes.current
        if current.is_prompt:
            super()._see(x, part, hidden)
            if current.at_end:
                self._seed(part, hidden)
        elif current.observer:
            current.observer.computed(self.bundles.layer, hidden)

    def _seed(self, part: Part, hidden: mx.array) -> None:
        """Keep the neurons that the window's tokens at the end of a prompt used. hidden: [1, tokens, neurons]."""
        window = self.bundles.passes.window
        recent = np.array(hidden[0, -window.size :] != 0)
        age = np.argmax(recent[::-1], axis=0)  # tokens since each neuron was last active
        used = np.flatnonzero(recent.any(axis=0))
        self.bundles.keep(part, part.ids[used], window.token - age[used])
