"""Quantised neurons as they lie on flash: some that are neighbours in the neuron order are one bundle, in a slot of
whole pages.

Every part of a neuron (its gate and up rows, its down column as a row) is quantised along the width of the hidden
state, so that gate and up are multiplied as any packed matrix is, and down row by row. A bundle is, part by part, the
packed values of its neurons, then their scales, then their biases: like an expert with a few neurons.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.arrays.dtypes import DTYPES
from engine.arrays.packed import Form, Tensor, packed_matrix
from engine.arrays.products import as_float32, as_numpy
from engine.errors import CheckpointError
from engine.store.layout import VIEW_ALIGNMENT, slot_view
from engine.system.native_library import Matrix

PACKED_BITS = (8, 4)
GROUP_SIZES = (64, 32)  # weights with one scale, those that are tried first
SLOT_GRANULARITIES = (16384, 4096, 512)  # bytes: a page on Apple silicon, a block of most drives, of any
MIN_USED_SHARE = 3 / 4  # of a slot
MAX_NEURONS = 4  # of a bundle: a token that needs one of them reads all, and three fire together in a good order
TENSORS = ("weight", "scales", "biases")
ITEMS = {mx.uint32: np.uint32, mx.float32: np.float32, mx.float16: np.float16, mx.bfloat16: np.uint16}

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class PackedPart:
    """One part of some neurons: packed values uint32 [neurons, words], scales and biases [neurons, groups] as floats of
    the stored dtype (bfloat16 as uint16)."""

    form: Form
    weight: NDArray[np.uint32]
    scales: NDArray[Any]
    biases: NDArray[Any]

    @classmethod
    def of(cls, rows: mx.array, form: Form) -> "PackedPart":
        """Rows [neurons, width] quantised, their scales in their own dtype."""
        packed = mx.quantize(rows, group_size=form.group_size, bits=form.bits)
        mx.eval(packed)
        return cls(form, *map(as_numpy, packed))

    def __len__(self) -> int:
        return len(self.weight)

    def __getitem__(self, neurons: slice) -> Floats:
        """float32 [neurons, width] of some."""
        octets = np.ascontiguousarray(self.weight[neurons]).view(np.uint8)
        values = octets.astype(np.float32) if self.form.bits == 8 else _halves(octets)
        groups = values.reshape(len(octets), -1, self.form.group_size)
        groups *= as_float32(self.scales[neurons])[..., None]
        groups += as_float32(self.biases[neurons])[..., None]
        return values

    def arrays(self, dtype: mx.Dtype) -> tuple[mx.array, mx.array, mx.array]:
        """Weight, scales and biases as MLX's, the last two of their dtype."""
        return mx.array(self.weight), mx.array(self.scales).view(dtype), mx.array(self.biases).view(dtype)


def _halves(octets: Bytes) -> Floats:
    """Both halves of each byte, the lower first: [rows, 2 * bytes]."""
    values = np.empty((len(octets), 2 * octets.shape[1]), np.float32)
    values[:, 0::2], values[:, 1::2] = octets & 15, octets >> 4
    return values


@dataclass(frozen=True)
class _Place:
    """The place of a part's tensor in a slot: its first byte there. shape: of one slot's."""

    dtype: mx.Dtype
    shape: tuple[int, int]
    start: int

    @property
    def stop(self) -> int:
        """The byte behind it."""
        return self.start + self.shape[0] * self.shape[1] * self.dtype.size


