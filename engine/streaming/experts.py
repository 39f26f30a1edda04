"""Experts that stay on flash: the router says which, they are brought, and mlx-lm's own container multiplies them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module

from engine.memory.pool import Integers
from engine.models.sparse_ffn import leaves_zeros
from engine.store.layout import Layout
from engine.streaming.active_columns import ActiveColumns
from engine.streaming.bundles import LayerBundles, Part
from engine.streaming.early import AskedError, EarlyModule, RouterGuess
from engine.streaming.passes import Passes
from engine.streaming.slots import SlotExperts

NO_FLOATS = np.empty((0, 0), np.float32)
SORTED_PAIRS = 64  # of tokens and their experts, from which on mlx-lm's containers sort, and Metal copies what it reads


def adopt_children(module: Module, container: Module, layout: Layout) -> None:
    """Give a module what a container has beside its matrices, such as norms: its block may look for it there."""
    matrices = {name.split(".")[0] for name in layout.tensors}
    for name, child in container.children().items():
        if name not in matrices:
            module[name] = child


class CountedActivation(Module):
    """Takes the place of an activation that makes neurons exactly zero: of tokens that are decoded, the share of the
    others is noted."""

    def __init__(self, activation: Any, passes: Passes):
        super().__init__()
        self._own, self._passes = activation, passes

    def __call__(self, x: mx.array) -> mx.array:
        """The activation's own values."""
        y: mx.array = self._own(x)
        if not self._passes.current.is_prompt:
            self._passes.current.active_shares.append(mx.mean(y != 0))
        return y


