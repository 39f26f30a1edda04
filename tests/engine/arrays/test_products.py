"""Products through numpy equal MLX's, whatever the dtype and the number of tokens."""

import mlx.core as mx
import numpy as np
import pytest

from engine.arrays import products as cpu


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16, mx.float16])
@pytest.mark.parametrize("tokens", [1, 5])
def test_products_are_those_of_mlx(dtype, tokens, monkeypatch):
    monkeypatch.setattr(cpu, "BLOCK_ELEMENTS", 1 << 8)  # several blocks, the last of another size
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((tokens, 48)).astype(np.float32), mx.array(rng.standard_normal((37, 48)))
    weight = weight.astype(dtype)
    found, wanted = cpu.numpy_product(x, weight), mx.array(x) @ weight.astype(mx.float32).T
    assert mx.abs(mx.array(found) - wanted).max().item() < 1e-5 * mx.abs(wanted).max().item()
    blocks = list(cpu.float32_blocks(weight))
    assert np.array_equal(np.concatenate([block for _, block in blocks]), np.array(weight.astype(mx.float32)))
    assert [start for start, _ in blocks] == np.cumsum([0] + [len(block) for _, block in blocks[:-1]]).tolist()


def test_every_finite_half_is_converted_to_the_bit():
    halves = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    assert np.array_equal(cpu.as_float32(halves).view(np.uint32), halves.astype(np.float32).view(np.uint32))


def test_every_bfloat16_is_the_upper_half_of_a_float32():
    halves = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16)
    assert np.array_equal(cpu.as_float32(halves).view(np.uint32), halves.astype(np.uint32) << 16)
