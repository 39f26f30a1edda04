"""A tensor that lies in a checkpoint file: known from the header, read only when it is asked for."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from engine.arrays.dtypes import DTYPES, FLOAT_CODES
from engine.errors import CheckpointError, FlawError
from engine.text import shown

# The bits of the exponent, all of which are set in an infinity and a NaN and in nothing else.
EXPONENTS: dict[str, np.unsignedinteger[Any]] = {
    "float32": np.uint32(0x7F800000),
    "float16": np.uint16(0x7C00),
    "bfloat16": np.uint16(0x7F80),
}
ITEM_BITS = {  # by safetensors' names of dtypes, and by ours of those that are read
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8"), 8),
    **dict.fromkeys(("F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16", "float16", "bfloat16"), 16),
    **dict.fromkeys(("I32", "U32", "F32", "float32"), 32),
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
}
CONVERTED_BYTES = 1 << 20  # at once
CHECKED_ITEMS = 1 << 20  # at once
MAX_DIMENSIONS, MAX_LENGTH = 8, 2**31 - 1  # MLX counts in 32 bits


def checked_shape(shape: object) -> tuple[int, ...]:
    """A shape as a file gives it. Raises ValueError for what is none, or is empty or absurd."""
    if not isinstance(shape, list | tuple) or len(shape) > MAX_DIMENSIONS:
        raise FlawError("a shape is no list of a few numbers")
    for length in shape:
        if type(length) is not int or not 1 <= length <= MAX_LENGTH:
            raise FlawError("a shape has the length {length}", length=shown(length))
    return tuple(shape)


@dataclass(frozen=True)
class StoredTensor:
    """The place of a tensor. dtype: float32, float16 or bfloat16, or safetensors' name of one that is not read.

    offset: bytes from the file's start. transposed: a matrix whose columns, not rows, lie side by side.
    """

    name: str
    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int
    transposed: bool = False

    @property
    def size(self) -> int:
        """The number of items."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return -(-self.size * ITEM_BITS[self.dtype] // 8)

    def read(self, rows: slice = slice(None)) -> mx.array:
        """Some rows `[rows, ...]`, all by default, in the stored dtype, evaluated; a scalar as `[1]`.

        Raises CheckpointError for a file that changed or cannot be read, for NaNs and infinities, and for a dtype that
        is not read.
        """
        if self.dtype not in DTYPES:
            raise CheckpointError(
                "{name} in {path} has the dtype {dtype}, and only {dtypes} are read. Get the original model, in 16 or "
                "32 bits.",
                name=shown(self.name),
                path=self.path,
                dtype=self.dtype,
                dtypes=", ".join(FLOAT_CODES.values()),
            )
        length, *rest = self.shape or (1,)
        start, stop, _ = rows.indices(length)
        if self.transposed:  # every row is spread over the whole tensor
            columns = self._load(0, (*rest, length))
            array = mx.contiguous(columns.T[start:stop])
            mx.eval(array)
            return array
        return self._load(start * math.prod(rest), (stop - start, *rest))

    def pieces(self, piece_bytes: int) -> Iterator[mx.array]:
        """The rows in order, read in pieces of about `piece_bytes`."""
        length = self.shape[0] if self.shape else 1
        step = length if self.transposed else max(1, piece_bytes * length // self.nbytes)
        for start in range(0, length, step):
            yield self.read(slice(start, start + step))

    def read_as(self, dtype: mx.Dtype) -> mx.array:
        """All of it in another dtype, evaluated; little of it is in memory as it is stored. Raises CheckpointError."""
        array = mx.zeros(self.shape, dtype)
        mx.eval(array)
        view, start = _bytes_of(array), 0
        for piece in self.pieces(CONVERTED_BYTES):
            converted = _bytes_of(mx.contiguous(piece.astype(dtype)))
            view[start : start + len(converted)] = converted
            start += len(converted)
        return array

    def _load(self, first: int, shape: tuple[int, ...]) -> mx.array:
        """Items from the `first` on, read into MLX's own memory, so that they exist once."""
        dtype = DTYPES[self.dtype]
        array = mx.zeros(shape, dtype)
        mx.eval(array)
        view = memoryview(array).cast("B")  # type: ignore[arg-type] # MLX's arrays are buffers
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset + first * dtype.size)
                whole = file.readinto(view) == len(view)
        except OSError as error:
            raise CheckpointError(
                "{path} cannot be read: {reason}.", path=self.path, reason=error.strerror or error
            ) from error
        if not whole:
            raise CheckpointError(
                "{path} ends within {name}. Download it again.", path=self.path, name=shown(self.name)
            )
        self._check_finite(view)
        return array

    def _check_finite(self, view: memoryview) -> None:
        exponent = EXPONENTS[self.dtype]
        items = np.frombuffer(view, exponent.dtype)
        for start in range(0, len(items), CHECKED_ITEMS):  # in pieces, as the comparison needs memory of its own
            if (items[start : start + CHECKED_ITEMS] & exponent == exponent).any():
                raise CheckpointError(
                    "{name} in {path} holds NaN or infinite weights: the checkpoint is damaged.",
                    name=shown(self.name),
                    path=self.path,
                )


def _bytes_of(array: mx.array) -> memoryview:
    """The memory of an array, evaluated."""
    memory: Any = array  # a buffer, which MLX's types do not say
    return memoryview(memory).cast("B")
