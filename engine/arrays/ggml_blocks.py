"""GGML's blocks of quantised weights in MLX's forms: packed weights, scales, biases.

Exact for what is affine, w = scale * q + bias: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, all in groups of 32, and for
MXFP4. Where a scale is a product that 16 bits cannot hold (the K types), scales are float32. Q6_K has groups of 16,
which MLX has not: it is quantised again, to 8 bits in groups of 32.
"""

from collections.abc import Callable
from dataclasses import dataclass

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

GROUP = 32
SUPER_BLOCK = 256
NIBBLE = np.uint8(4)  # bits

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Quantised:
    """A matrix in MLX's form. weight: uint32 [rows, columns * bits / 32]; scales [rows, columns / 32]; biases likewise,
    None for mxfp4."""

    weight: mx.array
    scales: mx.array
    biases: mx.array | None
    bits: int
    mode: str = "affine"

    def dequantised(self) -> mx.array:
        """The weights, float32 [rows, columns]."""
        scales, biases = self.scales, self.biases
        if biases is not None:
            scales, biases = scales.astype(mx.float32), biases.astype(mx.float32)
        return mx.dequantize(self.weight, scales, biases, GROUP, self.bits, self.mode).astype(mx.float32)


def quantised(kind: str, content: bytes, rows: int, columns: int) -> Quantised:
    """Rows of blocks of a type (Q4_0 ... MXFP4) in MLX's form. Raises KeyError for a type that is not quantised."""
    blocks = np.frombuffer(content, np.uint8).reshape(rows * columns // BLOCK_WEIGHTS[kind], -1)
    return BUILDERS[kind](blocks, rows)


def _halves(blocks: Bytes, start: int) -> Floats:
    """A 16-bit float of each block, [blocks, 1]."""
    return np.ascontiguousarray(blocks[:, start : start + 2]).view(np.float16).astype(np.float32)


def _nibbles(blocks: Bytes) -> Bytes:
    """Bytes [..., n] as [..., 2 n]: all low halves, then all high ones."""
    return np.concatenate([blocks & 15, blocks >> 4], axis=-1)


def _fifth_bits(blocks: Bytes) -> Bytes:
    """Four bytes [..., 4] as 32 bits, moved to the fifth place."""
    return np.unpackbits(blocks, axis=-1, bitorder="little") << NIBBLE


def _packed(values: Bytes, bits: int, rows: int) -> mx.array:
    """Unsigned values in MLX's packing: as one string of bits a row, the lowest first; uint32 [rows, words]."""
    values = values.reshape(rows, -1)
    if bits == 8:
        packed = values
    elif bits == 4:
        packed = values[:, ::2] | (values[:, 1::2] << NIBBLE)
    else:
        unpacked = (values[..., None] >> np.arange(bits, dtype=np.uint8)) & 1
        packed = np.packbits(unpacked.reshape(rows, -1), axis=-1, bitorder="little")
    return mx.array(np.ascontiguousarray(packed).view(np.uint32))


def _affine(values: Bytes, scales: Floats, biases: Floats, bits: int, rows: int) -> Quantised:
    exact = all((part.astype(np.float16).astype(np.float32) == part).all() for part in (scales, biases))
    dtype = np.float16 if exact else np.float32
    return Quantised(
        _packed(values, bits, rows),
        mx.array(scales.reshape(rows, -1).astype(dtype)),
        mx.array(biases.reshape(rows, -1).astype(dtype)),
        bits,
    )


def _q4_0(blocks: Bytes, rows: int) -> Quantised:
    scale = _halves(blocks, 0)
    return _affine(_nibbles(blocks[:, 2:]), scale, -8 * scale, 4, rows)


def _q4_1(blocks: Bytes, rows: int) -> Quantised:
    return _affine(_nibbles(blocks[:, 4:]), _halves(blocks, 0), _halves(blocks, 2), 4, rows)


def _q5_0(blocks: Bytes, rows: int) -> Quantised:
    scale = _halves(blocks, 0)
    return _affine(_nibbles(blocks[:, 6:]) | _fifth_bits(blocks[:, 2:6]), scale, -16 * scale, 5, rows)


def _q5_1(blocks: Bytes, rows: int) -> Quantised:
    values = _nibbles(blocks[:, 8:]) | _fifth_bits(blocks[:, 4:8])
    return _affine(values, _halves(blocks, 0), _halves(blocks, 2), 5, rows)


def _q8_0(blocks: Bytes, rows: int) -> Quantised:
    scale = _halves(blocks, 0)
    return _affine(blocks[:, 2:] ^ np.uint8(128), scale, -128 * scale, 8, rows)  # from signed to unsigned


def _k_scales(packed: Bytes) -> tuple[Floats, Floats]:
    """Twelve bytes [blocks, 12] of eight 6-bit scales and eight 6-bit minima, [blocks, 8] each."""
    scales = np.concatenate([packed[:, :4] & 63, (packed[:, 8:] & 15) | (packed[:, :4] >> 6 << 4)], axis=1)
    minima = np.concatenate([packed[:, 4:8] & 63, (packed[:, 8:] >> 4) | (packed[:, 4:8] >> 6 << 4)], axis=1)
    return scales.astype(np.float32), minima.astype(np.float32)


def _k_values(quarters: Bytes) -> Bytes:
    """128 bytes [blocks, 128] as 256 halves: of every 32 bytes the low halves, then the high ones."""
    return _nibbles(quarters.reshape(len(quarters), 4, 32)).reshape(len(quarters), SUPER_BLOCK)


def _q4_k(blocks: Bytes, rows: int) -> Quantised:
    scales, minima = _k_scales(blocks[:, 4:16])
    return _affine(_k_values(blocks[:, 16:]), _halves(blocks, 0) * scales, -_halves(blocks, 2) * minima, 4, rows)


def _q5_k(blocks: Bytes, rows: int) -> Quantised:
    scales, minima = _k_scales(blocks[:, 4:16])
    high = (blocks[:, None, 16:48] >> np.arange(8, dtype=np.uint8)[:, None]) & np.uint8(1)
    values = _k_values(blocks[:, 48:]) | (high.reshape(len(blocks), SUPER_BLOCK) << NIBBLE)
    return _affine(values, _halves(blocks, 0) * scales, -_halves(blocks, 2) * minima, 5, rows)


def q6_k_weights(blocks: Bytes) -> Floats:
    """The weights of Q6_K's blocks, [blocks, 256]."""
    low = blocks[:, :128].reshape(-1, 2, 64)
    low = np.stack([low & 15, low >> 4], axis=2)  # [blocks, half, nibble, 64]: quarters 0, 1 then 2, 3
    high = blocks[:, 128:192].reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8)[:, None] & 3
    values = (low.reshape(-1, 2, 4, 32) | (high << 4)).astype(np.int8) - np.int8(32)
    scales = blocks[:, 192:208].view(np.int8).astype(np.float32) * _halves(blocks, 208)
    return values.reshape(-1, 16, 16).astype(np.float32).reshape(-1, SUPER_BLOCK) * np.repeat(scales, 16, axis=1)


def _q6_k(blocks: Bytes, rows: int) -> Quantised:
    weights = mx.array(q6_k_weights(blocks).reshape(rows, -1))
    weight, scales, biases = mx.quantize(weights, group_size=GROUP, bits=8)
    return Quantised(weight, scales, biases, 8)


def _mxfp4(blocks: Bytes, rows: int) -> Quantised:
    values = _packed(_nibbles(blocks[:, 1:]), 4, rows)
    return Quantised(values, mx.array(np.ascontiguousarray(blocks[:, 0]).reshape(rows, -1)), None, 4, "mxfp4")


BUILDERS: dict[str, Callable[[Bytes, int], Quantised]] = {
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q8_0": _q8_0,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
    "MXFP4": _mxfp4,
}
BLOCK_WEIGHTS = {kind: SUPER_BLOCK if kind.endswith("_K") else GROUP for kind in BUILDERS}
