"""The dense maths of each architecture, one file each, in mlx-lm's form. An FFN is known here only by `ffn(x)`.

A model offers, beside mlx-lm's `layers` and `sanitize`: `embed(tokens, offset)`, `logits(x)` and
`model(tokens, cache, last_only)`; each of its layers has an `ffn` with `activation`, `bundle_parts()` and `biases()`.
"""

import importlib
from types import ModuleType

from engine.errors import CheckpointError

ARCHITECTURES = {"opt": "engine.models.opt"}


def architecture(config: dict) -> ModuleType:
    """The module with `Model` and `ModelArgs` for a Hugging Face config. Raises CheckpointError for others."""
    model_type = config.get("model_type")
    if model_type not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise CheckpointError(f"Models of type {model_type!r} are not supported. Supported: {known}.")
    activation = config.get("activation_function", config.get("hidden_act"))
    if activation != "relu":
        raise CheckpointError(
            f"This model's FFN uses {activation!r}, which leaves no neuron exactly zero, so nothing could stay on "
            "flash. A model with ReLU activations is needed."
        )
    return importlib.import_module(ARCHITECTURES[model_type])


def build(config: dict):
    """A model with unevaluated random weights, and its ModelArgs."""
    module = architecture(config)
    try:
        args = module.ModelArgs.from_dict(config)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"config.json lacks what a model of type {config['model_type']} needs: {error}"
        ) from error
    return module.Model(args), args
