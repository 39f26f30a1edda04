"""Loading: from a model's name or folder to a model that runs within its memory budget."""

import os
from pathlib import Path

import mlx.core as mx

from engine.inference.model import LoadedModel
from engine.settings import Settings
from engine.store.installed import folder_of
from engine.store.manifest import PreparedModel
from engine.system.folders import given_path
from engine.tokens.templates import renderer

STARTER = Path(__file__).parents[2] / "resources" / "starter" / "model"


def find(model: str | Path) -> Path:
    """The folder of a prepared model: `starter` is the built-in one, `owner/name` one that was downloaded."""
    return STARTER if str(model) == "starter" else folder_of(str(model)) or given_path(model)


def load(model: str | Path, settings: Settings | None = None) -> LoadedModel:
    """Load a prepared model. Raises PreparedModelError, BudgetError, ReadError."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not mx.metal.is_available():
        mx.disable_compile()  # on the CPU it would run a C++ compiler before the first token
    return LoadedModel(PreparedModel.open(find(model)), settings or Settings())


def release() -> None:
    """The last call of a thread that used a model: its MLX streams end with it, and the helper of chat templates."""
    renderer.close()
    mx.clear_streams()
