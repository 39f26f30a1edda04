"""The dense maths of each architecture, one file each, in mlx-lm's form. An FFN is known here only by `ffn(x)`.

A model offers, beside mlx-lm's `layers`: `embed(tokens, offset)`, `logits(x)`, `model(tokens, cache, last_only)`, and
`rename(name)`, its own name of a checkpoint's weight. Each of its layers has an `ffn` with `activation`,
`bundle_parts()` and `biases()`.
"""

import importlib
import importlib.util
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from engine.errors import CheckpointError
from engine.system.documents import parsing
from engine.text import Text, joined, shown

if TYPE_CHECKING:  # MLX takes long to import, and a look at a config does not need it
    from engine.models.base import CausalModel
    from engine.models.config import ModelArgs


@dataclass(frozen=True)
class Family:
    """file: the module here that serves it. key: of the activation in its config. activations: what that may be."""

    file: str
    key: str = "hidden_act"
    activations: tuple[str, ...] = ("relu", "relu2")


ARCHITECTURES = {  # by a config's model_type
    "opt": Family("opt", "activation_function"),
    "arcee": Family("llama"),
    "bamboo": Family("llama", activations=("relu",)),
    "falcon": Family("falcon", "activation"),
    "llama": Family("llama", activations=("relu", "relu2", "fatrelu")),
    "mistral": Family("llama"),
    "nemotron": Family("nemotron"),
    "persimmon": Family("persimmon"),
    "phi": Family("phi"),
    "sparsellama": Family("llama", activations=("relu", "fatrelu")),
}


@lru_cache
def is_supported(model_type: str | None) -> bool:
    """True if a type of models is one of ours or of mlx-lm's, which is not imported for it. A config may still be
    refused."""
    return model_type in ARCHITECTURES or model_type in _types_of_mlx_lm()


def family_of(name: str) -> str:
    """The supported type of models that a model's name begins with, such as qwen3 of Qwen3-30B-A3B; "" for none."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    known = {re.sub(r"[^a-z0-9]", "", each): each for each in {*ARCHITECTURES, *_types_of_mlx_lm()}}
    return max((known[each] for each in known if each and plain.startswith(each)), key=len, default="")


@cache
def _types_of_mlx_lm() -> frozenset[str]:
    """The types of models that mlx-lm has a file for, beside those of what they share and those whose file ends the
    process where another package is missing; without importing it."""
    found = importlib.util.find_spec("mlx_lm")
    places = found.submodule_search_locations if found else None
    files = (path for place in places or () for path in (Path(place) / "models").glob("*.py"))
    texts = {path.stem: path.read_text(encoding="utf-8") for path in files}
    return frozenset(name for name, text in texts.items() if "\nclass Model(" in text and "sys.exit(" not in text)


def architecture(config: dict[str, Any]) -> ModuleType:
    """The module with `Model` and `ModelArgs` for a Hugging Face config. Raises CheckpointError for others."""
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in ARCHITECTURES:
        raise CheckpointError(
            "Models of type {model_type} are not supported. Supported: {known}.",
            model_type=shown(model_type),
            known=", ".join(ARCHITECTURES),
        )
    _check_activation(config, ARCHITECTURES[model_type])
    _check_weights_plain(config)
    return importlib.import_module(f"engine.models.{ARCHITECTURES[model_type].file}")


def streams_neurons(config: dict[str, Any]) -> bool:
    """True if the neurons of such a model can be streamed, so that it can be prepared."""
    try:
        architecture(config)
    except CheckpointError:
        return False
    return True


def _check_activation(config: dict[str, Any], family: Family) -> None:
    activation = config.get(family.key)
    if activation is None:
        raise CheckpointError(
            "config.json does not say which activation the FFN uses: {key} is missing.", key=family.key
        )
    if activation not in family.activations:
        raise CheckpointError(
            "This model's FFN uses {activation}, which leaves no neuron exactly zero, so nothing could stay on flash. "
            "A model with ReLU activations is needed: a {model_type} one with {key} {activations}, as relufied models "
            "such as ReluLLaMA and ProSparse have.",
            activation=shown(activation),
            model_type=config["model_type"],
            key=family.key,
            activations=joined("{before} or {next}", family.activations),
        )


def _check_weights_plain(config: dict[str, Any]) -> None:
    """Neurons are taken out of matrices of numbers; MLX writes `quantization`, others `quantization_config`."""
    quantised = config.get("quantization") or config.get("quantization_config")
    if not quantised:
        return
    bits = quantised.get("bits") if isinstance(quantised, dict) else None
    raise CheckpointError(
        "This checkpoint is quantised ({bits}). Neurons are streamed from weights of 16 or 32 bits: get the original "
        "model that it was made from.",
        bits=Text("{bits} bits", bits=bits) if isinstance(bits, int) else Text("packed weights"),
    )


def build(config: dict[str, Any], path: Path = Path("config.json")) -> "tuple[CausalModel, ModelArgs]":
    """A model with unevaluated random weights, and its ModelArgs. path: of the config, for errors.

    Raises CheckpointError for a config of another architecture, or with values that no model of its has.
    """
    module = architecture(config)
    with parsing(path, CheckpointError, Text("Download the model again.")):
        args = module.ModelArgs.parse(config)
        return module.Model(args), args
