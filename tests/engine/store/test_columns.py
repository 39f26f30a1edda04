"""Columns of experts' matrices, against MLX's own unpacking."""

import mlx.core as mx
import numpy as np
import pytest

from engine.arrays.packed import Form
from engine.arrays.products import floats_of
from engine.errors import CheckpointError
from engine.store.columns import COLUMNS, ColumnForm, check_columns, read_columns


def bytes_of(array):
    mx.eval(array)
    return bytes(memoryview(mx.contiguous(array)).cast("B"))


@pytest.mark.parametrize("bits", [4, 8])
def test_columns_of_quantised_matrices_are_their_numbers(bits):
    mx.random.seed(0)
    weight, scales, biases = mx.quantize(mx.random.normal((96, 128)), group_size=32, bits=bits)
    form = ColumnForm(Form(bits, 32, "affine"), "float32", 1, 128, 96)
    columns = form.columns(bytes_of(weight))
    assert columns.shape == (128, form.column_bytes) == (128, 96 * bits // 8)
    groups = np.arange(128) // 32
    found = form.codes(columns) * np.array(scales).T[groups] + np.array(biases).T[groups]
    expected = mx.dequantize(weight, scales, biases, group_size=32, bits=bits)
    assert np.allclose(found, np.array(expected).T, atol=1e-6)


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16, mx.float16])
def test_columns_of_others_are_a_transposed_matrix(dtype):
    matrix = mx.random.normal((96, 40)).astype(dtype)
    form = ColumnForm(None, str(dtype).removeprefix("mlx.core."), 1, 40, 96)
    columns = mx.array(form.columns(bytes_of(matrix))).view(dtype)
    assert np.array_equal(floats_of(columns), floats_of(mx.contiguous(matrix.T)))


@pytest.mark.parametrize(("form", "width", "can"), [
    (Form(4, 64, "affine"), 64, True), (Form(4, 64, "affine"), 68, False), (Form(3, 64, "affine"), 64, False),
    (Form(4, 32, "mxfp4"), 64, False), (None, 64, True), (None, 63, False),
])  # fmt: skip
def test_only_some_forms_have_columns(form, width, can):
    assert ColumnForm(form, "bfloat16", 2, 128, width).can_be_stored == can


def test_columns_of_another_model_are_refused(tmp_path):
    form = ColumnForm(None, "float32", 2, 8, 4)
    assert not read_columns(tmp_path)
    mx.save_safetensors(str(tmp_path / COLUMNS), {"right": mx.zeros((16, 4), mx.uint32), "wrong": mx.zeros((16, 4))})
    stored = read_columns(tmp_path)
    check_columns(stored["right"], form)
    with pytest.raises(CheckpointError, match="does not belong to this model"):
        check_columns(stored["wrong"], form)
    (tmp_path / COLUMNS).write_bytes(b"no header")
    with pytest.raises(CheckpointError, match=COLUMNS):
        read_columns(tmp_path)
