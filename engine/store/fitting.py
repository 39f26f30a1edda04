"""The model that a prepared model's config describes, and the check that its files are that model's."""

from collections.abc import Mapping
from typing import Any

from mlx.utils import tree_flatten

from engine.arrays.dtypes import DTYPES
from engine.errors import PreparedModelError
from engine.models import build
from engine.models.base import CausalModel
from engine.models.config import ModelArgs
from engine.models.ffn import DenseFFN
from engine.sparsity.predictor import weight_shapes
from engine.store.manifest import BUNDLES, PREDICTOR, RESIDENT, PreparedModel
from engine.store.stored_tensor import StoredTensor
from engine.system.documents import PREPARE_AGAIN
from engine.text import shown

Shapes = Mapping[str, tuple[int, ...]]


def build_prepared(prepared: PreparedModel) -> tuple[CausalModel, ModelArgs]:
    """A model with unevaluated random weights, and its ModelArgs.

    Raises CheckpointError for a config that describes none, PreparedModelError where a file holds another model's
    weights.
    """
    model, args = build(prepared.config, prepared.folder / "config.json")
    _check_bundles(prepared, model)
    _check_weights(prepared, RESIDENT, prepared.resident, resident_shapes(model))
    _check_weights(
        prepared, PREDICTOR, prepared.predictors, weight_shapes(prepared.layer_reports, prepared.bundles.width)
    )
    return model, args


def parameter_shapes(model: CausalModel) -> dict[str, tuple[int, ...]]:
    """The shapes of all of a model's weights, by name."""
    parameters: Any = tree_flatten(model.parameters())
    return {name: weight.shape for name, weight in parameters}


def resident_shapes(model: CausalModel) -> dict[str, tuple[int, ...]]:
    """The shapes of what resident.safetensors holds: all but the FFNs' matrices, whose biases have names of ours."""
    shapes = {name: shape for name, shape in parameter_shapes(model).items() if ".ffn." not in name}
    for i, layer in enumerate(model.layers):
        ffn: DenseFFN = layer.ffn
        named = {"input_bias": ffn.biases()[0], "down_bias": ffn.biases()[1]}
        shapes |= {f"ffn.{i}.{name}": bias.shape for name, bias in named.items() if bias is not None}
    return shapes


def _check_weights(prepared: PreparedModel, file: str, found: Mapping[str, StoredTensor], expected: Shapes) -> None:
    """Raises PreparedModelError unless a file has just the tensors that are needed, of dtypes that are read."""
    odd = list(found.keys() ^ expected.keys())
    odd += [name for name in found.keys() & expected.keys() if found[name].shape != tuple(expected[name])]
    odd += [name for name, tensor in found.items() if tensor.dtype not in DTYPES]
    if odd:
        raise _other(prepared, file, min(odd))


def _check_bundles(prepared: PreparedModel, model: CausalModel) -> None:
    bundles, layers = prepared.bundles, model.layers
    if not len(bundles.layers) == len(layers) == len(prepared.layer_reports):
        raise _other(prepared, BUNDLES, "layers")
    for i, (place, layer, report) in enumerate(zip(bundles.layers, layers, prepared.layer_reports, strict=True)):
        first, *_ = layer.ffn.bundle_parts()
        wanted = (layer.ffn.activation.parts, first.shape, -(-report.neurons // bundles.neurons))
        if wanted != (bundles.parts, (report.neurons, bundles.width), place.bundles):
            raise _other(prepared, BUNDLES, f"layers.{i}")


def _other(prepared: PreparedModel, file: str, name: str) -> PreparedModelError:
    return PreparedModelError(
        "{path} belongs to another model than config.json, or was changed: see {name}. {again}",
        path=prepared.folder / file,
        name=shown(name),
        again=PREPARE_AGAIN,
    )
