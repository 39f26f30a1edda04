"""Experts that stay on flash: the router says which, they are brought, and mlx-lm's own container multiplies them."""

from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module
from numpy.typing import NDArray

from engine.arrays.aligned import Slab
from engine.arrays.packed import Form, Tensor, available, multiply, packed_matrix
from engine.memory.pool import Integers
from engine.store.layout import Layout, SlotTensor
from engine.streaming.bundles import LayerBundles, Part
from engine.streaming.early import AskedError, EarlyModule, RouterGuess
from engine.system.native_library import Matrix

SORTED_PAIRS = 64  # of tokens and their experts, from which on mlx-lm's containers sort, and Metal copies what it reads


class SlotExperts:
    """An unmodified container of mlx-lm whose matrices are those in slots: indices are slots, not experts.

    layout: the container's tensors, by their names in it (gate_proj.weight).
    """

    def __init__(self, container: Module, layout: Layout):
        self._container: Any = container
        self.layout = layout
        self._views: WeakKeyDictionary[Slab, dict[str, mx.array]] = WeakKeyDictionary()
        self._native: dict[str, SlotLinear] = _native_linears(container, layout)
        self._show({})  # what lies on flash is never evaluated as a whole
        for path, linear in self._native.items():
            container[path] = linear

    def __call__(self, x: mx.array, slots: mx.array, slab: Slab) -> mx.array:
        """One row for each slot: [..., chosen, width] of x [..., width] and slots [..., chosen]."""
        if self._native:
            for linear in self._native.values():
                linear.slab = slab
            found: mx.array = self._container(x, slots)
            return found
        if slab not in self._views:
            self._views[slab] = self.layout.views(slab.matrix)
        self._show(self._views[slab])
        try:
            y: mx.array = self._container(x, slots)
        finally:
            self._show({})  # a slab that is given back must not be held here
        return y

    def _show(self, tensors: dict[str, mx.array]) -> None:
        """Let the container's linears have these tensors, and no others."""
        for name in self.layout.tensors:
            path, tensor = name.rsplit(".", 1)
            linear = self._container[path]
            linear.pop(tensor, None)
            if name in tensors:
                linear[tensor] = tensors[name]


def adopt_children(module: Module, container: Module, layout: Layout) -> None:
    """Give a module what a container has beside its matrices, such as norms: its block may look for it there."""
    matrices = {name.split(".")[0] for name in layout.tensors}
    for name, child in container.children().items():
        if name not in matrices:
            module[name] = child


class SlotLinear(Module):
    """Takes the place of a container's linear where there is no GPU: its matrices are read from slots as they lie.

    tensors: its own, by name. slab: set before each call.
    """

    def __init__(self, form: Form | None, tensors: dict[str, SlotTensor]):
        super().__init__()
        self._form, self._tensors = form, tensors
        self._matrices: WeakKeyDictionary[Slab, Matrix] = WeakKeyDictionary()
        self.slab: Any = None

    def __call__(self, x: mx.array, indices: mx.array, sorted_indices: bool = False) -> mx.array:  # noqa: ARG002
        """As the linear that it replaces: x [..., 1, in], indices [...]; result [..., 1, out]."""
        slots = np.array(indices).astype(np.int64)
        shape = np.broadcast_shapes(x.shape[:-2], slots.shape)
        vectors = np.broadcast_to(np.arange(int(np.prod(x.shape[:-2]))).reshape(x.shape[:-2]), shape)
        rows = np.array(x.astype(mx.float32)).reshape(-1, x.shape[-1])
        slots = np.broadcast_to(slots, shape)
        y = multiply(self._matrix(), rows, vectors.ravel(), slots.ravel())
        if "bias" in self._tensors:
            y += self._bias()[slots.ravel()]
        return mx.array(y.reshape(*shape, 1, -1)).astype(x.dtype)

    def _matrix(self) -> Matrix:
        if self.slab not in self._matrices:
            scales, biases = self._in_slab("scales"), self._in_slab("biases")
            weight = self._in_slab("weight")
            assert weight is not None
            self._matrices[self.slab] = packed_matrix(self._form, weight, scales, biases)
        return self._matrices[self.slab]

    def _in_slab(self, name: str) -> Tensor | None:
        tensor = self._tensors.get(name)
        if tensor is None:
            return None
        view = self.slab.view
        return Tensor(view.ctypes.data + tensor.place, view.shape[1], tensor.shape, tensor.dtype)

    def _bias(self) -> NDArray[np.float32]:
        view = self._tensors["bias"].view(self.slab.matrix)
        return np.array(view.astype(mx.float32))


def _native_linears(container: Module, layout: Layout) -> dict[str, SlotLinear]:
    """The linears that multiply a container's matrices where there is no GPU; none where that is left to MLX."""
    if not available() or any(name.endswith("global_scale") for name in layout.tensors):
        return {}
    by_linear: dict[str, dict[str, SlotTensor]] = {}
    for name, tensor in layout.tensors.items():
        path, part = name.rsplit(".", 1)
        by_linear.setdefault(path, {})[part] = tensor
    return {path: _native(container[path], tensors) for path, tensors in by_linear.items()}


