"""The second matrices of experts that leave neurons at exactly zero, of which a token takes the columns of the others.

They are read once the first matrices are multiplied; columns that were used most stay in a pool. The scales of
quantised ones lie in the experts' slots.
"""

from collections.abc import Iterable

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module
from numpy.typing import NDArray

from engine.arrays.products import floats_of
from engine.memory.pool import Integers
from engine.store.layout import Layout
from engine.streaming.bundles import LayerBundles, Part
from engine.streaming.found import ExpertNeurons

Floats = NDArray[np.float32]


class ActiveColumns(Module):
    """Takes the place of a container's second linear: `fc2(hidden, slots)`, hidden [..., 1, neurons], slots [...];
    result [..., 1, width]. experts: their layout in slots. part: that the slots are of; set before each call."""

    def __init__(self, neurons: ExpertNeurons, experts: Layout, bundles: LayerBundles):
        super().__init__()
        self.bundles, self._neurons, self._experts = bundles, neurons, experts
        self.part: Part | None = None
        self._token = -1  # of the window, when it was called last

    def __call__(self, hidden: mx.array, slots: mx.array, sorted_indices: bool = False) -> mx.array:  # noqa: ARG002
        """The sum over the columns of neurons that are not zero."""
        form, values = self._neurons.form, floats_of(hidden).reshape(-1, hidden.shape[-1])
        experts = self._experts_in(np.array(slots).reshape(-1))
        y = np.zeros((len(values), form.width), np.float32)
        for columns in self._parts(_needed(values, experts, form.neurons)):
            self._add(y, values, experts, columns)
        return mx.array(y.reshape(*hidden.shape[:-1], form.width)).astype(hidden.dtype)

    def _experts_in(self, slots: Integers) -> Integers:
        """The expert in each slot."""
        assert self.part is not None
        rows = self.part.row_numbers
        order = np.argsort(rows)
        experts: Integers = self.part.ids[order][np.searchsorted(rows[order], slots)]
        return experts

    def _parts(self, ids: Integers) -> Iterable[Part]:
        """Those columns. What a token needs can make no room for more of its own."""
        bundles, token = self.bundles, self.bundles.passes.window.token
        seen, self._token = self._token == token, token
        if len(ids) <= bundles.pool.capacity and not seen and not bundles.passes.current.is_prompt:
            return bundles.bring(ids)
        return bundles.fetch(ids, np.full(len(ids), token)) if len(ids) else ()

    def _add(self, y: Floats, values: Floats, experts: Integers, columns: Part) -> None:
        owners, numbers = np.divmod(columns.ids, self._neurons.form.neurons)
        for expert in np.unique(owners):
            here, vectors = owners == expert, np.flatnonzero(experts == expert)
            weights = self._weights(columns.slab.view[columns.row_numbers[here]], int(expert), numbers[here])
            y[vectors] += values[vectors][:, numbers[here]] @ weights

    def _weights(self, rows: NDArray[np.uint8], expert: int, numbers: Integers) -> Floats:
        """float32 [columns, width] of some of an expert's columns in their slots, uint8 [columns, slot bytes]."""
        form = self._neurons.form
        octets = np.ascontiguousarray(rows[:, : form.column_bytes])
        if form.form is None:
            return floats_of(mx.array(octets).view(self._neurons.dtype))
        groups = numbers // form.form.group_size
        return form.codes(octets) * self._scaling("scales", expert, groups) + self._scaling("biases", expert, groups)

    def _scaling(self, name: str, expert: int, groups: Integers) -> Floats:
        """float32 [columns, width]: the scales or biases of an expert's columns, by their groups."""
        assert self.part is not None
        slot = int(self.part.row_numbers[np.flatnonzero(self.part.ids == expert)[0]])
        view = self._experts.tensors[f"fc2.{name}"].view(self.part.slab.matrix)[slot]
        return floats_of(mx.contiguous(view)).T[groups]


def _needed(values: Floats, experts: Integers, neurons: int) -> Integers:
    """The columns, sorted, of neurons that are not zero in `values`, float32 [vectors, neurons], of some experts."""
    found = []
    for expert in np.unique(experts):
        active = np.flatnonzero((values[experts == expert] != 0).any(axis=0))
        found.append(expert * neurons + active)
    return np.concatenate(found).astype(np.int64)
