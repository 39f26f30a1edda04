"""The columns of experts' second matrices, side by side in a file of their own beside a checkpoint's: neuron after
neuron, expert after expert, as `prepare` writes them of experts that leave neurons at exactly zero.

In a checkpoint a row of such a matrix is an output: in every block of it lies a number of each neuron. Here a neuron's
numbers are one range. They are the checkpoint's own; of quantised ones the scales stay where they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.arrays.dtypes import DTYPES
from engine.arrays.packed import Form
from engine.errors import CheckpointError
from engine.store.safetensors_file import read_safetensors
from engine.store.safetensors_writer import Form as StoredForm
from engine.store.stored_tensor import StoredTensor
from engine.text import shown

COLUMNS = "columns.safetensors"
COLUMN_BITS = (4, 8)  # of quantised weights whose columns can be taken apart
WORD_BITS = 32

Octets = NDArray[np.uint8]


@dataclass(frozen=True)
class ColumnForm:
    """The columns of a container: `experts` matrices [width, neurons]. form: None for weights of `dtype`, MLX's name,
    that are not quantised."""

    form: Form | None
    dtype: str
    experts: int
    neurons: int
    width: int

    @property
    def can_be_stored(self) -> bool:
        """True for weights whose columns are whole words."""
        form = self.form
        known = form is None or (form.mode == "affine" and form.bits in COLUMN_BITS)
        return known and self.width * self.bits % WORD_BITS == 0

    @property
    def bits(self) -> int:
        """Of a weight."""
        return self.form.bits if self.form else 8 * DTYPES[self.dtype].size

    @property
    def column_bytes(self) -> int:
        """Of a neuron's numbers."""
        return self.width * self.bits // 8

    @property
    def stored(self) -> StoredForm:
        """The form of the tensor: words of 32 bits, a neuron a row."""
        return StoredForm(mx.uint32, (self.experts * self.neurons, self.column_bytes * 8 // WORD_BITS))

    def columns(self, matrix: bytes) -> Octets:
        """uint8 [neurons, column_bytes] of one expert's matrix as it is stored."""
        octets = np.frombuffer(matrix, np.uint8).reshape(self.width, -1)
        if self.bits == 4:
            codes = np.stack((octets & 15, octets >> 4), axis=-1).reshape(self.width, -1).T
            return np.ascontiguousarray(codes[:, 0::2] | codes[:, 1::2] << 4)
        items = octets.reshape(self.width, self.neurons, -1).swapaxes(0, 1)
        return np.ascontiguousarray(items).reshape(self.neurons, -1)

    def codes(self, columns: Octets) -> NDArray[np.float32]:
        """float32 [neurons, width]: what quantised columns, uint8 [neurons, column_bytes], stand for before they are
        scaled."""
        if self.bits == 8:
            return columns.astype(np.float32)
        values = np.empty((len(columns), self.width), np.float32)
        values[:, 0::2], values[:, 1::2] = columns & 15, columns >> 4
        return values


def read_columns(folder: Path) -> Mapping[str, StoredTensor]:
    """The columns that lie beside a checkpoint, by their container's path; none where nobody has prepared them. Raises
    CheckpointError for a damaged file."""
    path = folder / COLUMNS
    return read_safetensors(path) if path.is_file() else {}


def check_columns(tensor: StoredTensor, form: ColumnForm) -> None:
    """Raises CheckpointError for columns that are of another model."""
    if (tensor.shape, tensor.dtype) != (form.stored.shape, "U32"):
        raise CheckpointError(
            "{name} in {path} does not belong to this model: prepare it again.",
            name=shown(tensor.name),
            path=tensor.path,
        )
