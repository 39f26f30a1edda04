"""Random neurons that are quantised, and what they are as MLX says."""

import mlx.core as mx
import numpy as np

from engine.arrays.dtypes import DTYPES
from engine.store.packing import PackedPart


def packed_parts(packing, neurons, seed):
    """Parts of random neurons, and the same as float32 arrays, as MLX unpacks them."""
    rng, form = np.random.default_rng(seed), packing.form
    rows = [rng.standard_normal((neurons, packing.width)).astype(np.float32) for _ in packing.parts]
    arrays = [mx.array(part).astype(DTYPES[packing.dtype]) for part in rows]
    wide = []
    for array in arrays:
        weight, scales, biases = mx.quantize(array, group_size=form.group_size, bits=form.bits)
        floats = (scales.astype(mx.float32), biases.astype(mx.float32))
        wide.append(np.array(mx.dequantize(weight, *floats, group_size=form.group_size, bits=form.bits)))
    return [PackedPart.of(array, form) for array in arrays], wide
