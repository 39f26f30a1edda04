"""The FFN whose neurons stay on flash: select, bring, multiply (paper, section 3)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.arrays.aligned import Slab
from engine.arrays.layers import added
from engine.arrays.packed import Tensor, add_many, add_rows, available, multiply, multiply_many, packed_matrix
from engine.arrays.products import floats_of
from engine.memory.pool import Integers
from engine.models.activations import Activation
from engine.models.ffn import Resident
from engine.sparsity.selectors import Selector
from engine.streaming.bundles import LayerBundles, Part
from engine.system.native_library import Matrix

Floats = NDArray[np.float32]
Rows = TypeVar("Rows", mx.array, Floats)


@dataclass(frozen=True)
class Active:
    """Neurons of one token that are active: their numbers in the layer and their rows of a slab, counted through its
    slots, int64 [n], and their hidden values, float32 [n]. all_hidden: [1, neurons], of the part that they come from.
    """

    neurons: Integers
    rows: Integers
    values: Floats
    all_hidden: Floats

    def beside(self, other: "Active | None") -> "Active":
        """Both, in the order of neurons."""
        if other is None:
            return self
        neurons = np.concatenate([other.neurons, self.neurons])
        order = np.argsort(neurons)
        rows, values = np.concatenate([other.rows, self.rows]), np.concatenate([other.values, self.values])
        return Active(neurons[order], rows[order], values[order], self.all_hidden)


class Product(Protocol):
    """The product of an FFN's input with some of its neurons."""

    @property
    def neurons(self) -> int:
        """Neurons of the layer."""

    @property
    def bundle_neurons(self) -> int:
        """Neurons of a bundle."""

    def after(
        self, y: mx.array | None, x: mx.array, part: Part, before: Active | None = None
    ) -> tuple[mx.array, mx.array]:
        """Hidden values [1, tokens, neurons] and float32 output [1, tokens, width] of x [1, tokens, width], the output
        added to y, of the parts before. before: of the part before, whose output is added with this one's."""

    def active(self, x: mx.array, part: Part) -> Active:
        """The active neurons of a part, for one token's x [1, 1, width]."""


def sums_in_order(tokens: int) -> bool:
    """True where the sum for so many tokens at once is made neuron by neuron, in their order: it is the same to the bit
    whatever neurons that are not active are in memory, and whichever of them came first."""
    return tokens == 1 and available()


class SummedProduct(ABC):
    """The part that products with neurons share: the sum over a part, added to that of the parts before.

    bias: float32 [bundles, ...], of the bundles' first part.
    """

    activation: Activation

    def __init__(self, bias: Floats):
        self._bias = bias

    def after(
        self, y: mx.array | None, x: mx.array, part: Part, before: Active | None = None
    ) -> tuple[mx.array, mx.array]:
        """Hidden values [1, tokens, neurons] and float32 output [1, tokens, width] of x [1, tokens, width], the output
        added to y, of the parts before. before: of the part before, whose output is added with this one's.

        Without a GPU, one token's sum is made neuron by neuron in the order of ids: it is the same to the bit whatever
        neurons that are not active are in memory, and however a layer is cut into parts that follow each other. Were it
        float32's last bit that differed, the next rounding to 16 bits would now and then make it one of theirs.
        """
        if not available():
            hidden, added = self._in_mlx(x, part, self._bias_of(part))
            return hidden, added if y is None else y + added
        tokens = floats_of(x).reshape(-1, x.shape[-1])
        total = np.zeros_like(tokens) if y is None else np.array(y[0])
        if sums_in_order(len(tokens)):
            active = self.active(x, part)
            hidden_values = active.all_hidden
            self._add(active.beside(before), part.slab, total)
        else:
            pieces = [self._of_many(tokens, piece, total) for piece in part.in_sequence()]
            hidden_values = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)
        return mx.array(hidden_values[None]), mx.array(total[None])

    @abstractmethod
    def active(self, x: mx.array, part: Part) -> Active:
        """The active neurons of a part, for one token's x [1, 1, width]."""

    @abstractmethod
    def _in_mlx(self, x: mx.array, part: Part, bias: Floats) -> tuple[mx.array, mx.array]: ...

    @abstractmethod
    def _of_many(self, tokens: Floats, part: Part, y: Floats) -> Floats:
        """Hidden values [tokens, neurons] of [tokens, width] and a part in sequence; their output is added to y, of the
        size of tokens."""

    @abstractmethod
    def _add(self, active: Active, slab: Slab, y: Floats) -> None:
        """Add the output of active neurons to y [1, width], one after the other."""

    def _bias_of(self, part: Part) -> Floats:
        bias = self._bias[part.ids]
        bias[part.arriving] = -np.inf  # every activation here makes nothing of it
        return bias


