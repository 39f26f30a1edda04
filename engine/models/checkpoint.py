"""mlx-lm's model of a checkpoint's folder, whose weights are known but not read yet."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.embedding import Embedding
from mlx.nn.layers.linear import Linear
from mlx.nn.layers.quantized import QuantizedEmbedding, QuantizedLinear
from mlx_lm.models.switch_layers import QuantizedSwitchLinear, SwitchLinear
from mlx_lm.utils import _get_classes, load_model

from engine.errors import CheckpointError, FlashbulbError
from engine.models import streams_neurons
from engine.models.mlx_lm import check_bounds
from engine.text import shown

Arrays = dict[int, tuple[str, mx.array]]
QUANTIZED = (QuantizedLinear, QuantizedEmbedding, QuantizedSwitchLinear)
PLAIN = (Linear, Embedding, SwitchLinear)


@dataclass(frozen=True)
class LazyModel:
    """network: mlx-lm's own model, built and quantised by mlx-lm, nothing of it evaluated. config: its config.json.

    arrays: the files' tensors with their names, by the ids of the arrays that stand for them.
    """

    network: Module
    config: dict[str, Any]
    arrays: Arrays

    def name_of(self, array: mx.array) -> str | None:
        """The name in the files of an array that lies there as it is; None for one that mlx-lm computes.

        What mlx-lm takes over unchanged, perhaps under another name, comes out as the same object.
        """
        name, stored = self.arrays.get(id(array), (None, None))
        return name if stored is array else None


def load_lazily(folder: Path) -> LazyModel:
    """The model of a folder. Raises CheckpointError for one that mlx-lm does not know, or whose weights are others."""
    arrays: Arrays = {}

    def classes(config: dict[str, Any]) -> tuple[Any, Any]:
        check_bounds(config)
        try:
            model_class, args_class = _get_classes(config)
        except ValueError:
            if streams_neurons(config):
                raise CheckpointError(
                    "{folder} has to be prepared before it runs, so that its neurons can be streamed: "
                    "`flashbulb prepare {folder} NAME` does that, and so does adding it under Models.",
                    folder=folder,
                ) from None
            model_type = shown(config.get("model_type"))
            raise CheckpointError("Models of type {model_type} are not supported.", model_type=model_type) from None
        return lambda args: _noting(model_class(args), arrays), args_class

    try:
        network, config = load_model(folder, lazy=True, get_model_classes=classes)
    except FlashbulbError:
        raise
    except (
        Exception,
        SystemExit,
    ) as error:  # whatever an architecture's own code makes of a config that is not its own
        raise CheckpointError(
            "{folder} cannot be loaded: {error}. Download it again, or choose another model.",
            folder=folder,
            error=shown(str(error).removesuffix(".") or type(error).__name__),
        ) from error
    vars(network).pop("sanitize", None)  # it holds every tensor as it was stored
    _check_dtypes(network, folder)
    return LazyModel(network, config, arrays)


def _check_dtypes(network: Module, folder: Path) -> None:
    """Raises CheckpointError for a matrix that is stored in another dtype than it can be multiplied in."""
    for path, module in network.named_modules():
        for name, kinds in _dtypes_of(module).items():
            if name in module and not any(mx.issubdtype(module[name].dtype, kind) for kind in kinds):
                raise CheckpointError(
                    "{folder} cannot be loaded: {tensor} has the dtype {dtype}, in which nothing can be multiplied. "
                    "Download it again, or choose another model.",
                    folder=folder,
                    tensor=shown(f"{path}.{name}"),
                    dtype=str(module[name].dtype).removeprefix("mlx.core."),
                )


def _dtypes_of(module: Any) -> dict[str, tuple[Any, ...]]:
    """By tensor, the dtypes that a linear, an embedding or a container's matrices may have; none of other modules."""
    if isinstance(module, QUANTIZED):
        scales = mx.floating if module.mode == "affine" else mx.uint8
        return {"weight": (mx.uint32,), "scales": (scales,), "biases": (mx.floating,), "bias": (mx.floating,)}
    return {"weight": (mx.floating,), "bias": (mx.floating,)} if isinstance(module, PLAIN) else {}


def module_at(model: Module, path: str | None) -> Any:
    """The module at `path`, which may be a list of modules; None for no path."""
    found: Any = model if path is not None else None
    for name in filter(None, (path or "").split(".")):
        found = found[int(name)] if name.isdigit() else found[name]
    return found


def replace_module(model: Module, path: str, module: Any) -> None:
    """Put a module in the place of the one at `path`."""
    parent, _, name = path.rpartition(".")
    owner = module_at(model, parent)
    owner[int(name) if name.isdigit() else name] = module


def _noting(model: Module, arrays: Arrays) -> Module:
    """The same model, which notes the arrays that it is given before it renames them."""
    sanitize = getattr(model, "sanitize", None)

    def noted(weights: dict[str, mx.array]) -> dict[str, mx.array]:
        arrays.update({id(array): (name, array) for name, array in weights.items()})
        return sanitize(weights) if sanitize else weights

    model.sanitize = noted
    return model
