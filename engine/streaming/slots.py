"""Experts in slots: an unmodified container of mlx-lm that multiplies the matrices which lie there."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module
from mlx_lm.models.switch_layers import SwiGLU, SwitchGLU
from numpy.typing import NDArray

from engine.arrays.aligned import Slab
from engine.arrays.packed import Floats, Form, Tensor, available, is_like, multiply, multiply_gated, packed_matrix
from engine.arrays.products import floats_of
from engine.memory.pool import Integers
from engine.models.linears import MATRIX
from engine.store.layout import Layout, SlotTensor
from engine.system.native_library import Matrix

GATED = {"gate_proj", "up_proj", "down_proj"}  # the linears of a SwitchGLU


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
            return self._called_natively(x, slots, slab)
        if slab not in self._views:
            self._views[slab] = self.layout.views(slab.matrix)
        self._show(self._views[slab])
        try:
            y: mx.array = self._container(x, slots)
        finally:
            self._show({})  # a slab that is given back must not be held here
        return y

    @property
    def is_native(self) -> bool:
        """True where there is no GPU, and products are native."""
        return bool(self._native)

    def _called_natively(self, x: mx.array, slots: mx.array, slab: Slab) -> mx.array:
        chosen = np.array(slots).astype(np.int64)
        y = self.pairs(x, np.arange(chosen.size) // chosen.shape[-1], chosen.reshape(-1), slab)
        return mx.array(y.reshape(*chosen.shape, -1)).astype(x.dtype)

    @cached_property
    def _is_gated(self) -> bool:
        """True for experts that are silu(gate x) * (up x), then down, and no more: natively that is one call."""
        container, linears = self._container, self._native
        if type(container) is not SwitchGLU or type(container.activation) is not SwiGLU or set(linears) != GATED:
            return False
        gate, up = (linears[name].matrix for name in ("gate_proj", "up_proj"))
        return is_like(gate, up) and not any(linear.has_bias for linear in linears.values())

    def pairs(self, x: mx.array, vectors: Integers, slots: Integers, slab: Slab) -> Floats:
        """float32 [pairs, width], where products are native: of vector `vectors[p]` of x [..., width] with the expert
        in slot `slots[p]`, for every pair p."""
        width = x.shape[-1]
        with in_slab(self._native.values(), slab):
            if self._is_gated:
                return self._gated(floats_of(x).reshape(-1, width), vectors, slots)
            rows = x.reshape(-1, width)[mx.array(vectors)]
            y = self._container(rows, mx.array(slots.astype(np.uint32)[:, None]))
            return floats_of(y).reshape(len(slots), -1)

    def _gated(self, tokens: Floats, vectors: Integers, slots: Integers) -> Floats:
        order = np.argsort(slots, kind="stable")  # an expert's tokens one after the other
        gate, up, down = (self._native[name].matrix for name in ("gate_proj", "up_proj", "down_proj"))
        sorted_rows = multiply_gated(gate, up, down, tokens, vectors[order], slots[order])
        y = np.empty_like(sorted_rows)
        y[order] = sorted_rows
        return y

    def _show(self, tensors: dict[str, mx.array]) -> None:
        """Let the container's linears have these tensors, and no others."""
        for name in self.layout.tensors:
            path, tensor = name.rsplit(".", 1)
            linear = self._container[path]
            linear.pop(tensor, None)
            if name in tensors:
                linear[tensor] = tensors[name]


class SlotLinear(Module):
    """Takes the place of a container's linear where there is no GPU: its matrices are read from slots as they lie.

    tensors: its own, by name. slab: set for each call, see `in_slab`.
    """

    def __init__(self, form: Form | None, tensors: dict[str, SlotTensor]):
        super().__init__()
        self.form, self._tensors = form, tensors
        self._matrices: WeakKeyDictionary[Slab, Matrix] = WeakKeyDictionary()
        self.slab: Any = None

    def __call__(self, x: mx.array, indices: mx.array, sorted_indices: bool = False) -> mx.array:  # noqa: ARG002
        """As the linear that it replaces: x [..., 1, in], indices [...]; result [..., 1, out]."""
        slots = np.array(indices).astype(np.int64)
        shape = np.broadcast_shapes(x.shape[:-2], slots.shape)
        vectors = np.broadcast_to(np.arange(int(np.prod(x.shape[:-2]))).reshape(x.shape[:-2]), shape)
        rows = np.array(x.astype(mx.float32)).reshape(-1, x.shape[-1])
        slots = np.broadcast_to(slots, shape)
        y = multiply(self.matrix, rows, vectors.ravel(), slots.ravel())
        if self.has_bias:
            y += self._bias()[slots.ravel()]
        return mx.array(y.reshape(*shape, 1, -1)).astype(x.dtype)

    @property
    def has_bias(self) -> bool:
        """True where a bias is added to the products."""
        return "bias" in self._tensors

    def times(self, x: Floats, slab: Slab, slots: NDArray[np.int64]) -> Floats:
        """The products of all vectors, x [vectors, in], with the matrices of some slots: [slots, vectors, out]."""
        vectors = np.tile(np.arange(len(x)), len(slots))
        y = multiply(self.matrix_in(slab), x, vectors, np.repeat(slots, len(x)))
        return y.reshape(len(slots), len(x), y.shape[-1])

    @property
    def matrix(self) -> Matrix:
        """The matrices of the slab that is set."""
        return self.matrix_in(self.slab)

    def matrix_in(self, slab: Slab) -> Matrix:
        """The matrices of a slab."""
        if slab not in self._matrices:
            weight, scales, biases = (self._tensor_in(slab, name) for name in MATRIX)
            assert weight is not None
            self._matrices[slab] = packed_matrix(self.form, weight, scales, biases)
        return self._matrices[slab]

    def _tensor_in(self, slab: Slab, name: str) -> Tensor | None:
        tensor = self._tensors.get(name)
        if tensor is None:
            return None
        view = slab.view
        return Tensor(view.ctypes.data + tensor.place, view.shape[1], tensor.shape, tensor.dtype)

    def _bias(self) -> NDArray[np.float32]:
        view = self._tensors["bias"].view(self.slab.matrix)
        return np.array(view.astype(mx.float32))


@contextmanager
def in_slab(linears: Collection[SlotLinear], slab: Slab) -> Iterator[None]:
    """Let linears read from a slab meanwhile: one that is given back must not be held here."""
    for linear in linears:
        linear.slab = slab
    try:
        yield
    finally:
        for linear in linears:
            linear.slab = None


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
    return SlotLinear(linear.form if isinstance(linear, SlotLinear) else form_of(linear), tensors)


def form_of(linear: Any) -> Form | None:
    """The form of a linear's weights; None where they are not quantised."""
    return Form(linear.bits, linear.group_size, linear.mode) if hasattr(linear, "bits") else None
