"""GGML's blocks against another implementation of them, for every type and any bytes."""

import mlx.core as mx
import numpy as np
import pytest
from gguf import GGMLQuantizationType, quants
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.arrays.ggml_blocks import BLOCK_WEIGHTS, BUILDERS, quantised
from engine.store.gguf import TYPES

HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2]}
HALVES |= {"Q6_K": [208], "MXFP4": []}


def blocks(kind, rows, columns, seed, spread=1.0):
    """Random blocks whose 16-bit floats are finite."""
    random = np.random.default_rng(seed)
    size = next(block.bytes for block in TYPES.values() if block.name == kind)
    count = rows * columns // BLOCK_WEIGHTS[kind]
    content = random.integers(0, 256, (count, size), np.uint8)
    for place in HALVES[kind]:
        values = (spread * random.standard_normal(count)).astype(np.float16)
        content[:, place : place + 2] = values.view(np.uint8).reshape(count, 2)
    if kind == "MXFP4":
        content[:, 0] = random.integers(100, 140, count)
    return content.tobytes()


def dequantised(kind, content, rows):
    return quants.dequantize(np.frombuffer(content, np.uint8).reshape(rows, -1), GGMLQuantizationType[kind])


@pytest.mark.parametrize("kind", [kind for kind in BUILDERS if kind != "Q6_K"])
@settings(max_examples=15, deadline=None)
@given(rows=st.integers(1, 4), blocks_a_row=st.integers(1, 3), seed=st.integers(0, 1000))
def test_what_is_affine_is_exact(kind, rows, blocks_a_row, seed):
    columns = 256 * blocks_a_row
    content = blocks(kind, rows, columns, seed)
    found = quantised(kind, content, rows, columns)
    assert found.weight.shape == (rows, columns * found.bits // 32)
    assert found.scales.shape == (rows, columns // 32)
    np.testing.assert_array_equal(np.array(found.dequantised()), dequantised(kind, content, rows))


def test_sixteen_bits_are_enough_for_simple_scales():
    assert quantised("Q4_0", blocks("Q4_0", 2, 64, 0), 2, 64).scales.dtype == mx.float16
    assert quantised("Q4_K", blocks("Q4_K", 2, 256, 0), 2, 256).scales.dtype == mx.float32


def test_groups_of_sixteen_become_eight_bits():
    """Of scales as real weights have them: near each other."""
    content = np.frombuffer(blocks("Q6_K", 8, 512, 0, spread=0.01), np.uint8).reshape(-1, 210).copy()
    content[:, 192:208] = np.random.default_rng(1).integers(40, 60, (len(content), 16))
    found, wanted = quantised("Q6_K", content.tobytes(), 8, 512), dequantised("Q6_K", content.tobytes(), 8)
    change = np.array(found.dequantised()) - wanted
    assert found.bits == 8
    assert np.sqrt(np.square(change).mean() / np.square(wanted).mean()) < 0.005


def test_products_are_those_of_the_weights():
    content = blocks("Q5_1", 16, 64, 3)
    found = quantised("Q5_1", content, 16, 64)
    x = mx.random.normal((2, 64))
    product = mx.quantized_matmul(x, found.weight, found.scales, found.biases, group_size=32, bits=5)
    np.testing.assert_allclose(
        np.array(product), np.array(x) @ dequantised("Q5_1", content, 16).T, rtol=1e-4, atol=1e-3
    )