class NeuronProduct(SummedProduct):
    """The product with neurons whose bundles are [up | down] or [gate | up | down], one neuron each.

    bias: float32 [neurons], of the bundles' first part; zeros where the model has none, as gated ones do.
    """

    bundle_neurons = 1

    def __init__(self, activation: Activation, bias: NDArray[np.float32]):
        super().__init__(bias)
        self.activation, self.neurons = activation, len(bias)

    def __call__(self, x: mx.array, part: Part) -> tuple[mx.array, mx.array]:
        """Hidden values [1, tokens, neurons] and float32 output [1, tokens, width] of x [1, tokens, width]."""
        return self.after(None, x, part)

    def active(self, x: mx.array, part: Part) -> Active:
        """The active neurons of a part, for one token's x [1, 1, width]. What is not decisive is multiplied for these
        alone."""
        token, bias = floats_of(x).reshape(1, -1), self._bias_of(part)
        *inputs, _ = (self._rows(part.slab, i, x.shape[-1]) for i in range(len(self.activation.parts)))
        rows, products = part.row_numbers, []
        zeros = np.zeros(len(rows), np.int64)
        for matrix in inputs[: self.activation.decisive]:
            products.append(multiply(matrix, token, zeros, rows)[:, 0])
        products[0] += bias
        active = np.flatnonzero(self.activation.active(*products))
        active = active[np.argsort(part.ids[active])]
        products = [product[active] for product in products]
        for matrix in inputs[self.activation.decisive :]:
            products.append(multiply(matrix, token, zeros[: len(active)], rows[active])[:, 0])
        hidden = np.zeros((1, len(rows)), np.float32)
        hidden[0, active] = values = self.activation.hidden(*products)
        return Active(part.ids[active], rows[active], values, hidden)

    def _in_mlx(self, x: mx.array, part: Part, bias: Floats) -> tuple[mx.array, mx.array]:
        *inputs, down = (rows.astype(x.dtype) for rows in self._parts(part.matrix, x.shape[-1]))
        products = [x @ rows.T for rows in inputs]
        hidden = self.activation.hidden(products[0] + mx.array(bias).astype(x.dtype), *products[1:])
        return hidden, (hidden @ down).astype(mx.float32)

    def _of_many(self, tokens: Floats, part: Part, y: Floats) -> Floats:
        *inputs, down = (self._rows(part.slab, i, y.shape[1]) for i in range(len(self.activation.parts)))
        first = int(part.row_numbers[0])
        products = [multiply_many(matrix, tokens, len(part.ids), first) for matrix in inputs]
        products[0] += self._bias_of(part)
        hidden: Floats = self.activation.hidden(*products)
        add_many(down, hidden, y, first)
        return hidden

    def _add(self, active: Active, slab: Slab, y: Floats) -> None:
        down = self._rows(slab, len(self.activation.parts) - 1, y.shape[-1])
        add_rows(down, np.zeros(1, np.int64), active.rows, active.values[None], y)

    def _rows(self, slab: Slab, part: int, width: int) -> Matrix:
        """One of the parts of bundles: each bundle is a slot with one row, and a row of slot 0."""
        dtype, row_bytes = slab.matrix.dtype, slab.view.shape[1]
        address = slab.view.ctypes.data + part * width * dtype.size
        return packed_matrix(None, Tensor(address, row_bytes, (1, width), dtype, row_bytes), None, None)

    def _parts(self, rows: Rows, width: int) -> list[Rows]:
        return [rows[:, i * width : (i + 1) * width] for i in range(len(self.activation.parts))]


class AllNeurons(Resident):
    """Takes the place of a layer's dense FFN: `ffn(x)`, x and result [1, tokens, width]. All neurons of the layer are
    multiplied for every token, which is exact and slow.

    down_bias: [width] or None.
    """

    def __init__(self, bundles: LayerBundles, product: Product, down_bias: mx.array | None):
        self.bundles, self.product, self.down_bias = bundles, product, down_bias

    def __call__(self, x: mx.array) -> mx.array:
        """The FFN's output for x [1, tokens, width]."""
        self.bundles.passes.current.check()
        return self.over(x, self.bundles.stream())

    def over(self, x: mx.array, parts: Iterable[Part]) -> mx.array:
        """The sum over parts of the layer."""
        y = before = None
        for part in parts:
            if part.more and sums_in_order(x.shape[1]):
                before = self.product.active(x, part)
                self._see(x, part, mx.array(before.all_hidden[None]))
                continue
            hidden, y = self.product.after(y, x, part, before)
            self.bundles.read_by(y)
            self._see(x, part, hidden)
        return self._with_bias(mx.zeros_like(x) if y is None else y, x)

    def _with_bias(self, y: mx.array, x: mx.array) -> mx.array:
        return (y if self.down_bias is None else added(y, self.down_bias)).astype(x.dtype)

    def _see(self, x: mx.array, part: Part, hidden: mx.array) -> None:
        """Tell whoever measures."""
        if observer := self.bundles.passes.current.observer:
            neurons = self._neurons_of(part.ids)
            observer.streamed(self.bundles.layer, x, neurons, hidden[..., : len(neurons)])

    def _neurons_of(self, bundles: Integers) -> Integers:
        """The neurons of some bundles, in their order; the layer's last bundle may be filled up."""
        each = self.product.bundle_neurons
        neurons = (bundles[:, None] * each + np.arange(each)).reshape(-1)
        return neurons[neurons < self.product.neurons]


