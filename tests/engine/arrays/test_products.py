"""Products through numpy equal MLX's, whatever the dtype and the number of tokens."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.arrays import products as cpu


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16, mx.float16])
@pytest.mark.parametrize("tokens", [1, 5])
def test_products_are_those_of_mlx(dtype, tokens, monkeypatch):
    monkeypatch.setattr(cpu, "SMALL", 0)
    monkeypatch.setattr(cpu, "BLOCK", 1 << 8)  # several blocks, the last of another size
    rng = np.random.default_rng(0)
    x, weight = (mx.array(rng.standard_normal(s).astype(np.float32)).astype(dtype) for s in [(1, tokens, 48), (37, 48)])
    found, wanted = cpu.product(x, weight), x.astype(mx.float32) @ weight.astype(mx.float32).T
    assert found.dtype == dtype
    assert mx.abs(found.astype(mx.float32) - wanted).max().item() < 0.01 * mx.abs(wanted).max().item()
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


@given(rows=st.integers(1, 60), width=st.integers(1, 70), seed=st.integers(0, 99))
def test_a_rows_product_is_the_same_to_the_bit_whatever_others_are_beside_it(rows, width, seed):
    rng = np.random.default_rng(seed)
    matrix, x = (rng.standard_normal(shape).astype(np.float32) for shape in ((rows, 2 * width), width))
    some = rng.permutation(rows)[: rng.integers(1, rows + 1)]
    together, alone = cpu.row_products(matrix[:, :width], x), cpu.row_products(matrix[some][:, :width], x)
    assert np.array_equal(together[some], alone)
    assert np.allclose(together, matrix[:, :width] @ x, atol=1e-4)


@given(rows=st.integers(1, 60), width=st.integers(2, 70), seed=st.integers(0, 99), cuts=st.lists(st.integers(0, 60)))
def test_rows_add_up_to_the_same_bits_however_they_are_cut_and_whatever_has_no_weight(rows, width, seed, cuts):
    rng = np.random.default_rng(seed)
    y, matrix = (rng.standard_normal(shape).astype(np.float32) for shape in (width, (rows, width)))
    weights = np.where(rng.random(rows) < 0.5, rng.standard_normal(rows), 0).astype(np.float32)
    whole, used, piecewise = cpu.add_rows(y, weights, matrix), np.flatnonzero(weights), y
    for here in np.split(np.arange(rows), sorted(cut for cut in cuts if cut < rows)):
        piecewise = cpu.add_rows(piecewise, weights[here], matrix[here])
    assert np.array_equal(whole, piecewise)
    assert np.array_equal(whole, cpu.add_rows(y, weights[used], matrix[used]))
    assert np.allclose(whole, y + weights @ matrix, atol=1e-4)