@dataclass(frozen=True)
class Packing:
    """The form of bundles of quantised neurons. neurons: of a bundle. parts: names, in their order. width: of each.
    dtype: of scales and biases, by MLX's name. row_bytes: of a bundle with its padding."""

    form: Form
    neurons: int
    parts: tuple[str, ...]
    width: int
    dtype: str
    row_bytes: int

    @classmethod
    def of(cls, bits: int, parts: tuple[str, ...], width: int, dtype: str) -> "Packing":
        """As few neurons as fill most of whole pages. Raises CheckpointError for a width that has no groups."""
        group_size = next((size for size in GROUP_SIZES if width % size == 0), 0)
        if not group_size:
            raise CheckpointError(
                "A hidden size of {width} is no multiple of {group}, so that this model's neurons cannot be quantised. "
                "Prepare it without --bits.",
                width=width,
                group=GROUP_SIZES[-1],
            )
        one = cls(Form(bits, group_size, "affine"), 1, parts, width, dtype, 0)
        return one._filling(SLOT_GRANULARITIES)

    def _filling(self, granularities: Sequence[int]) -> "Packing":
        """The same with the number of neurons that fills slots best, whose sizes are multiples of the largest of the
        granularities for which there is one."""
        for granularity in granularities:
            slots = range(granularity, MAX_NEURONS * self._bytes_of(1) + granularity, granularity)
            for size in slots:
                neurons = max((n for n in range(MAX_NEURONS + 2) if self._bytes_of(n) <= size), default=0)
                if 1 <= neurons <= MAX_NEURONS and self._bytes_of(neurons) >= MIN_USED_SHARE * size:
                    return Packing(self.form, neurons, self.parts, self.width, self.dtype, size)
        size = -(-self._bytes_of(MAX_NEURONS) // granularities[-1]) * granularities[-1]
        return Packing(self.form, MAX_NEURONS, self.parts, self.width, self.dtype, size)

    def _bytes_of(self, neurons: int) -> int:
        """The bytes of so many neurons, each part on a boundary that vectors like."""
        groups = self.width // self.form.group_size
        part = neurons * (self.width * self.form.bits // 8 + 2 * groups * DTYPES[self.dtype].size)
        return len(self.parts) * -(-part // VIEW_ALIGNMENT) * VIEW_ALIGNMENT

    @property
    def bundle_bytes(self) -> int:
        """The bytes of a bundle without its padding."""
        return self._bytes_of(self.neurons)

    @property
    def part_bytes(self) -> int:
        """Bytes from one part of a bundle to the next: parts are spread evenly over a slot."""
        return self.row_bytes // len(self.parts) // VIEW_ALIGNMENT * VIEW_ALIGNMENT

    @property
    def item_bytes(self) -> float:
        """The bytes of a weight with its share of scales and biases."""
        return self.form.bits / 8 + 2 * DTYPES[self.dtype].size / self.form.group_size

    def bundles(self, neurons: int) -> int:
        """The number of bundles that so many neurons make; the last one may be filled up with zeros."""
        return -(-neurons // self.neurons)

    @cached_property
    def places(self) -> Mapping[tuple[str, str], _Place]:
        """The place of each part's tensors in a slot, by part and tensor."""
        words, groups = self.width * self.form.bits // 32, self.width // self.form.group_size
        found = {}
        for i, part in enumerate(self.parts):
            at = i * self.part_bytes
            for tensor, dtype, length in zip(
                TENSORS, (mx.uint32, DTYPES[self.dtype], DTYPES[self.dtype]), (words, groups, groups), strict=True
            ):
                found[part, tensor] = _Place(dtype, (self.neurons, length), at)
                at = found[part, tensor].stop
        return found

    # ------------------------------------------------------------------------------------- to and from slots
    def pack(self, parts: Sequence[PackedPart], order: NDArray[np.integer]) -> Bytes:
        """Rows uint8 [bundles, row_bytes] of neurons in an order, by the parts of all neurons."""
        bundles = self.bundles(len(order))
        rows = np.zeros((bundles, self.row_bytes), np.uint8)
        for name, part in zip(self.parts, parts, strict=True):
            for tensor in TENSORS:
                place, values = self.places[name, tensor], getattr(part, tensor)
                filled = np.zeros((bundles * self.neurons, values.shape[1]), values.dtype)
                filled[: len(order)] = values[order]
                rows[:, place.start : place.stop] = filled.view(np.uint8).reshape(bundles, -1)
        return rows

    def part(self, rows: Bytes, name: str) -> PackedPart:
        """One part of the bundles * neurons neurons of some bundles, uint8 [bundles, row_bytes]."""
        return PackedPart(self.form, *(self._values(rows, name, tensor) for tensor in TENSORS))

    def _values(self, rows: Bytes, part: str, tensor: str) -> NDArray[Any]:
        place = self.places[part, tensor]
        values = np.ascontiguousarray(rows[:, place.start : place.stop]).view(ITEMS[place.dtype])
        return values.reshape(-1, place.shape[1])

    def views(self, slab: mx.array, part: str) -> tuple[mx.array, mx.array, mx.array]:
        """Weight, scales and biases of a part in all slots, each [slots, neurons, ...], nothing copied. slab: uint32
        [slots, row_bytes / 4]."""
        places = (self.places[part, tensor] for tensor in TENSORS)
        weight, scales, biases = (slot_view(slab, place.dtype, place.shape, place.start) for place in places)
        return weight, scales, biases

    def matrix(self, address: int, part: str) -> Matrix:
        """A part of the neurons in slots that begin at an address, for native products: `neurons` rows a slot."""
        places = (self.places[part, tensor] for tensor in TENSORS)
        return packed_matrix(
            self.form, *(Tensor(address + place.start, self.row_bytes, place.shape, place.dtype) for place in places)
        )
