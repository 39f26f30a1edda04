"""Numbers of 16 bits in float32."""

import numpy as np

from engine.arrays import products as cpu


def test_every_finite_half_is_converted_to_the_bit():
    halves = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    assert np.array_equal(cpu.as_float32(halves).view(np.uint32), halves.astype(np.float32).view(np.uint32))


def test_every_bfloat16_is_the_upper_half_of_a_float32():
    halves = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
    assert np.array_equal(cpu.as_float32(halves).view(np.uint32), halves.astype(np.uint32) << 16)
