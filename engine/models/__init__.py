"""The dense maths of each architecture, one file each, in mlx-lm's form. An FFN is known here only by `ffn(x)`.

A model offers, beside mlx-lm's `layers`: `embed(tokens, offset)`, `logits(x)`, `model(tokens, cache, last_only)`, and
`rename(name)`, its own name of a checkpoint's weight. Each of its layers has an `ffn` with `activation`,
`bundle_parts()` and `biases()`.
"""

import importlib
from dataclasses import dataclass
from types import ModuleType

from engine.errors import CheckpointError
from engine.text import joined


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


def architecture(config: dict) -> ModuleType:
    """The module with `Model` and `ModelArgs` for a Hugging Face config. Raises CheckpointError for others."""
    model_type = config.get("model_type")
    if model_type not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise CheckpointError(
            "Models of type {model_type} are not supported. Supported: {known}.",
            model_type=repr(model_type),
            known=known,
        )
    family = ARCHITECTURES[model_type]
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
            activation=repr(activation),
            model_type=model_type,
            key=family.key,
            activations=joined("{before} or {next}", family.activations),
        )
    return importlib.import_module(f"engine.models.{family.file}")


def build(config: dict):
    """A model with unevaluated random weights, and its ModelArgs."""
    module = architecture(config)
    try:
        args = module.ModelArgs.from_dict(config)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            "config.json lacks what a model of type {model_type} needs: {error}",
            model_type=config["model_type"],
            error=error,
        ) from error
    return module.Model(args), args
