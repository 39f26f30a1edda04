"""Models of the real size whose weights are random: what a token costs, and what preparing costs, is the same."""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from msgspec import to_builtins
from numpy.typing import NDArray

from engine.arrays.dtypes import DTYPES
from engine.errors import FlashbulbError
from engine.models import build
from engine.models.activations import Activation
from engine.models.base import CausalModel
from engine.prepare.checkpoint import COMPANIONS
from engine.sparsity.predictor import weight_shapes
from engine.store.bundle_file import BundleWriter, padded_row_bytes
from engine.store.fitting import parameter_shapes, resident_shapes
from engine.store.manifest import BUNDLES, PREDICTOR, RESIDENT, write_manifest
from engine.store.packing import PackedPart, Packing
from engine.store.reports import LayerReport
from engine.store.safetensors_writer import SafetensorsWriter, forms

BLOCK_NUMBERS = 1 << 24  # random numbers, of which every tensor is made, each from another place
SCALE = 0.02
LATE_LAYERS = 4  # have larger predictors (paper, appendix B.3: rank 1024 against 128 at width 4096)
SILENCE = 1.65  # of its spread, that a neuron's bias is below zero: some 5 % of neurons are active


class RandomNumbers:
    """Small random numbers of a dtype, by MLX's name, as many as wanted; they repeat, at random places."""

    def __init__(self, dtype: str, seed: int = 0):
        self._rng = np.random.default_rng(seed)
        values = (self._rng.random(BLOCK_NUMBERS, np.float32) - np.float32(0.5)) * np.float32(2 * SCALE)
        if dtype == "bfloat16":
            values = (values.view(np.uint32) >> 16).astype(np.uint16)
        self._block = values.astype(np.float16) if dtype == "float16" else values

    def take(self, count: int) -> NDArray[Any]:
        """`count` numbers; bfloat16 as uint16."""
        start = int(self._rng.integers(len(self._block)))
        return np.concatenate([self._block[start:], *[self._block] * (count // BLOCK_NUMBERS + 1)])[:count]


def packing_of(config: dict[str, Any], dtype: str, bits: int | None) -> Packing | None:
    """The form of neurons that are quantised to so many bits; None where they are not."""
    activation, _, width = _ffn(build(config)[0])
    return Packing.of(bits, activation.parts, width, dtype) if bits else None


def model_bytes(config: dict[str, Any], dtype: str, bits: int | None = None) -> tuple[int, int, int]:
    """Bytes of the bundles, of what is resident, and of the predictors that `write_random_model` would write. bits: of
    neurons that are quantised."""
    model, _ = build(config)
    item = DTYPES[dtype].size
    activation, neurons, width = _ffn(model)
    packing = packing_of(config, dtype, bits)
    layer = neurons * padded_row_bytes(len(activation.parts) * width * item)
    layer = packing.bundles(neurons) * packing.row_bytes if packing else layer
    resident, predictors = (
        sum(math.prod(shape) for shape in shapes.values())
        for shapes in (resident_shapes(model), weight_shapes(_layers(model), width))
    )
    return len(model.layers) * layer, resident * item, predictors * item


def write_bundles(path: Path, config: dict[str, Any], dtype: str, bits: int | None = None) -> None:
    """Only the bundle file. bits: of neurons that are quantised."""
    model, _ = build(config)
    activation, neurons, width = _ffn(model)
    numbers = RandomNumbers(dtype)
    if packing := packing_of(config, dtype, bits):
        _write_packed(path, packing, numbers, [neurons] * len(model.layers))
        return
    with BundleWriter(path, dtype, width, activation.parts, [neurons] * len(model.layers)) as writer:
        for _ in model.layers:
            writer.write(numbers.take(neurons * len(activation.parts) * width).reshape(neurons, -1))


def _write_packed(path: Path, packing: Packing, numbers: RandomNumbers, neurons: list[int]) -> None:
    """Quantised neurons: a block of them, which repeat in another order in every layer."""
    block = max(1, min(max(neurons), BLOCK_NUMBERS // packing.width))
    rows = (numbers.take(block * packing.width).reshape(block, -1) for _ in packing.parts)
    parts = [PackedPart.of(mx.array(part).view(DTYPES[packing.dtype]), packing.form) for part in rows]
    rng = np.random.default_rng(0)
    with BundleWriter(path, packing.dtype, packing.width, packing.parts, neurons, packing=packing) as writer:
        for count in neurons:
            writer.write_packed(parts, rng.integers(0, block, count))


def write_random_model(folder: Path, name: str, config: dict[str, Any], dtype: str, selected: float) -> None:
    """A prepared model. selected: share of neurons that its predictors are said to name."""
    model, _ = build(config)
    numbers, layers = RandomNumbers(dtype, seed=1), _layers(model, selected)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    write_bundles(folder / BUNDLES, config, dtype)
    for file, shapes in (
        (RESIDENT, resident_shapes(model)),
        (PREDICTOR, weight_shapes(layers, _ffn(model)[2])),
    ):
        _write(folder / file, dtype, shapes, lambda _, shape: numbers.take(math.prod(shape)))
    content = {"name": name, "source": {}, "architecture": config["model_type"], "dtype": dtype}
    content |= {"neuron_order": "checkpoint", "calibration": None, "layers": to_builtins(layers)}
    write_manifest(folder, content)


def write_random_checkpoint(folder: Path, config: dict[str, Any], dtype: str, tokenizer: Path) -> None:
    """A checkpoint, for `prepare`, of an FFN with biases: weights under the model's own names.

    Its neurons are active for a twentieth of the tokens. That they depend on some directions of the input more than on
    others, as in trained models, is what predictors live on. tokenizer: a folder whose tokenizer it gets. Raises
    FlashbulbError for a folder that is there already, or cannot be written.
    """
    model, _ = build(config)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise FlashbulbError(
            "{folder} cannot be made ({reason}). Give a new folder.", folder=folder, reason=error.strerror or error
        ) from error
    for name in COMPANIONS:
        if (tokenizer / name).is_file():
            shutil.copyfile(tokenizer / name, folder / name)
    (folder / "config.json").write_text(json.dumps(config))
    _write(folder / "model.safetensors", dtype, parameter_shapes(model), _seldom_active(model, dtype))


def _seldom_active(model: CausalModel, dtype: str) -> Callable[[str, tuple[int, ...]], mx.array]:
    """The values of a weight, by its name and shape, with which neurons are active for a twentieth of the tokens."""
    rng, (activation, _, width) = np.random.default_rng(0), _ffn(model)
    first = f".ffn.{activation.parts[0]}"
    bias = -SILENCE * np.sqrt(sum(1 / (1 + i) for i in range(width)))

    def values(name: str, shape: tuple[int, ...]) -> mx.array:
        directions = 1 / np.sqrt(1 + np.arange(shape[-1], dtype=np.float32))
        array: NDArray[Any]
        if name.endswith("norm.weight"):
            array = np.ones(shape, np.float32)
        elif name.endswith(f"{first}.weight"):
            array = rng.standard_normal(shape, np.float32) * directions
        elif name.endswith("bias"):
            array = np.full(shape, bias if name.endswith(f"{first}.bias") else 0, np.float32)
        else:
            array = rng.standard_normal(shape, np.float32) / np.float32(math.sqrt(shape[-1]))
        return mx.array(array).astype(DTYPES[dtype])

    return values


def _ffn(model: CausalModel) -> tuple[Activation, int, int]:
    """Activation, neurons and width of the layers' FFNs."""
    ffn = model.layers[0].ffn
    neurons, width = ffn.bundle_parts()[0].shape
    return ffn.activation, neurons, width


def _layers(model: CausalModel, selected: float = 1.0) -> list[LayerReport]:
    """Reports of layers whose predictors name just the share `selected` of the neurons."""
    layers, (_, neurons, width) = len(model.layers), _ffn(model)
    early = max(1, layers - LATE_LAYERS)
    ranks = [max(1, width // 32)] * early + [max(1, width // 4)] * (layers - early)
    return [LayerReport(neurons, 1 - selected, rank, threshold=0.5, recall=1.0, false_positives=0.0) for rank in ranks]


def _write(
    path: Path, dtype: str, shapes: Mapping[str, tuple[int, ...]], values: Callable[[str, tuple[int, ...]], Any]
) -> None:
    """A safetensors file of values(name, shape), one after the other: no memory for all of them is needed."""
    with SafetensorsWriter(path, forms(dtype, shapes)) as file:
        for name, shape in shapes.items():
            file.write(values(name, shape))


def random_input(width: int, dtype: mx.Dtype) -> mx.array:
    """An FFN's input for one token, [1, 1, width]."""
    return mx.array(np.random.default_rng(2).standard_normal((1, 1, width)).astype(np.float32)).astype(dtype)
