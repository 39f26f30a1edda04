"""Numbers of 16 bits in float32."""

import mlx.core as mx
import numpy as np
import pytest

from engine.arrays import products as cpu


def test_every_half_is_converted_to_the_bit():
    halves = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)]
    for some in (finite, halves):
        assert np.array_equal(cpu.as_float32(some).view(np.uint32), some.astype(np.float32).view(np.uint32))
    assert cpu.as_float32(finite[:0]).shape == (0,)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_no_number_in_sixteen_bits_is_none_in_thirty_two(value):
    for dtype in (mx.float16, mx.bfloat16):
        assert np.array_equal(cpu.floats_of(mx.array([1.5, value]).astype(dtype)), [1.5, value], equal_nan=True)


def test_every_bfloat16_is_the_upper_half_of_a_float32():
    halves = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
    assert np.array_equal(cpu.as_float32(halves).view(np.uint32), halves.astype(np.uint32) << 16)
