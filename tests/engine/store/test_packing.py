"""Quantised neurons in slots: what was packed is there again, by numpy, by MLX and natively, whatever the sizes."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.arrays.aligned import aligned_rows
from engine.arrays.packed import available, multiply
from engine.errors import CheckpointError
from engine.store.packing import MAX_NEURONS, MIN_USED_SHARE, Packing
from tests.helpers.packed import packed_parts

DTYPES = ["float32", "float16", "bfloat16"]
PARTS = [("up", "down"), ("gate", "up", "down")]


@settings(max_examples=40, deadline=None)
@given(
    bits=st.sampled_from([8, 4]), parts=st.sampled_from(PARTS), groups=st.integers(1, 6),
    size=st.sampled_from([32, 64]), dtype=st.sampled_from(DTYPES), neurons=st.integers(1, 40), seed=st.integers(0, 99),
)  # fmt: skip
def test_what_was_packed_is_in_its_place(bits, parts, groups, size, dtype, neurons, seed):
    packing = Packing.of(bits, parts, groups * size, dtype)
    found, wanted = packed_parts(packing, neurons, seed)
    order = np.random.default_rng(seed).permutation(neurons)
    rows = packing.pack(found, order)
    assert rows.shape == (packing.bundles(neurons), packing.row_bytes)
    slab = aligned_rows(len(rows), packing.row_bytes, "U32")
    slab.view[:] = rows
    x = np.random.default_rng(seed + 1).standard_normal((1, packing.width)).astype(np.float32)
    for name, part in zip(parts, wanted, strict=True):
        unpacked = packing.part(rows, name)[:]
        assert np.array_equal(unpacked[neurons:], np.zeros_like(unpacked[neurons:]))
        assert np.allclose(unpacked[:neurons], part[order], rtol=1e-6, atol=1e-6)
        weight, scales, biases = packing.views(slab.matrix, name)
        floats = (scales.astype(mx.float32), biases.astype(mx.float32))
        by_mlx = mx.dequantize(weight, *floats, group_size=packing.form.group_size, bits=bits)
        assert np.allclose(np.array(by_mlx).reshape(unpacked.shape), unpacked, rtol=1e-6, atol=1e-6)
        if available():
            matrix = packing.matrix(slab.view.ctypes.data, name)
            products = multiply(matrix, x, np.zeros(len(rows), np.int64), np.arange(len(rows)))
            assert np.allclose(products.reshape(-1), unpacked @ x[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("width", [64, 256, 768, 1536, 2048, 2560, 4096, 4544, 5120, 8192, 9216])
def test_slots_are_well_used_and_groups_small(bits, parts, width):
    packing = Packing.of(bits, parts, width, "bfloat16")
    assert 1 <= packing.neurons <= MAX_NEURONS
    assert packing.bundle_bytes <= packing.row_bytes
    assert packing.bundle_bytes >= MIN_USED_SHARE * packing.row_bytes or packing.row_bytes == 512
    if width >= 1536:
        assert packing.row_bytes % 4096 == 0


def test_a_width_without_groups_is_refused():
    with pytest.raises(CheckpointError, match="hidden size of 40"):
        Packing.of(4, ("up", "down"), 40, "float16")
