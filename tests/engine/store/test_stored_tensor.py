"""A stored tensor in another dtype is what MLX makes of it, and is converted piece by piece."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.arrays.dtypes import DTYPES
from engine.errors import CheckpointError
from engine.store import stored_tensor
from engine.store.stored_tensor import StoredTensor


def stored(path, values: mx.array, dtype: str, skipped: int = 0, transposed: bool = False) -> StoredTensor:
    """The values, in that dtype, `skipped` bytes after a file's start."""
    laid = mx.contiguous((values.T if transposed else values).astype(DTYPES[dtype]))
    mx.eval(laid)
    path.write_bytes(b"\0" * skipped + bytes(memoryview(laid).cast("B")))
    return StoredTensor("weight", path, dtype, tuple(values.shape), skipped, transposed)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    dtype=st.sampled_from(sorted(DTYPES)),
    wanted=st.sampled_from(sorted(DTYPES)),
    skipped=st.integers(0, 9),
    piece=st.integers(1, 200),
    transposed=st.booleans(),
)
def test_another_dtype_is_what_mlx_makes_of_it(tmp_path, monkeypatch, shape, dtype, wanted, skipped, piece, transposed):
    monkeypatch.setattr(stored_tensor, "CONVERTED_BYTES", piece)
    values = mx.array(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    tensor = stored(tmp_path / "file", values, dtype, skipped, transposed and len(shape) == 2)
    found, expected = tensor.read_as(DTYPES[wanted]), values.astype(DTYPES[dtype]).astype(DTYPES[wanted])
    assert found.dtype == DTYPES[wanted]
    assert found.shape == expected.shape
    assert mx.array_equal(found, expected)


def test_it_is_read_in_pieces(tmp_path):
    tensor = stored(tmp_path / "file", mx.ones((1000, 500)), "float16")
    pieces = list(tensor.pieces(1 << 16))
    assert max(piece.nbytes for piece in pieces) <= 1 << 16
    assert sum(len(piece) for piece in pieces) == 1000


def test_a_file_that_ends_within_it_is_refused(tmp_path):
    tensor = stored(tmp_path / "file", mx.ones((20, 5)), "bfloat16")
    tensor.path.write_bytes(tensor.path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"ends within .weight"):
        tensor.read_as(mx.float32)
