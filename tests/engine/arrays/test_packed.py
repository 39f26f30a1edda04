"""Products with packed weights against numpy's in float64, for every form, odd sizes, slots in any order."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.arrays import packed
from engine.arrays.packed import (
    FEW_VECTORS,
    Form,
    Resident,
    Tensor,
    add_many,
    add_rows,
    attend,
    attend_many,
    is_like,
    multiply,
    multiply_gated,
    multiply_many,
    normed,
    packed_matrix,
)
from engine.system.native_library import load_library

pytestmark = pytest.mark.skipif(not packed.available(), reason="MLX computes on the GPU here")
AFFINE = [Form(bits, group, "affine") for bits in (2, 3, 4, 5, 6, 8) for group in (32, 64, 128)]
FORMS = [*AFFINE, Form(4, 32, "mxfp4"), Form(8, 32, "mxfp8"), Form(4, 16, "nvfp4")]
SLOW_FIXTURES = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # which stays as it is from example to example
DTYPES = [mx.float32, mx.float16, mx.bfloat16]


@pytest.fixture(params=[4, 8, 16, 64])
def lanes(request):
    """Vectors of each width that this processor has."""
    library = load_library()
    if library.fb_use_lanes(request.param) != request.param:
        pytest.skip("this processor has no such vectors")
    yield request.param
    library.fb_use_lanes(0)


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


@SLOW_FIXTURES
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
def test_any_form_in_any_slots(lanes, form, dtype, rows, groups, slots, gap, vectors, seed):
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


@SLOW_FIXTURES
@given(
    dtype=st.sampled_from(DTYPES), rows=st.integers(1, 70), columns=st.integers(1, 100), vectors=st.integers(1, 6),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_weights_that_are_not_quantised(lanes, dtype, rows, columns, vectors, seed):
    random = np.random.default_rng(seed)
    weight = mx.array(random.standard_normal((rows, columns)).astype(np.float32)).astype(dtype)
    mx.eval(weight)
    matrix = packed_matrix(None, Tensor.of(weight), None, None)
    x = random.standard_normal((vectors, columns)).astype(np.float32)
    found = multiply(matrix, x, np.arange(vectors), np.zeros(vectors, np.int64))
    plain = np.array(weight.astype(mx.float32))
    assert close(found, x.astype(np.float64) @ plain.astype(np.float64).T, x, plain)


@SLOW_FIXTURES
@given(
    form=st.sampled_from([None, *FORMS]),
    dtype=st.sampled_from(DTYPES),
    rows=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_a_row_is_the_same_to_the_bit_wherever_it_stands(lanes, form, dtype, rows, seed):
    random, columns = np.random.default_rng(seed), 1 + seed if form is None else 128
    weight = mx.array(random.standard_normal((rows, columns)).astype(np.float32)).astype(dtype)
    parts = [weight] if form is None else mx.quantize(weight, form.group_size, form.bits, form.mode)
    mx.eval(*parts)
    x, zeros = random.standard_normal((1, columns)).astype(np.float32), np.zeros(rows, np.int64)
    together = Resident(parts[0], form, *parts[1:]).times(x)
    tensors = [Tensor.of(part) for part in parts]
    alone = [Tensor(t.address, t.dtype.size * t.shape[1], (1, t.shape[1]), t.dtype) for t in tensors]
    order = random.permutation(rows)
    gathered = multiply(packed_matrix(form, *(*alone, None, None)[:3]), x, zeros, order)
    assert np.array_equal(together[0, order], gathered[:, 0])


@SLOW_FIXTURES
@given(
    dtype=st.sampled_from(DTYPES), rows=st.integers(0, 40), columns=st.integers(1, 200), pairs=st.integers(1, 3),
    seed=st.integers(0, 99), cuts=st.lists(st.integers(0, 40)),
)  # fmt: skip
def test_rows_add_up_to_the_same_bits_however_they_are_cut(lanes, dtype, rows, columns, pairs, seed, cuts):
    random = np.random.default_rng(seed)
    slabs = mx.array(random.standard_normal((2, 40, columns)).astype(np.float32)).astype(dtype)
    mx.eval(slabs)
    whole = Tensor.of(slabs)
    matrix = packed_matrix(None, Tensor(whole.address, slabs.nbytes // 2, (40, columns), dtype), None, None)
    slots, order = random.integers(0, 2, pairs), random.permutation(40)[:rows]
    weights = np.where(random.random((pairs, rows)) < 0.5, random.standard_normal((pairs, rows)), 0).astype(np.float32)
    before = random.standard_normal((pairs, columns)).astype(np.float32)
    together, piecewise = before.copy(), before.copy()
    add_rows(matrix, slots, order, weights, together)
    for here in np.split(np.arange(rows), sorted(cut for cut in cuts if cut < rows)):
        add_rows(matrix, slots, order[here], weights[:, here], piecewise)
    assert np.array_equal(together, piecewise)
    used = np.flatnonzero(weights[0])
    first = before[:1].copy()
    add_rows(matrix, slots[:1], order[used], weights[:1, used], first)
    assert np.array_equal(first, together[:1])
    plain = np.array(slabs.astype(mx.float32)).astype(np.float64)
    wanted = before + np.stack([weights[p] @ plain[slots[p]][order] for p in range(pairs)])
    scale = np.abs(before) + np.stack([np.abs(weights[p]) @ np.abs(plain[slots[p]][order]) for p in range(pairs)])
    assert (np.abs(together - wanted) <= 1e-5 * scale + 1e-30).all()


@SLOW_FIXTURES
@given(
    form=st.sampled_from(FORMS), dtype=st.sampled_from(DTYPES), width=st.sampled_from([128, 384, 640]),
    count=st.integers(0, 27), pairs=st.integers(1, 3), seed=st.integers(0, 99), cut=st.integers(0, 27),
)  # fmt: skip
def test_packed_rows_add_up_through_the_slots_to_the_same_bits(lanes, form, dtype, width, count, pairs, seed, cut):
    random, rows = np.random.default_rng(seed), 3
    weight = mx.array(random.standard_normal((10 * rows, width)).astype(np.float32)).astype(dtype)
    parts = mx.quantize(weight, form.group_size, form.bits, form.mode)
    mx.eval(*parts)
    tensors = [Tensor.of(part) for part in parts]
    slots = [Tensor(t.address, rows * t.shape[1] * t.dtype.size, (rows, t.shape[1]), t.dtype) for t in tensors]
    matrix = packed_matrix(form, *(*slots, None)[:3])
    order, first = random.permutation(9 * rows)[:count], random.integers(0, 2, pairs)
    weights = np.where(random.random((pairs, count)) < 0.5, random.standard_normal((pairs, count)), 0)
    weights, before = weights.astype(np.float32), random.standard_normal((pairs, width)).astype(np.float32)
    together, piecewise = before.copy(), before.copy()
    add_rows(matrix, first, order, weights, together)
    for here in np.split(np.arange(count), [min(cut, count)]):
        used = here[(weights[:, here] != 0).any(axis=0)]
        add_rows(matrix, first, order[used], weights[:, used], piecewise)
    assert np.array_equal(together, piecewise)
    floats = [parts[0], *(part if part.dtype == mx.uint8 else part.astype(mx.float32) for part in parts[1:])]
    plain = mx.dequantize(*floats, group_size=form.group_size, bits=form.bits, mode=form.mode).astype(mx.float32)
    plain = np.array(plain).astype(np.float64)
    wanted = before + np.stack([weights[p] @ plain[first[p] * rows + order] for p in range(pairs)])
    largest = np.abs(plain).max(axis=1)  # what is added is a number of steps and an offset, which may cancel out
    scale = np.abs(before) + np.stack([[np.abs(weights[p]) @ largest[first[p] * rows + order]] for p in range(pairs)])
    assert (np.abs(together - wanted) <= 1e-5 * scale + 1e-30).all()


def test_packed_rows_add_up_the_same_whatever_the_number_of_threads(monkeypatch):
    weight, scales, biases = mx.quantize(mx.random.normal((700, 1024)), 64, 4)
    mx.eval(weight, scales, biases)
    matrix = packed_matrix(Form(4, 64, "affine"), *map(Tensor.of, (weight, scales, biases)))
    weights, sums = np.random.default_rng(0).standard_normal((1, 700)).astype(np.float32), []
    for threads in (1, 2, 5):
        monkeypatch.setattr("engine.arrays.packed.threads", lambda count=threads: count)
        sums.append(np.zeros((1, 1024), np.float32))
        add_rows(matrix, np.zeros(1, np.int64), None, weights, sums[-1])
    assert np.array_equal(sums[0], sums[1])
    assert np.array_equal(sums[0], sums[2])


@SLOW_FIXTURES
@given(
    form=st.sampled_from([None, *FORMS]),
    dtype=st.sampled_from(DTYPES),
    rows=st.integers(1, 80),
    groups=st.integers(1, 9),
    vectors=st.integers(2, FEW_VECTORS),
    seed=st.integers(0, 99),
)
def test_a_few_vectors_are_multiplied_to_the_bit_as_each_alone(lanes, form, dtype, rows, groups, vectors, seed):
    random = np.random.default_rng(seed)
    columns = groups * max(form.group_size, 32) if form else groups * 37
    weight = mx.array(random.standard_normal((rows, columns)).astype(np.float32)).astype(dtype)
    parts = mx.quantize(weight, group_size=form.group_size, bits=form.bits, mode=form.mode) if form else [weight]
    mx.eval(*parts)
    matrix = Resident(parts[0], form, *parts[1:])
    x = random.standard_normal((vectors, columns)).astype(np.float32)
    alone = np.concatenate([matrix.times(x[i : i + 1]) for i in range(vectors)])
    np.testing.assert_array_equal(matrix.times(x), alone)


@st.composite
def slots_of_rows(draw):
    """Rows in slots, of each of which the next part of a matrix: random sizes and a form."""
    form = draw(st.sampled_from([None, *FORMS]))
    unit = max(form.group_size, 32) if form else 1
    columns = draw(st.integers(1, 1300 // unit)) * unit
    rows_of_slot, rows = draw(st.integers(1, 5)), draw(st.integers(1, 300))
    return form, draw(st.sampled_from(DTYPES)), columns, rows_of_slot, rows, draw(st.integers(0, 3))


def matrix_in_slots(random, form, dtype, columns, rows_of_slot, rows, first):
    """The matrix of slots, the numbers of its rows from the first slot on, and what must be kept."""
    slots = first + -(-rows // rows_of_slot)
    weight = mx.array(random.standard_normal((slots * rows_of_slot, columns)).astype(np.float32)).astype(dtype)
    parts = mx.quantize(weight, form.group_size, form.bits, form.mode) if form else [weight]
    floats = [part.astype(mx.float32) if part.dtype in DTYPES else part for part in parts]
    plain = mx.dequantize(*floats, group_size=form.group_size, bits=form.bits, mode=form.mode) if form else floats[0]
    mx.eval(*parts, plain)
    shaped = [mx.contiguous(part.reshape(slots, rows_of_slot, -1)) for part in parts]
    mx.eval(*shaped)
    memory, tensors = in_slots(shaped, slots, 16, random)
    numbers = np.array(plain.astype(mx.float32))[first * rows_of_slot :][:rows]
    return packed_matrix(form, *(*tensors, None, None)[:3]), numbers, memory


def largest(plain):
    """Each row's largest number, in all its places: what is added of a packed one is a number of steps and an offset,
    which may cancel out."""
    return np.broadcast_to(np.abs(plain).max(axis=1, keepdims=True), plain.shape)


@SLOW_FIXTURES
@given(shape=slots_of_rows(), vectors=st.integers(1, 40), seed=st.integers(0, 99))
def test_many_vectors_with_rows_of_several_slots(lanes, shape, vectors, seed):
    random, (_, _, columns, _, rows, slot) = np.random.default_rng(seed), shape
    matrix, plain, kept = matrix_in_slots(random, *shape)
    x = random.standard_normal((vectors, columns)).astype(np.float32)
    found = multiply_many(matrix, x, rows, slot)
    assert close(
        found, x.astype(np.float64) @ plain.astype(np.float64).T, x, np.broadcast_to(largest(plain), plain.shape)
    )
    some, less = random.permutation(vectors)[: 1 + vectors // 2], int(random.integers(0, rows + 1))
    assert np.array_equal(multiply_many(matrix, x[some], less, slot), found[some, :less])
    assert len(kept)


@SLOW_FIXTURES
@given(shape=slots_of_rows(), vectors=st.integers(1, 40), cut=st.integers(0, 60), seed=st.integers(0, 99))
def test_rows_of_several_slots_add_up_for_many_vectors(lanes, shape, vectors, cut, seed):
    random, (_, _, columns, rows_of_slot, rows, slot) = np.random.default_rng(seed), shape
    matrix, plain, kept = matrix_in_slots(random, *shape)
    weights = random.standard_normal((vectors, rows)).astype(np.float32)
    before = random.standard_normal((vectors, columns)).astype(np.float32)
    together, piecewise = before.copy(), before.copy()
    add_many(matrix, weights, together, slot)
    cut = min(cut, rows // rows_of_slot)
    add_many(matrix, weights[:, : cut * rows_of_slot], piecewise, slot)
    add_many(matrix, weights[:, cut * rows_of_slot :], piecewise, slot + cut)
    assert np.array_equal(together, piecewise)
    alone = before[-1:].copy()
    add_many(matrix, weights[-1:], alone, slot)
    assert np.array_equal(alone, together[-1:])
    wanted = before + weights.astype(np.float64) @ plain.astype(np.float64)
    scale = np.abs(before) + np.abs(weights) @ largest(plain)
    assert (np.abs(together - wanted) <= 1e-5 * scale + 1e-30).all()
    assert len(kept)


@pytest.mark.parametrize("form", [None, Form(4, 64, "affine")])
def test_many_vectors_are_multiplied_the_same_whatever_the_number_of_threads(monkeypatch, form):
    random, found = np.random.default_rng(0), []
    matrix, _, kept = matrix_in_slots(random, form, mx.bfloat16, 1088, 3, 700, 1)
    x = random.standard_normal((50, 1088)).astype(np.float32)
    for threads in (1, 2, 5):
        monkeypatch.setattr(packed, "threads", lambda count=threads: count)
        y = np.zeros((50, 1088), np.float32)
        hidden = multiply_many(matrix, x, 700, 1)
        add_many(matrix, hidden, y, 1)
        found.append((hidden, y))
    assert all(np.array_equal(one, other) for pair in found for one, other in zip(pair, found[0], strict=True))
    assert len(kept)


@SLOW_FIXTURES
@given(count=st.integers(0, 300_000))
def test_the_sum_of_numbers(lanes, count):
    numbers = np.ones(count, np.float32)
    assert load_library().fb_sum(numbers.ctypes.data, count, 2) == count


def random_matrices(random, form, slots, rows, columns):
    """Matrices in slots: as `multiply` wants them, dequantised, and what must be kept."""
    weights = mx.array(random.standard_normal((slots, rows, columns)).astype(np.float32) / columns**0.5)
    parts = (
        list(mx.quantize(weights, group_size=form.group_size, bits=form.bits, mode=form.mode)) if form else [weights]
    )
    mx.eval(*parts)
    plain = mx.dequantize(*parts, group_size=form.group_size, bits=form.bits, mode=form.mode) if form else weights
    tensors = [Tensor(Tensor.of(p).address, p.nbytes // slots, p.shape[1:], p.dtype) for p in parts]
    return packed_matrix(form, *(*tensors, None, None)[:3]), np.array(plain.astype(mx.float32)), parts


@SLOW_FIXTURES
@given(
    form=st.sampled_from([None, *FORMS]), slots=st.integers(1, 4), rows=st.integers(1, 3), tokens=st.integers(1, 40),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_the_products_of_a_gated_ffn_in_one_call(lanes, form, slots, rows, tokens, seed):
    random, neurons, width = np.random.default_rng(seed), 128 * rows, 128
    gate, up, down = (
        random_matrices(random, form, slots, *each) for each in [(neurons, width)] * 2 + [(width, neurons)]
    )
    x = random.standard_normal((tokens, width)).astype(np.float32)
    vectors, which = np.arange(tokens), np.sort(random.integers(0, slots, tokens))
    found = multiply_gated(gate[0], up[0], down[0], x, vectors, which)
    assert is_like(gate[0], up[0])
    for p in range(tokens):
        g, u, d = (each[1][which[p]].astype(np.float64) for each in (gate, up, down))
        hidden = (g @ x[p]) / (1 + np.exp(-(g @ x[p]))) * (u @ x[p])
        assert np.allclose(found[p], d @ hidden, atol=2e-5 * np.abs(hidden).sum() ** 0.5 + 1e-5)
    alone = multiply_gated(gate[0], up[0], down[0], x, vectors[:1], which[:1])
    few = np.bincount(which)[which[0]] <= FEW_VECTORS
    assert not few or np.array_equal(alone[0], found[0])


@pytest.mark.parametrize("forms", [(Form(4, 64, "affine"), Form(8, 64, "affine")), (None, Form(4, 64, "affine"))])
def test_matrices_of_two_forms_are_not_alike(forms):
    random = np.random.default_rng(0)
    one, other = (random_matrices(random, form, 2, 32, 64) for form in forms)
    assert not is_like(one[0], other[0])


def test_runs_of_many_and_of_few_in_one_call_are_each_what_they_are_alone(lanes):
    random = np.random.default_rng(0)
    matrix, _, kept = random_matrices(random, Form(4, 64, "affine"), 3, 40, 192)
    x, which = random.standard_normal((60, 192)).astype(np.float32), np.repeat([0, 1, 2], [5, 50, 5])
    found = multiply(matrix, x, np.arange(60), which)
    for p in (0, 4, 57):
        alone = multiply(matrix, x, np.array([p]), which[p : p + 1])
        assert np.array_equal(found[p], alone[0])
    assert kept


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_stays_none(lanes, bad):
    matrix, _, kept = random_matrices(np.random.default_rng(0), Form(4, 64, "affine"), 1, 8, 128)
    x = np.ones((1, 128), np.float32)
    x[0, 77] = bad
    found = multiply(matrix, x, np.zeros(1, np.int64), np.zeros(1, np.int64))
    assert not np.isfinite(found).any()
    assert kept


@pytest.mark.parametrize("scale", [1e-38, 1e-25, 1e25])
def test_vectors_of_any_size(lanes, scale):
    matrix, plain, kept = random_matrices(np.random.default_rng(0), Form(4, 64, "affine"), 1, 8, 128)
    x = (np.random.default_rng(1).standard_normal((1, 128)) * scale).astype(np.float32)
    found = multiply(matrix, x, np.zeros(1, np.int64), np.zeros(1, np.int64))
    wanted = x.astype(np.float64) @ plain[0].T
    assert (np.abs(found - wanted) <= 4e-6 * (np.abs(x) @ np.abs(plain[0]).T) + 1e-28).all()
    assert kept


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


@SLOW_FIXTURES
@given(
    dtype=st.sampled_from(DTYPES), slots=st.integers(1, 3), group=st.integers(1, 9), tokens=st.integers(1, 90),
    widths=st.sampled_from([(64, 64), (128, 80), (20, 7), (1, 33)]), with_sinks=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_attention_of_one_token(lanes, dtype, slots, group, tokens, widths, with_sinks, seed):
    random, heads = np.random.default_rng(seed), slots * group
    spread = random.choice([0.1, 1, 30])
    held = [spread * random.standard_normal((slots, tokens + 2, width)) for width in widths]
    keys, values = (mx.array(each.astype(np.float32)).astype(dtype) for each in held)
    mx.eval(keys, values)
    matrices = []
    for each in (keys, values):  # what is behind the last token counts for nothing
        of, shape = Tensor.of(each), (tokens, each.shape[2])
        matrices.append(packed_matrix(None, Tensor(of.address, each.nbytes // slots, shape, dtype), None, None))
    q = random.standard_normal((heads, widths[0])).astype(np.float32)
    sinks = random.standard_normal(heads).astype(np.float32) if with_sinks else None
    found = attend(*matrices, q, slots, sinks)
    k, v = (np.array(each.astype(mx.float32)).astype(np.float64)[:, :tokens] for each in (keys, values))
    for head in range(heads):
        scores = k[head // group] @ q[head].astype(np.float64)
        scores = scores if sinks is None else np.append(scores, sinks[head])
        shares = np.exp(scores - scores.max())
        shares = (shares / shares.sum())[:tokens]
        rounding = 1e-5 + 1e-6 * (np.abs(k[head // group]) @ np.abs(q[head])).max()
        assert np.abs(found[head] - shares @ v[head // group]).max() <= rounding * np.abs(v[head // group]).max()


def in_heads(random, slots, tokens, width, dtype):
    """Keys or values of some heads, as a matrix in each slot and in float64, and what must be kept."""
    spread = random.choice([0.1, 1, 5])
    held = mx.array((spread * random.standard_normal((slots, tokens + 1, width))).astype(np.float32)).astype(dtype)
    mx.eval(held)
    tensor = Tensor(Tensor.of(held).address, held.nbytes // slots, (tokens, width), dtype)
    return packed_matrix(None, tensor, None, None), np.array(held.astype(mx.float32))[:, :-1].astype(np.float64), held


@SLOW_FIXTURES
@given(
    dtype=st.sampled_from(DTYPES), slots=st.integers(1, 2), group=st.integers(1, 3), queries=st.integers(1, 300),
    before=st.integers(0, 400), masked=st.sampled_from(["none", "causal", "shown"]),
    widths=st.sampled_from([(64, 64), (20, 7), (1, 33), (576, 300)]), with_sinks=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_attention_of_many_tokens(lanes, dtype, slots, group, queries, before, masked, widths, with_sinks, seed):
    random, heads, tokens = np.random.default_rng(seed), slots * group, before + queries
    (keys, k, kept), (values, v, also) = (in_heads(random, slots, tokens, width, dtype) for width in widths)
    q = random.standard_normal((heads, queries, widths[0])).astype(np.float32)
    sinks = random.standard_normal(heads).astype(np.float32) if with_sinks else None
    seen = np.ones((heads, queries, tokens), np.bool_)
    if masked == "causal":
        seen = np.broadcast_to(np.tri(queries, tokens, before, bool), seen.shape)
    elif masked == "shown":
        seen = np.broadcast_to(random.random((1, queries, tokens)) < random.choice([0.01, 0.9]), seen.shape).copy()
        seen[:, np.arange(queries), np.arange(queries)] = True
    first, shown = before if masked == "causal" else None, seen if masked == "shown" else None
    found = attend_many(keys, values, q, slots, first, shown, sinks)
    some = random.permutation(queries)[:1]
    alone = attend_many(keys, values, q[:, some], slots, None, seen[:, some], sinks)
    assert np.array_equal(alone, found[:, some])
    for head in range(heads):
        scores = np.where(seen[head], q[head].astype(np.float64) @ k[head // group].T, -np.inf)
        scores = scores if sinks is None else np.append(scores, np.full((queries, 1), sinks[head]), axis=1)
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares = (shares / shares.sum(axis=1, keepdims=True))[:, :tokens]
        rounding = 1e-5 + 1e-6 * (np.abs(k[head // group]) @ np.abs(q[head]).T).max()
        assert np.abs(found[head] - shares @ v[head // group]).max() <= rounding * np.abs(v[head // group]).max()
    assert len(kept) == len(also)


@pytest.mark.parametrize("heads", [1, 3, 16])
def test_attention_is_the_same_whatever_the_number_of_threads(monkeypatch, heads):
    random, found = np.random.default_rng(0), []
    keys, values = (mx.array(random.standard_normal((2, 900, 64)).astype(np.float32)) for _ in range(2))
    mx.eval(keys, values)
    tensors = [Tensor(Tensor.of(each).address, each.nbytes // 2, (900, 64), mx.float32) for each in (keys, values)]
    matrices = [packed_matrix(None, tensor, None, None) for tensor in tensors]
    q = random.standard_normal((2 * heads, 300, 64)).astype(np.float32)
    for threads in (1, 2, 5):
        monkeypatch.setattr("engine.arrays.packed.threads", lambda count=threads: count)
        found.append((attend(*matrices, q[:, 0], 2, None), attend_many(*matrices, q, 2, 600, None, None)))
    assert all(np.array_equal(one, other) for pair in found for one, other in zip(pair, found[0], strict=True))


def test_attention_to_what_is_no_number_is_none():
    keys = mx.array(np.full((1, 5, 16), np.nan, np.float32))
    mx.eval(keys)
    matrix = packed_matrix(None, Tensor(Tensor.of(keys).address, 0, (5, 16), mx.float32), None, None)
    assert np.isnan(attend(matrix, matrix, np.ones((1, 16), np.float32), 1, None)).all()
    assert np.isnan(attend_many(matrix, matrix, np.ones((1, 3, 16), np.float32), 1, 2, None, None)).all()


def test_norms_of_many_are_the_same_whatever_the_number_of_threads(monkeypatch):
    x, found = np.random.default_rng(0).standard_normal((150, 1000)).astype(np.float32), []
    for threads in (1, 2, 5):
        monkeypatch.setattr("engine.arrays.packed.threads", lambda count=threads: count)
        found.append(normed(x, 1e-5, True, None, None))
    assert all(np.array_equal(each, found[0]) for each in found)
    assert np.array_equal(normed(x[77:78], 1e-5, True, None, None), found[0][77:78])


@SLOW_FIXTURES
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 200)), centred=st.booleans(),
    with_weights=st.booleans(), with_biases=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_norms(lanes, shape, centred, with_weights, with_biases, seed):
    random = np.random.default_rng(seed)
    x = (random.choice([1e-3, 1, 1e3]) * (random.standard_normal(shape) + 0.5)).astype(np.float32)
    weights, biases = random.standard_normal((2, shape[-1])).astype(np.float32)
    found = normed(x, 1e-5, centred, weights if with_weights else None, biases if with_biases else None)
    wide = x.astype(np.float64)
    wanted = wide - wide.mean(axis=-1, keepdims=True) if centred else wide
    spread = np.sqrt(np.square(wanted).mean(axis=-1, keepdims=True) + 1e-5)
    weights, biases = weights if with_weights else np.ones_like(weights), biases if with_biases else 0 * biases
    rounding = 1e-6 * (np.abs(wide).max() / spread * np.abs(weights) + np.abs(biases))
    wanted = wanted / spread * weights + biases
    assert found.shape == x.shape
    assert (np.abs(found - wanted) <= rounding).all()
