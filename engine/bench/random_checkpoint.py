"""A checkpoint in MLX's form, of random weights: a model of a shape, measured before anything is downloaded."""

import json
import os
import struct
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.utils import _get_classes, quantize_model

SHARD_BYTES = 5_000_000_000
BLOCK_BYTES = 1 << 26  # of random bytes, drawn once and written again and again: a drive does not notice
SPREAD = 0.02  # of unquantised weights, and of what quantised ones stand for
SMALL_SCALES = {"mxfp4": 118, "mxfp8": 121, "nvfp4": 0x08}  # bytes: powers of two, and an 8-bit float
NOT_NAN = 0xBF  # bits of an 8-bit float: all but the exponent's first
STORED = {mx.uint32: "U32", mx.uint8: "U8", mx.float32: "F32", mx.float16: "F16", mx.bfloat16: "BF16"}


def lazy_model(config: dict[str, Any], quantization: dict[str, Any] | None) -> tuple[nn.Module, dict[str, Any]]:
    """mlx-lm's model of a config, quantised as it would be by mlx-lm, and its config; nothing is computed, so that it
    takes no memory."""
    model_class, arguments = _get_classes(config)
    model = model_class(arguments.from_dict(config))
    model.set_dtype(mx.bfloat16)
    if quantization is None:
        return model, config
    with redirect_stdout(StringIO()):  # it prints how many bits a weight has
        return quantize_model(model, config, quantization["group_size"], quantization["bits"], quantization["mode"])


def write_random_checkpoint(
    folder: Path,
    config: dict[str, Any],
    quantization: dict[str, Any] | None,
    progress: Callable[[float], None] = lambda _: None,
) -> int:
    """Write a checkpoint to an empty folder; returns the bytes of its weights. Raises OSError (a full disk)."""
    folder.mkdir(parents=True, exist_ok=True)
    model, config = lazy_model(config, quantization)
    tensors = dict(tree_flatten(model.parameters()))
    random = _Random(quantization or {})
    total, written, places = _bytes_of(tensors.values()), 0, dict[str, str]()
    shards = _shards(tensors)
    for number, names in enumerate(shards, 1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        written += _write_shard(folder / name, names, tensors, random)
        places |= dict.fromkeys(names, name)
        progress(written / total)
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(config))
    return total


def checkpoint_bytes(config: dict[str, Any], quantization: dict[str, Any] | None) -> int:
    """Bytes of a checkpoint's weights, nothing written."""
    model, _ = lazy_model(config, quantization)
    return _bytes_of(dict(tree_flatten(model.parameters())).values())


def _bytes_of(tensors: Iterable[mx.array]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _shards(tensors: dict[str, mx.array]) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    room = SHARD_BYTES
    for name, tensor in tensors.items():
        if tensor.nbytes > room and shards[-1]:
            shards.append([])
            room = SHARD_BYTES
        shards[-1].append(name)
        room -= tensor.nbytes
    return shards


class _Random:
    """Random weights that a model can compute with, in the form in which they are stored."""

    def __init__(self, quantization: dict[str, Any]) -> None:
        self._random = np.random.default_rng(0)
        block = np.frombuffer(self._random.bytes(BLOCK_BYTES), np.uint8)
        self._block = (block & NOT_NAN if quantization.get("mode") == "mxfp8" else block).tobytes()
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
            values = np.full(count, 2 * SPREAD / self._levels(name, tensors), np.float32)
        elif part == "biases":
            values = np.full(count, -SPREAD, np.float32)
        elif "norm" in name:
            values = np.ones(count, np.float32)
        else:
            values = self._random.standard_normal(count, np.float32) * np.float32(SPREAD)
        return _stored(values, tensor.dtype)

    def _levels(self, scales: str, tensors: dict[str, mx.array]) -> int:
        """The values that a quantised weight can have: a tensor's bits may differ from the others'."""
        weight = tensors[scales.removesuffix("scales") + "weight"]
        return int(2 ** (32 * weight.shape[-1] // (tensors[scales].shape[-1] * self._group)))


def _stored(values: np.ndarray[Any, np.dtype[np.float32]], dtype: mx.Dtype) -> bytes:
    array = mx.array(values).astype(dtype)
    mx.eval(array)
    return bytes(memoryview(array).cast("B"))  # type: ignore[arg-type] # MLX's arrays are buffers


def _write_shard(path: Path, names: list[str], tensors: dict[str, mx.array], random: _Random) -> int:
    header, end = dict[str, Any](), 0
    for name in names:
        tensor = tensors[name]
        header[name] = {
            "dtype": STORED[tensor.dtype],
            "shape": tensor.shape,
            "data_offsets": [end, end + tensor.nbytes],
        }
        end += tensor.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            values, left = random.values(name, tensors), tensors[name].nbytes
            while left:
                left -= file.write(values[:left])
        file.flush()
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return end
