"""`bench compute`: products with weights of every kind, as they are made without a GPU, against the rate of memory."""

from collections.abc import Callable
from time import perf_counter

import mlx.core as mx
import numpy as np

from engine.arrays.packed import Form, Resident, available, threads
from engine.bench.machine import describe
from engine.bench.results import Progress, Result, Row
from engine.errors import FlashbulbError
from engine.system.folders import models_folder
from engine.system.native_library import load_library

COLUMNS = 4096
MATRIX_BYTES = 1 << 29  # of each kind: more than the caches hold, as of a model
DRAWN_ROWS = 256  # which are repeated: products do not notice
REPEATS = 15
PLAIN = {"float32": mx.float32, "bfloat16": mx.bfloat16, "float16": mx.float16}
FORMS = {
    **{f"{bits} bits, groups of {group}": Form(bits, group, "affine") for bits in (8, 6, 5, 3, 2) for group in (64,)},
    **{f"4 bits, groups of {group}": Form(4, group, "affine") for group in (32, 64, 128)},
    "mxfp8": Form(8, 32, "mxfp8"),
    "mxfp4": Form(4, 32, "mxfp4"),
    "nvfp4": Form(4, 16, "nvfp4"),
}


def run(matrix_bytes: int = MATRIX_BYTES, progress: Progress = lambda *_: None) -> Result:
    """The rate at which weights are multiplied with one vector, by kind, and its share of a plain sum's of as many
    bytes with as many threads. Raises FlashbulbError where there is a GPU, which computes instead."""
    if not available():
        raise FlashbulbError("Products are made by the GPU here: there is nothing to measure.")
    rows: list[Row] = []
    kinds: dict[str, Form | None] = {**dict.fromkeys(PLAIN), **FORMS}
    for number, (name, form) in enumerate(kinds.items()):
        progress(number / len(kinds), name)
        rows.append(_row(name, form, matrix_bytes))
    settings = {"threads": threads(), "matrix_bytes": matrix_bytes, "columns": COLUMNS}
    return Result("compute", describe(models_folder()), rows, settings)


def _row(name: str, form: Form | None, matrix_bytes: int) -> Row:
    parts = _weights(name, form, matrix_bytes)
    size = sum(part.nbytes for part in parts)
    x = np.random.default_rng(0).standard_normal((1, COLUMNS)).astype(np.float32)
    matrix, numbers, library = Resident(parts[0], form, *parts[1:]), np.ones(size // 4, np.float32), load_library()
    assert library is not None
    sums, products = [], []
    for _ in range(REPEATS):  # in turns, as others take their share of memory now and then; the fastest counts
        sums.append(_seconds(lambda: library.fb_sum(numbers.ctypes.data, len(numbers), threads())))
        products.append(_seconds(lambda: matrix.times(x)))
    return Row(name, bytes_per_s=size / min(products), memory_bytes_per_s=size / min(sums))


def _weights(name: str, form: Form | None, matrix_bytes: int) -> list[mx.array]:
    drawn = mx.random.normal((DRAWN_ROWS, COLUMNS)).astype(PLAIN.get(name, mx.bfloat16))
    parts = [drawn] if form is None else list(mx.quantize(drawn, form.group_size, form.bits, form.mode))
    times = max(1, matrix_bytes // sum(part.nbytes for part in parts))
    parts = [mx.concatenate([part] * times) for part in parts]
    mx.eval(*parts)
    return parts


def _seconds(function: Callable[[], object]) -> float:
    began = perf_counter()
    function()
    return perf_counter() - began
