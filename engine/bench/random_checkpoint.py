"""A checkpoint in MLX's form, of random weights: a model of a shape, measured before anything is downloaded."""

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from engine.bench.machine import forget_cached
from engine.models.mlx_lm import build_quantised
from engine.store.safetensors_writer import SafetensorsWriter, in_shards, write_index

SHARD_BYTES = 5_000_000_000
BLOCK_BYTES = 1 << 26  # of random bytes, drawn once and written again and again: a drive does not notice
SPREAD = 0.02  # of unquantised weights, and of what quantised ones stand for
SMALL_SCALES = {"mxfp4": 118, "mxfp8": 121, "nvfp4": 0x08}  # bytes: powers of two, and an 8-bit float
NAN_FREE_MASK = 0xBF  # bits of an 8-bit float: all but the exponent's first


def write_random_checkpoint(
    folder: Path,
    config: dict[str, Any],
    quantization: dict[str, Any] | None,
    progress: Callable[[float], None] = lambda _: None,
) -> int:
    """Write a checkpoint to an empty folder; returns the bytes of its weights. Raises OSError (a full disk)."""
    folder.mkdir(parents=True, exist_ok=True)
    model, config = build_quantised(config, quantization)
    tensors = dict(tree_flatten(model.parameters()))
    random = _Random(quantization or {})
    total, written, shards = _bytes_of(tensors.values()), 0, in_shards(tensors, SHARD_BYTES)
    for file, names in shards.items():
        written += _write_shard(folder / file, names, tensors, random)
        progress(written / total)
    write_index(folder, {name: file for file, names in shards.items() for name in names}, total)
    (folder / "config.json").write_text(json.dumps(config))
    return total


def checkpoint_bytes(config: dict[str, Any], quantization: dict[str, Any] | None) -> int:
    """Bytes of a checkpoint's weights, nothing written."""
    model, _ = build_quantised(config, quantization)
    return _bytes_of(dict(tree_flatten(model.parameters())).values())


def _bytes_of(tensors: Iterable[mx.array]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


class _Random:
    """Random weights that a model can compute with, in the form in which they are stored."""

    def __init__(self, quantization: dict[str, Any]) -> None:
        self._random = np.random.default_rng(0)
        block = np.frombuffer(self._random.bytes(BLOCK_BYTES), np.uint8)
        self._block = (block & NAN_FREE_MASK if quantization.get("mode") == "mxfp8" else block).tobytes()
        self._scale = SMALL_SCALES.get(quantization.get("mode", ""), 0)
        self._group = quantization.get("group_size", 1)

    def values(self, name: str, tensors: dict[str, mx.array]) -> bytes:
        """The bytes of a tensor, or as many as are to be repeated."""
        tensor, part = tensors[name], name.rsplit(".", 1)[-1]
        count = min(tensor.size, BLOCK_BYTES // tensor.itemsize)
        if tensor.dtype == mx.uint32:
            return self._block
        if tensor.dtype == mx.uint8:
            return bytes([self._scale]) * count
        if part == "scales":
            values = np.full(count, self._step(name, tensors), np.float32)
        elif part == "biases":
            step, levels = self._step(name, tensors), self._levels(name, tensors)
            values = np.full(count, -step * (levels - 1) / 2, np.float32)
        elif "norm" in name:
            values = np.ones(count, np.float32)
        else:
            values = self._random.standard_normal(count, np.float32) * np.float32(SPREAD)
        return _stored(values, tensor.dtype)

    def _step(self, name: str, tensors: dict[str, mx.array]) -> float:
        """From one value of a quantised weight to the next: a power of two, so that 16 bits round nothing and the mean
        of all values is 0. With any other, all tokens come to look alike, and choose the same experts."""
        return float(2 ** round(math.log2(2 * SPREAD / self._levels(name, tensors))))

    def _levels(self, name: str, tensors: dict[str, mx.array]) -> int:
        """The number of values that a quantised weight can have: a tensor's bits may differ from the others'."""
        linear = name.rpartition(".")[0]
        weight, scales = tensors[f"{linear}.weight"], tensors[f"{linear}.scales"]
        return int(2 ** (32 * weight.shape[-1] // (scales.shape[-1] * self._group)))


def _stored(values: np.ndarray[Any, np.dtype[np.float32]], dtype: mx.Dtype) -> bytes:
    array = mx.array(values).astype(dtype)
    mx.eval(array)
    return bytes(memoryview(array).cast("B"))  # type: ignore[arg-type] # MLX's arrays are buffers


def _write_shard(path: Path, names: list[str], tensors: dict[str, mx.array], random: _Random) -> int:
    """Write a file of random tensors, which no cache keeps where the system can be asked; returns their bytes."""
    shard = {name: tensors[name] for name in names}
    with SafetensorsWriter(path, shard) as file:
        for name, tensor in shard.items():
            values, left = random.values(name, tensors), tensor.nbytes
            while left:
                left -= file.write(values[:left])
    forget_cached(path)
    return _bytes_of(shard.values())
