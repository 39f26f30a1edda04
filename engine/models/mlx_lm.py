"""mlx-lm's own architectures, built from a config alone: nothing is evaluated, so that no size takes memory or time."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.nn import quantize
from mlx.nn.layers.base import Module
from mlx_lm.models.switch_layers import SwitchGLU, SwitchMLP
from mlx_lm.utils import MODEL_ARCHITECTURE_REMAPPING, MODEL_REMAPPING

from engine.arrays.dtypes import DTYPES
from engine.errors import CheckpointError
from engine.system.documents import parsing
from engine.text import Text, shown

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_LAYERS, MAX_NUMBER = 1_000, 10**12  # some ten times what exists: each layer is built
LAYER_COUNT = re.compile(r"layers|(?<!per_)layer$|blocks$|depth$")  # names of numbers of what is built one by one
MODES = {"affine": (64, 4), "mxfp4": (32, 4), "nvfp4": (16, 4), "mxfp8": (32, 8)}  # usual group size and bits
PACKED_METHODS = ("mxfp4", "mxfp8")  # Hugging Face's quant_method whose weights stay packed as they are


def build_mlx_lm(config: dict[str, Any], path: Path = Path("config.json")) -> Module:
    """mlx-lm's model of a config, quantised as the config says, with unevaluated random weights of the dtype that they
    are stored in. path: of the config, for errors.

    Raises CheckpointError for an architecture that mlx-lm does not have, and for values that make no model.
    """
    architecture = _architecture(config)
    with parsing(path, CheckpointError, Text("Download the model again.")):
        check_bounds(config)
        model: Module = architecture.Model(architecture.ModelArgs.from_dict(dict(config)))
        model.set_dtype(DTYPES.get(stored_name(config), mx.bfloat16))
        if quantisation := quantisation_of(config):
            _quantise(model, quantisation)
    return model


def build_quantised(config: dict[str, Any], quantisation: dict[str, Any] | None) -> tuple[Module, dict[str, Any]]:
    """A model of a config, as `build_mlx_lm` builds it, quantised as mlx-lm would quantise it, and the config that it
    then has. Raises CheckpointError."""
    model = build_mlx_lm(config)
    return model, config | {"quantization": _quantise(model, quantisation)} if quantisation else config


def stored_name(config: dict[str, Any]) -> str:
    """The name of the dtype that a config says its weights have; bfloat16 where it says nothing."""
    text = config.get("text_config")
    for part in (config, text if isinstance(text, dict) else {}):
        if isinstance(name := part.get("dtype") or part.get("torch_dtype"), str):
            return name.removeprefix("torch.")
    return "bfloat16"


def quantisation_of(config: dict[str, Any]) -> dict[str, Any] | None:
    """The config's quantisation in MLX's form: group_size, bits, mode, and exceptions by a module's path."""
    text = config.get("text_config")
    for part in (config, text if isinstance(text, dict) else {}):
        if isinstance(found := part.get("quantization"), dict):
            return found
        method = part.get("quantization_config")
        if isinstance(method, dict) and method.get("quant_method") in PACKED_METHODS:
            group_size, bits = MODES[method["quant_method"]]
            return {"group_size": group_size, "bits": bits, "mode": method["quant_method"], "experts_only": True}
    return None


def containers(model: Module) -> Iterator[tuple[str, Module]]:
    """Every container of experts by its path, in the model's order."""
    for path, module in reversed(model.named_modules()):  # mlx names the last first
        if isinstance(module, SwitchGLU | SwitchMLP):
            yield path, module


def _architecture(config: dict[str, Any]) -> Any:
    """mlx-lm's module, as mlx-lm itself finds it; never a file of the model's repository."""
    model_type, known = config.get("model_type"), config.get("architectures") or ()
    if isinstance(model_type, str) and NAME.fullmatch(model_type):
        remapped = (MODEL_ARCHITECTURE_REMAPPING.get((model_type, name)) for name in known if isinstance(name, str))
        name = next(filter(None, remapped), None) or MODEL_REMAPPING.get(model_type, model_type)
        try:
            return importlib.import_module(f"mlx_lm.models.{name}")
        except (ImportError, SystemExit):  # a file of mlx-lm's that lacks another package ends the process
            pass
    raise CheckpointError("Models of type {model_type} are not supported.", model_type=shown(model_type))


def check_bounds(value: Any, key: str = "") -> None:
    """Sizes decide how much is built. Raises CheckpointError for those that no model has, wherever in a config."""
    if isinstance(value, dict):
        for name, inner in value.items():
            check_bounds(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            check_bounds(inner)
    elif isinstance(value, int) and abs(value) > (MAX_LAYERS if LAYER_COUNT.search(key) else MAX_NUMBER):
        raise CheckpointError("config.json has {value} for {key}, which no model has.", value=value, key=shown(key))


def _quantise(model: Module, quantisation: dict[str, Any]) -> dict[str, Any]:
    """Give a model quantised layers; returns the quantisation with what a config says of each that is an exception."""
    mode = quantisation.get("mode") or "affine"
    usual_size, usual_bits = MODES[mode]
    size, bits = quantisation.get("group_size") or usual_size, quantisation.get("bits") or usual_bits
    finer, described = getattr(model, "quant_predicate", None), {"group_size": size, "bits": bits, "mode": mode}

    def chosen(path: str, module: Module) -> bool | dict[str, Any]:
        form = form_of(path, module)
        if isinstance(form, dict):
            described[path] = form
        return form

    def form_of(path: str, module: Module) -> bool | dict[str, Any]:
        if path in quantisation:
            return quantisation[path]
        if not hasattr(module, "to_quantized") or module.weight.shape[-1] % size:
            return False
        if quantisation.get("experts_only"):
            return module.weight.ndim == 3
        return finer(path, module) if finer else True

    quantize(model, size, bits, mode=mode, class_predicate=chosen)
    return described
