"""The layout of bundles in a checkpoint that is run as it is: their tensors, the bytes of each on flash, and its place
in a slot.

An expert of a stacked tensor `[experts, out, in]` is one range of a file, and so are a block of a linear's rows and a
row of a table. A bundle is one such range of each of several tensors: weight, scales and biases of every matrix. They
land in one slot, each at a place of its own, and are seen there as one strided view a tensor, `[slots, ...]`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.arrays.dtypes import mlx_dtype
from engine.errors import FlawError
from engine.flash.batches import Ranges

SLOT_ALIGNMENT = 16384  # bytes: a page on Apple silicon
BLOCK_BYTES = 4096  # that direct reads are multiples of
VIEW_ALIGNMENT = 16  # bytes: what vector loads like
MIN_BLOCKWISE_BYTES = 128 << 10  # of a range: below, the rest of its blocks would cost more than a copy

Ids = NDArray[np.integer]


class Tensor(Protocol):
    """A tensor in a file. dtype: MLX's name or safetensors'. offset: bytes from the file's start."""

    @property
    def path(self) -> Path: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def offset(self) -> int: ...
    @property
    def nbytes(self) -> int: ...


@dataclass(frozen=True)
class SlotTensor:
    """One tensor's share of a bundle. shape: of a whole bundle's. place: its first byte in a slot.

    offset: the first bundle's byte in the file at `path`. stride: bytes from a bundle to the next. end: of the tensor.
    blockwise: its first and its last block are read whole, for which the slot has room, so that nothing is copied.
    """

    path: Path
    dtype: mx.Dtype
    shape: tuple[int, ...]
    offset: int
    stride: int
    end: int
    file_bytes: int
    place: int
    blockwise: bool

    @property
    def head(self) -> int:
        """Bytes before the tensor's own, that are read into the slot with it."""
        return self.offset % BLOCK_BYTES if self.blockwise else 0

    def view(self, slab: mx.array) -> mx.array:
        """The tensor in all slots, [slots, *shape]. slab: uint32 [slots, slot_bytes / 4]."""
        return slot_view(slab, self.dtype, self.shape, self.place)


