"""Prepared models of the real size whose weights are random: what a token costs does not depend on their values."""

import json
import math
import struct
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from engine.flash.bundles import BundleWriter, padded_row_bytes
from engine.models import build
from engine.prepared import BUNDLES, PREDICTOR, RESIDENT, write_manifest

DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
ITEM = {"F32": 4, "BF16": 2, "F16": 2}
BLOCK = 1 << 24  # random numbers, of which every tensor is made, each from another place
SCALE = 0.02
LATE_LAYERS = 4  # have larger predictors (paper, appendix B.3: rank 1024 against 128 at width 4096)


class RandomNumbers:
    """Small random numbers of a dtype, as many as wanted; they repeat, at random places."""

    def __init__(self, dtype: str, seed: int = 0):
        self._rng = np.random.default_rng(seed)
        values = (self._rng.random(BLOCK, np.float32) - np.float32(0.5)) * np.float32(2 * SCALE)
        if dtype == "BF16":
            values = (values.view(np.uint32) >> 16).astype(np.uint16)
        self._block = values.astype(np.float16) if dtype == "F16" else values

    def take(self, count: int) -> np.ndarray:
        """`count` numbers; bfloat16 as uint16."""
        start = int(self._rng.integers(len(self._block)))
        return np.concatenate([self._block[start:], *[self._block] * (count // BLOCK + 1)])[:count]


def model_bytes(config: dict, dtype: str) -> tuple[int, int, int]:
    """Bytes of the bundles, of what is resident, and of the predictors that `write_random_model` would write."""
    model, _ = build(config)
    item = ITEM[DTYPES[dtype]]
    activation, neurons, width = _ffn(model)
    rows = padded_row_bytes(len(activation.parts) * width * item)
    resident = sum(math.prod(shape) for shape in _resident_shapes(model).values())
    predictors = sum(rank * (width + neurons) + neurons for rank in _ranks(len(model.layers), width))
    return len(model.layers) * neurons * rows, resident * item, predictors * item


def write_bundles(path: Path, config: dict, dtype: str) -> None:
    """Only the bundle file."""
    model, _ = build(config)
    activation, neurons, width = _ffn(model)
    numbers = RandomNumbers(DTYPES[dtype])
    with BundleWriter(path, DTYPES[dtype], width, activation.parts, [neurons] * len(model.layers)) as writer:
        for _ in model.layers:
            writer.write(numbers.take(neurons * len(activation.parts) * width).reshape(neurons, -1))


def write_random_model(folder: Path, name: str, config: dict, dtype: str, selected: float) -> None:
    """A prepared model. selected: share of neurons that its predictors are said to name."""
    model, _ = build(config)
    _, neurons, width = _ffn(model)
    stored, ranks = DTYPES[dtype], _ranks(len(model.layers), width)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    write_bundles(folder / BUNDLES, config, dtype)
    _write(folder / RESIDENT, _resident_shapes(model), stored)
    shapes = {}
    for i, rank in enumerate(ranks):
        parts = {"down": (rank, width), "up": (neurons, rank), "bias": (neurons,)}
        shapes |= {f"layers.{i}.{part}": shape for part, shape in parts.items()}
    _write(folder / PREDICTOR, shapes, stored)
    report = {"neurons": neurons, "sparsity": 1 - selected, "recall": 1.0, "false_positives": 0.0, "threshold": 0.5}
    layers = [report | {"rank": rank} for rank in ranks]
    content = {"name": name, "source": {}, "architecture": config["model_type"], "dtype": dtype}
    write_manifest(folder, content | {"neuron_order": "checkpoint", "calibration": None, "layers": layers})


def _ffn(model) -> tuple:
    """Activation, neurons and width of the layers' FFNs."""
    ffn = model.layers[0].ffn
    neurons, width = ffn.bundle_parts()[0].shape
    return ffn.activation, neurons, width


def _ranks(layers: int, width: int) -> list[int]:
    early = max(1, layers - LATE_LAYERS)
    return [max(1, width // 32)] * early + [max(1, width // 4)] * (layers - early)


def _resident_shapes(model) -> dict[str, tuple[int, ...]]:
    """Shapes by name of what stays in memory, as `prepare` stores it."""
    shapes = {n: w.shape for n, w in tree_flatten(model.parameters()) if ".ffn." not in n}
    for i, layer in enumerate(model.layers):
        for name, bias in zip(("input_bias", "down_bias"), layer.ffn.biases(), strict=True):
            if bias is not None:
                shapes[f"ffn.{i}.{name}"] = bias.shape
    return shapes


def _write(path: Path, shapes: dict[str, tuple[int, ...]], dtype: str) -> None:
    """A safetensors file of random tensors, written one after the other: no memory for all of them is needed."""
    header, at = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape) * ITEM[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    numbers = RandomNumbers(dtype, seed=1)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape in shapes.values():
            file.write(numbers.take(math.prod(shape)).data)


def random_input(width: int, dtype: mx.Dtype) -> mx.array:
    """An FFN's input for one token, [1, 1, width]."""
    return mx.array(np.random.default_rng(2).standard_normal((1, 1, width)).astype(np.float32)).astype(dtype)