def _native(linear: Any, tensors: dict[str, SlotTensor]) -> SlotLinear:
    return linear if isinstance(linear, SlotLinear) else SlotLinear(_form(linear), tensors)


def _form(linear: Any) -> Form | None:
    return Form(linear.bits, linear.group_size, linear.mode) if hasattr(linear, "bits") else None


class StreamedExperts(Module):
    """Takes the place of an mlx-lm container of experts: `experts(x, indices)`, x [..., width], indices
    [..., chosen]; result [..., chosen, width], as the container's own."""

    def __init__(self, container: Module, layout: Layout, bundles: LayerBundles):
        super().__init__()
        adopt_children(self, container, layout)
        self.bundles, self._in_slots = bundles, SlotExperts(container, layout)
        self.asked = False  # only for the router's answer
        self.is_last = False  # nothing but the logits comes after
        self.guess: RouterGuess | None = None  # at the next layer's experts
        self.beside: tuple[EarlyModule, ...] = ()  # what may be computed while experts are read; no children
        self._slots: mx.array | None = None  # by expert, once all are in memory for good

    def __call__(self, x: mx.array, indices: mx.array) -> mx.array:
        """The experts' output for x [..., width] and ids `indices` [..., top_k]: [..., top_k, width]."""
        if self.asked:
            raise AskedError(indices)
        bundles = self.bundles
        bundles.passes.current.check()
        if self.is_last and bundles.passes.current.keeps_caches_only:
            return mx.zeros((*indices.shape, x.shape[-1]), x.dtype)  # no cache depends on it
        if bundles.pool.holds_all:
            return self._resident(x, indices)
        self._slots = None
        guessed = self.guess(x) if self.guess else None
        mx.eval(indices, *([] if guessed is None else [guessed]))  # the layer's one synchronisation
        ids = np.array(indices).astype(np.int64)
        needed, counts = np.unique(ids, return_counts=True)
        bundles.passes.current.experts[bundles.layer] = needed
        if ids.size < SORTED_PAIRS and len(needed) <= bundles.pool.capacity:
            self._begin(x, needed, guessed)
            return self._over(x, ids, bundles.bring(needed))
        return self._over(x, ids, self._streamed(needed, counts, ids.size // ids.shape[-1]))

    @property
    def damaged(self) -> str | None:
        """The name of a tensor that is not a number throughout, of the experts that are in memory."""
        pool, layout = self.bundles.pool, self._in_slots.layout
        held = mx.array(pool.rows_of(pool.held))
        views = layout.views(pool.slab.matrix)
        floats = (name for name, view in views.items() if mx.issubdtype(view.dtype, mx.floating))
        return next((name for name in floats if len(pool.held) and not mx.all(mx.isfinite(views[name][held]))), None)

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
        current.active[self.bundles.layer] = indices.shape[-1]
        current.experts[self.bundles.layer] = indices  # asked for once the token is computed
        current.resident[self.bundles.layer] = pool.num_held
        return self._in_slots(x, self._slots[indices], pool.slab)

    def _streamed(self, needed: Integers, counts: Integers, tokens: int) -> Iterable[Part]:
        """The experts that a prompt needs, through the ring. The most used stay in the pool: decoding starts warm."""
        bundles, pool, window = self.bundles, self.bundles.pool, self.bundles.passes.window
        bundles.settle()
        pool.count_uses(needed, counts, tokens)
        hot = pool.most_used(np.union1d(needed, pool.held), pool.capacity)
        here = hot[~pool.absent[hot]]
        pool.seed(here, np.full(len(here), window.token), window)
        for part in bundles.stream_some(needed):
            yield part
            kept = part.ids[np.isin(part.ids, hot) & pool.absent[part.ids]]
            if len(kept):
                bundles.keep(part, kept, np.full(len(kept), window.token))

    def _over(self, x: mx.array, ids: Integers, parts: Iterable[Part]) -> mx.array:
        """Every token with each of its experts, part by part, sorted by expert; then in the tokens' own order."""
        pairs, outputs, whole = [], [], None
        for part in parts:
            here = np.flatnonzero(np.isin(ids.reshape(-1), part.ids))
            if len(here) == ids.size < SORTED_PAIRS:
                whole = self._multiply(x, ids, part)
            elif len(here):
                here = here[np.argsort(ids.reshape(-1)[here], kind="stable")]
                rows = x.reshape(-1, x.shape[-1])[mx.array(here // ids.shape[-1])]
                outputs.append(self._multiply(rows, ids.reshape(-1, 1)[here], part))
                pairs.append(here)
        if whole is not None:
            return whole
        order = np.argsort(np.concatenate(pairs))
        return mx.concatenate(outputs)[mx.array(order)].reshape(*ids.shape, -1)

    def _multiply(self, x: mx.array, ids: Integers, part: Part) -> mx.array:
        """[..., chosen, width] of x [..., width] and ids [..., chosen], all of which are in the part."""
        slots = part.row_numbers[np.searchsorted(part.ids, ids)]
        y = self._in_slots(x, mx.array(slots.astype(np.uint32)), part.slab)
        self.bundles.read_by(y)
        return y