def slot_view(slab: mx.array, dtype: mx.Dtype, shape: tuple[int, ...], place: int) -> mx.array:
    """A tensor of that dtype and shape at byte `place` of every slot, [slots, *shape], nothing copied. slab: uint32
    [slots, slot_bytes / 4]."""
    slots, slot_bytes = slab.shape[0], slab.shape[1] * slab.itemsize
    typed = slab if dtype == slab.dtype else slab.view(dtype)
    inner = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    return mx.as_strided(typed, (slots, *shape), (slot_bytes // dtype.size, *inner), place // dtype.size)


@dataclass(frozen=True)
class _FileTensors:
    """The tensors of a layout that lie in one file, int64 [tensors] each, so that a few operations find all ranges.
    units: what ends are rounded up to. limits: beyond which nothing is read. The others as a `SlotTensor` has them."""

    offsets: NDArray[np.int64]
    strides: NDArray[np.int64]
    ends: NDArray[np.int64]
    units: NDArray[np.int64]
    limits: NDArray[np.int64]
    heads: NDArray[np.int64]
    places: NDArray[np.int64]

    @classmethod
    def of(cls, tensors: Iterable[SlotTensor]) -> "_FileTensors":
        rows = [
            (t.offset, t.stride, t.end, BLOCK_BYTES if t.blockwise else 1, t.file_bytes if t.blockwise else t.end,
             t.head, t.place)
            for t in tensors
        ]  # fmt: skip
        return cls(*np.array(rows, np.int64).T)

    def ranges(self, ids: NDArray[np.int64], slots: NDArray[np.int64], slot_bytes: int) -> Ranges:
        """The ranges of bundles `ids` [n], one bundle's after the other's, to their places in `slots` [n]."""
        starts = self.offsets + ids[:, None] * self.strides
        stops = np.minimum(starts + self.strides, self.ends)
        stops = np.minimum(-(-stops // self.units) * self.units, self.limits)
        starts -= self.heads
        places = slots[:, None] * slot_bytes + (self.places - self.heads)
        return Ranges(starts.ravel(), (stops - starts).ravel(), places.ravel())


@dataclass(frozen=True)
class Layout:
    """Bundles of one module. tensors: by their names in the module (gate_proj.weight). bundles: how many there are.
    slot_bytes: of a slot."""

    tensors: Mapping[str, SlotTensor]
    bundles: int
    slot_bytes: int

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], rows: int = 1, alignment: int = SLOT_ALIGNMENT) -> "Layout":
        """The layout of bundles that are `rows` rows of each tensor; the last bundle may have fewer. A single row loses
        its axis: an expert of `[experts, out, in]` is `[out, in]`. alignment: bytes that slots are multiples of.

        Raises FlawError if the tensors do not have the same number of bundles.
        """
        bundles, place, placed = None, 0, {}
        for name, tensor in tensors.items():
            count = -(-tensor.shape[0] // rows)
            if bundles not in (None, count):
                raise FlawError("{name} has {count} bundles where others have {bundles}", name=name, count=count,
                                bundles=bundles)  # fmt: skip
            bundles = count
            placed[name], place = _placed(tensor, rows, place)
        return cls(placed, bundles or 0, -(-place // alignment) * alignment)

    @cached_property
    def bundle_bytes(self) -> int:
        """Bytes of a whole bundle's tensors, as stored."""
        return sum(tensor.stride for tensor in self.tensors.values())

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """The files that hold the bundles."""
        return tuple(dict.fromkeys(tensor.path for tensor in self.tensors.values()))

    def ranges(self, ids: Ids, slots: Ids) -> dict[Path, Ranges]:
        """By file, the ranges that bring bundles `ids` [n] to `slots` [n]; places count from the start of the slab.

        Raises ValueError for an id that there is not.
        """
        if len(ids) and not (ids.min() >= 0 and ids.max() < self.bundles):
            raise ValueError(f"a bundle is not among {self.bundles}")
        which, where = ids.astype(np.int64), slots.astype(np.int64)
        return {path: tensors.ranges(which, where, self.slot_bytes) for path, tensors in self._by_file.items()}

    @cached_property
    def _by_file(self) -> dict[Path, _FileTensors]:
        tensors = self.tensors.values()
        return {path: _FileTensors.of(t for t in tensors if t.path == path) for path in self.paths}

    def run(self, ids: range) -> dict[Path, Ranges]:
        """By file, the ranges that bring bundles which follow each other to the first slots."""
        return {path: self._run_of(self._all[path], ids) for path in self.paths}

    def _run_of(self, everything: Ranges, ids: range) -> Ranges:
        each = len(everything.offsets) // self.bundles
        here = slice(ids.start * each, ids.stop * each)
        places = everything.places[here] - ids.start * self.slot_bytes
        return Ranges(everything.offsets[here], everything.lengths[here], places)

    @cached_property
    def _all(self) -> dict[Path, Ranges]:
        """The ranges of every bundle, one bundle's after the other's, to the slots of their own numbers."""
        ids = np.arange(self.bundles)
        return self.ranges(ids, ids)

    def some(self, prefix: str) -> "Layout":
        """The same slots, of which the tensors alone are looked at whose names begin so."""
        return replace(self, tensors={name: each for name, each in self.tensors.items() if name.startswith(prefix)})

    def views(self, slab: mx.array) -> dict[str, mx.array]:
        """Every tensor in all slots, by name: [slots, *shape], nothing copied. slab: uint32 [slots, slot_bytes / 4]."""
        return {name: tensor.view(slab) for name, tensor in self.tensors.items()}


def _placed(tensor: Tensor, rows: int, free: int) -> tuple[SlotTensor, int]:
    """A tensor's share of a bundle, at or behind byte `free` of a slot, and the first byte that is free then."""
    dtype, rest = mlx_dtype(tensor.dtype), tensor.shape[1:]
    stride = rows * tensor.nbytes // tensor.shape[0]
    shape = rest if rows == 1 else (rows, *rest)
    head, whole = tensor.offset % BLOCK_BYTES, stride % BLOCK_BYTES == 0
    blockwise = whole and stride >= MIN_BLOCKWISE_BYTES and head % dtype.size == 0
    unit = BLOCK_BYTES if blockwise else VIEW_ALIGNMENT
    place = -(-free // unit) * unit + (head if blockwise else 0)
    stop = -(-(place + stride) // BLOCK_BYTES) * BLOCK_BYTES if blockwise else place + stride
    end, file_bytes = tensor.offset + tensor.nbytes, tensor.path.stat().st_size
    return SlotTensor(tensor.path, dtype, shape, tensor.offset, stride, end, file_bytes, place, blockwise), stop
