"""Products with packed weights against numpy's in float64, for every form, odd sizes, slots in any order."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.arrays import packed
from engine.arrays.packed import Form, Tensor, multiply, packed_matrix, use_packed_products

pytestmark = pytest.mark.skipif(not packed.available(), reason="MLX computes on the GPU here")
AFFINE = [Form(bits, group, "affine") for bits in (2, 3, 4, 5, 6, 8) for group in (32, 64, 128)]
FORMS = [*AFFINE, Form(4, 32, "mxfp4"), Form(8, 32, "mxfp8"), Form(4, 16, "nvfp4")]
DTYPES = [mx.float32, mx.float16, mx.bfloat16]


def in_slots(arrays, slots, gap, random):
    """Copies of tensors [slots, ...] with other bytes between them: the memory, and where each is."""
    pieces, tensors, at = [], [], 0
    sizes = [array.nbytes // slots for array in arrays]
    stride = sum(sizes) + gap * len(sizes)
    memory = np.frombuffer(random.bytes(slots * stride), np.uint8).copy()
    for array, size in zip(arrays, sizes, strict=True):
        content = np.frombuffer(bytes(memoryview(array).cast("B")), np.uint8).reshape(slots, size)
        memory.reshape(slots, stride)[:, at : at + size] = content
        tensors.append(Tensor(memory.ctypes.data + at, stride, array.shape[1:], array.dtype))
        pieces.append(content)
        at += size + gap
    return memory, tensors


def close(found, wanted, x, weight):
    """Within float32's rounding of the sum of what is added."""
    scale = np.abs(x).astype(np.float64) @ np.abs(weight).astype(np.float64).T
    return (np.abs(found - wanted) <= 4e-6 * scale + 1e-30).all()


@settings(max_examples=60, deadline=None)
@given(
    form=st.sampled_from(FORMS),
    dtype=st.sampled_from(DTYPES),
    rows=st.integers(1, 80),
    groups=st.integers(1, 5),
    slots=st.integers(1, 4),
    gap=st.sampled_from([0, 16, 20]),
    vectors=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_any_form_in_any_slots(form, dtype, rows, groups, slots, gap, vectors, seed):
    random, columns = np.random.default_rng(seed), groups * max(form.group_size, 32)
    weights = mx.array(random.standard_normal((slots, rows, columns)).astype(np.float32)).astype(dtype)
    parts = mx.quantize(weights, group_size=form.group_size, bits=form.bits, mode=form.mode)
    mx.eval(*parts)
    floats = [part.astype(mx.float32) if part.dtype in DTYPES else part for part in parts]
    plain = mx.dequantize(*floats, group_size=form.group_size, bits=form.bits, mode=form.mode).astype(mx.float32)
    plain = np.array(plain)
    memory, tensors = in_slots(parts, slots, gap, random)
    matrix = packed_matrix(form, *tensors[:2], tensors[2] if len(tensors) > 2 else None)
    x = random.standard_normal((vectors, columns)).astype(np.float32)
    pairs = int(random.integers(1, 12))
    chosen, which = random.integers(0, vectors, pairs), np.sort(random.integers(0, slots, pairs))
    found = multiply(matrix, x, chosen, which)
    for pair in range(pairs):
        weight = plain[which[pair]]
        wanted = x[chosen[pair]].astype(np.float64) @ weight.astype(np.float64).T
        assert close(found[pair], wanted, x[chosen[pair]], weight)
    assert len(memory)


@settings(max_examples=30, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES), rows=st.integers(1, 70), columns=st.integers(1, 100), vectors=st.integers(1, 6),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_weights_that_are_not_quantised(dtype, rows, columns, vectors, seed):
    random = np.random.default_rng(seed)
    weight = mx.array(random.standard_normal((rows, columns)).astype(np.float32)).astype(dtype)
    mx.eval(weight)
    matrix = packed_matrix(None, Tensor.of(weight), None, None)
    x = random.standard_normal((vectors, columns)).astype(np.float32)
    found = multiply(matrix, x, np.arange(vectors), np.zeros(vectors, np.int64))
    plain = np.array(weight.astype(mx.float32))
    assert close(found, x.astype(np.float64) @ plain.astype(np.float64).T, x, plain)


@pytest.mark.parametrize("vectors", [1, 7])
def test_the_same_whatever_the_number_of_threads(monkeypatch, vectors):
    weights = mx.random.normal((300, 512))
    parts = mx.quantize(weights, group_size=64, bits=4)
    mx.eval(*parts)
    matrix = packed_matrix(Form(4, 64, "affine"), *map(Tensor.of, parts))
    x = np.random.default_rng(0).standard_normal((vectors, 512)).astype(np.float32)
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(packed, "threads", lambda threads=threads: threads)
        found.append(multiply(matrix, x, np.arange(vectors), np.zeros(vectors, np.int64)))
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()


@pytest.mark.parametrize("tokens", [1, 20])
def test_quantised_layers_of_a_model(tokens):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.QuantizedEmbedding(40, 128, group_size=32, bits=8)
            self.up = nn.QuantizedLinear(128, 64, bias=True, group_size=64, bits=4)

    model = Model()
    x = mx.random.normal((1, tokens, 128))
    before = [model.up(x), model.embed.as_linear(x)]
    mx.eval(before)
    use_packed_products(model)
    after = [model.up(x), model.embed.as_linear(x)]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(np.array(other), np.array(one), rtol=1e-4, atol=1e-4)
        assert other.dtype == one.dtype