class StreamedNeurons(AllNeurons):
    """The same with the neurons alone that a token needs, as the selector says. Prompts need nearly all: they are
    streamed, and the pool is filled with what their last tokens used.

    early_reads: where attention stands beside the FFN, reads begin before it.
    """

    def __init__(
        self,
        bundles: LayerBundles,
        product: Product,
        down_bias: mx.array | None,
        selector: Selector,
        early_reads: bool = True,
    ):
        super().__init__(bundles, product, down_bias)
        self.selector, self._early_reads = selector, early_reads

    def __call__(self, x: mx.array) -> mx.array:
        """The FFN's output for x [1, tokens, width]."""
        if self.bundles.passes.current.is_prompt:
            if not self.bundles.pool.keep_hot:
                self.bundles.clear()
            return super().__call__(x)
        self.bundles.passes.current.check()
        if x.shape[1] > 1:
            return self._each(x, self.selector.active(x)[0])
        return self.over(x, self.bundles.bring(self._select(x)))

    def _each(self, x: mx.array, active: NDArray[np.bool_]) -> mx.array:
        """Of a few tokens that are decoded together, with bool [tokens, neurons]: all that any needs is brought once.
        Without a GPU each token is multiplied with its own neurons alone, to the bit as if it were."""
        each = self.product.bundle_neurons
        padded = np.pad(active, ((0, 0), (0, -active.shape[1] % each)))
        needs: NDArray[np.bool_] = np.any(padded.reshape(len(active), -1, each), axis=2)  # by bundle
        parts = self.bundles.bring(self.bundles.note(needs))
        if not available():
            return self.over(x, parts)
        totals: list[mx.array | None] = [None] * len(active)
        before: list[Active | None] = [None] * len(active)
        for part in parts:
            for i, needed in enumerate(needs):
                token, own = x[:, i : i + 1], part.some(needed[part.ids])
                if part.more:
                    before[i] = self.product.active(token, own)
                else:
                    _, totals[i] = self.product.after(totals[i], token, own, before[i])
        known = [mx.zeros((1, 1, x.shape[-1])) if total is None else total for total in totals]
        return self._with_bias(mx.concatenate(known, axis=1), x)

    def anticipate(self, norm: Callable[[mx.array], mx.array], x: mx.array) -> None:
        """Start reading what will probably be needed, while attention is computed.

        norm(x): what the input would be if attention added nothing. Reads that the real misses have to wait for are
        few: the guesses learn to be right.
        """
        bundles = self.bundles
        wanted = bundles.overlap.ahead and not bundles.filled and not bundles.passes.current.is_prompt
        if bundles.look_ahead is not None and wanted:
            bundles.expect(self._bundles_of(self.selector.guess(norm(x), bundles.look_ahead.shift)))

    def begin(self, x: mx.array) -> bool:
        """Select, and start reading what is missing; `ffn(x)` must follow. Returns whether something is being read.

        For layers whose attention and FFN are side by side: flash works while attention is computed.
        """
        if not self._early_reads or self.bundles.passes.current.is_prompt or x.shape[1] > 1:
            return False
        return self.bundles.begin(self._select(x))

    def _select(self, x: mx.array) -> Integers:
        begun = self.bundles.begun
        return self._bundles_of(self.selector.select(x)) if begun is None else begun

    def _bundles_of(self, neurons: Integers) -> Integers:
        """The bundles, sorted, that hold some neurons, sorted ids."""
        each = self.product.bundle_neurons
        return neurons if each == 1 else np.unique(neurons // each)

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
        active = np.array(hidden[0, -window.size :] != 0)
        recent = np.any(active.reshape(len(active), -1, self.product.bundle_neurons), axis=2)
        age = np.argmax(recent[::-1], axis=0)  # tokens since each neuron was last active
        used = np.flatnonzero(recent.any(axis=0))
        self.bundles.keep(part, part.ids[used], window.token - age[used])
