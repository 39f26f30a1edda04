"""Arrays as numpy has them: their memory, and their numbers in float32."""

import mlx.core as mx
import numpy as np

INFINITE_HALF = 0xF800  # the bits of a float16, without its sign, from which on it is infinite, or no number
SIGN_AND_HALF = np.int32(-0x70002000)  # of a float32's bits: its sign, and the 15 that a float16 has besides


def as_numpy(array: mx.array) -> np.ndarray:
    """The memory of an array, evaluated; bfloat16, which numpy does not know, as uint16."""
    if array.dtype != mx.bfloat16:
        return np.array(array, copy=False)
    held = memoryview(array)  # type: ignore[arg-type] # MLX's arrays are buffers
    if array.size and held.c_contiguous:  # without an operation of MLX's, which takes longer than all else here
        return np.frombuffer(held.cast("B"), np.uint16).reshape(array.shape)
    return np.array(array.view(mx.uint16), copy=False)


def as_float32(halves: np.ndarray) -> np.ndarray:
    """float32 of float16, or of bfloat16 as uint16: numpy has none, but its bits are the upper half of a float32's."""
    if halves.dtype == np.float32:
        return halves
    if halves.dtype == np.float16 and (halves.view(np.uint16) << 1).max(initial=0) >= INFINITE_HALF:
        return halves.astype(np.float32)
    if halves.dtype == np.float16:  # some four times as fast as numpy's conversion, which goes one by one
        bits = halves.view(np.int16).astype(np.int32)
        bits <<= 13
        bits &= SIGN_AND_HALF
        values = bits.view(np.float32)
        values *= np.float32(2.0**112)  # the exponents count from 15 and from 127
        return values
    bits = halves.astype(np.uint32)
    bits <<= 16
    return bits.view(np.float32)


def floats_of(x: mx.array) -> np.ndarray:
    """float32 of an array, evaluated: its own memory where it has that dtype."""
    return as_float32(as_numpy(x))


def stored_as(x: mx.array, dtype: mx.Dtype) -> np.ndarray:
    """An array's numbers, evaluated, as another float dtype has them, rounded to the nearest; bfloat16 as uint16."""
    if x.dtype == dtype:
        return as_numpy(x)
    values = floats_of(x)
    if dtype == mx.float32:
        return values
    if dtype == mx.float16:
        with np.errstate(over="ignore"):
            return values.astype(np.float16)
    bits = values.view(np.uint32)
    rounded = (bits + (((bits >> 16) & 1) + np.uint32(0x7FFF))) >> 16
    return np.where(np.isnan(values), np.uint32(0x7FC0), rounded).astype(np.uint16)