class StreamedExperts(Module):
    """Takes the place of an mlx-lm container of experts: `experts(x, indices)`, x [..., width], indices
    [..., chosen]; result [..., chosen, width], as the container's own.

    columns: in the place of the container's second matrices, where active columns of them are read.
    """

    def __init__(self, container: Module, layout: Layout, bundles: LayerBundles, columns: ActiveColumns | None = None):
        super().__init__()
        adopt_children(self, container, layout)
        self.bundles, self._columns = bundles, columns
        self._in_slots = SlotExperts(container, layout if columns is None else layout.some("fc1."))
        if columns is not None:
            container["fc2"] = columns
        if leaves_zeros(container):
            container["activation"] = CountedActivation(container["activation"], bundles.passes)
        self.asked = False  # only for the router's answer
        self.is_last = False  # nothing but the logits comes after
        self.guess: RouterGuess | None = None  # at the next layer's experts
        self.beside: tuple[EarlyModule, ...] = ()  # what may be computed while experts are read; no children
        self._slots: mx.array | None = None  # by expert, once all are in memory for good

    def __call__(self, x: mx.array, indices: mx.array) -> mx.array:
        """The experts' output for x [..., width] and ids `indices` [..., top_k]: [..., top_k, width]."""
        if self.asked:
            raise AskedError(indices)
        current, pool = self.bundles.passes.current, self.bundles.pool
        current.check()
        if self.is_last and current.keeps_caches_only:
            return mx.zeros((*indices.shape, x.shape[-1]), x.dtype)  # no cache depends on it
        if pool.holds_all and self._columns is None:
            return self._resident(x, indices)
        self._slots = None
        return self._routed(x, indices)

    @property
    def damaged(self) -> str | None:
        """The name of a tensor that is not a number throughout, of the experts that are in memory."""
        pool, layout = self.bundles.pool, self._in_slots.layout
        held = mx.array(pool.rows_of(pool.held))
        views = layout.views(pool.slab.matrix)
        floats = (name for name, view in views.items() if mx.issubdtype(view.dtype, mx.floating))
        return next((name for name in floats if len(pool.held) and not mx.all(mx.isfinite(views[name][held]))), None)

    def _routed(self, x: mx.array, indices: mx.array) -> mx.array:
        """As said by the router, which is waited for: the layer's one synchronisation."""
        bundles = self.bundles
        guessed = self.guess(x) if self.guess else None
        mx.eval(indices, *([] if guessed is None else [guessed]))
        ids = np.array(indices).astype(np.int64)
        needed, counts = np.unique(ids, return_counts=True)
        bundles.passes.current.experts[bundles.layer] = needed
        self._note(ids)
        if ids.size >= SORTED_PAIRS or len(needed) > bundles.pool.capacity:
            return self._over(x, ids, self._streamed(needed, counts, ids.size // ids.shape[-1]))
        self._begin(x, needed, guessed)
        return self._over(x, ids, bundles.bring(needed))

    def _note(self, ids: Integers) -> None:
        """Remember which experts each token of several that are decoded together needs. ids: [1, tokens, chosen]."""
        tokens = ids.size // ids.shape[-1]
        if tokens > 1 and not self.bundles.passes.current.is_prompt:
            active = np.zeros((tokens, self.bundles.source.bundles), np.bool_)
            np.put_along_axis(active, ids.reshape(tokens, -1), True, axis=1)
            self.bundles.note(active)

    def _begin(self, x: mx.array, needed: Integers, guessed: mx.array | None) -> None:
        """Start reading, and what can be done meanwhile."""
        reading = self.bundles.begin(needed)
        if self.guess and guessed is not None:
            self.guess.begin(guessed)  # after what is needed for certain
        if reading and self.bundles.overlap.beside:
            for module in self.beside:
                module.begin(x)

    def _resident(self, x: mx.array, indices: mx.array) -> mx.array:
        """All experts are in memory, and stay there: nothing has to be known about indices now."""
        pool, current = self.bundles.pool, self.bundles.passes.current
        if self._slots is None:
            self._slots = mx.array(pool.rows_of(np.arange(pool.bundles)).astype(np.uint32))
        current.all_active[self.bundles.layer] = indices.shape[-1]
        current.experts[self.bundles.layer] = indices  # asked for once the token is computed
        current.all_resident[self.bundles.layer] = pool.num_held
        return self._in_slots(x, self._slots[indices], pool.slab)

    def _streamed(self, needed: Integers, counts: Integers, tokens: int) -> Iterable[Part]:
        """The experts that a prompt needs, through the ring. The most used stay in the pool: decoding starts warm."""
        bundles, pool, window = self.bundles, self.bundles.pool, self.bundles.passes.window
        bundles.settle()
        pool.count_uses(needed, counts, tokens)
        hot = pool.most_used(np.union1d(needed, pool.held), pool.capacity)
        here, stays = hot[~pool.absent[hot]], np.zeros(pool.bundles, np.bool_)
        stays[hot] = True
        pool.seed(here, np.full(len(here), window.token), window)
        for part in bundles.stream_some(needed):
            yield part
            kept = part.ids[stays[part.ids] & pool.absent[part.ids]]
            if len(kept):
                bundles.keep(part, kept, np.full(len(kept), window.token))

    def _over(self, x: mx.array, ids: Integers, parts: Iterable[Part]) -> mx.array:
        """Every token with each of its experts, part by part."""
        return (self._in_place if self._in_slots.is_native else self._sorted)(x, ids, parts)

    def _in_place(self, x: mx.array, ids: Integers, parts: Iterable[Part]) -> mx.array:
        """The products at once where they belong: nothing is there twice."""
        wanted, y = ids.reshape(-1), NO_FLOATS
        for part in parts:
            here, slots = part.find(wanted)
            with self._columns_of(part):
                products = self._in_slots.pairs(x, here // ids.shape[-1], slots, part.slab)
            y = y if len(y) else np.empty((len(wanted), products.shape[-1]), np.float32)
            y[here] = products
        return mx.array(y.reshape(*ids.shape, -1)).astype(x.dtype)

    def _sorted(self, x: mx.array, ids: Integers, parts: Iterable[Part]) -> mx.array:
        """The same sorted by expert, for a GPU; then in the tokens' own order."""
        pairs, outputs, whole, wanted = [], [], None, ids.reshape(-1)
        for part in parts:
            here, slots = part.find(wanted)
            if len(here) == ids.size < SORTED_PAIRS:
                whole = self._multiply(x, slots.reshape(ids.shape), part)
            elif len(here):
                order = np.argsort(wanted[here], kind="stable")
                rows = x.reshape(-1, x.shape[-1])[mx.array(here[order] // ids.shape[-1])]
                outputs.append(self._multiply(rows, slots[order, None], part))
                pairs.append(here[order])
        if whole is not None:
            return whole
        order = np.argsort(np.concatenate(pairs))
        return mx.concatenate(outputs)[mx.array(order)].reshape(*ids.shape, -1)

    def _multiply(self, x: mx.array, slots: Integers, part: Part) -> mx.array:
        """[..., chosen, width] of x [..., width] and rows [..., chosen] of the part's slab."""
        with self._columns_of(part):
            y = self._in_slots(x, mx.array(slots.astype(np.uint32)), part.slab)
        self.bundles.read_by(y)
        return y

    @contextmanager
    def _columns_of(self, part: Part) -> Iterator[None]:
        """Let columns be those of a part's experts meanwhile: a slab that is given back must not be held."""
        if self._columns is not None:
            self._columns.part = part
        try:
            yield
        finally:
            if self._columns is not None:
                self._columns.part = None
