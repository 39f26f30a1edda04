"""Loading: from a model's name or folder to a model that runs within its memory budget."""

import os
from pathlib import Path
from typing import Literal, Protocol

import mlx.core as mx

from engine.errors import PreparedModelError
from engine.inference.checkpoint import CheckpointExecution
from engine.inference.draft_choice import DraftChoice, choose
from engine.inference.model import LoadedModel
from engine.inference.prepared import PreparedExecution
from engine.planning.memory import Sizes
from engine.prepare.assistant import assistant
from engine.settings import Settings
from engine.store.installed import folder_of, folders_named, open_stored
from engine.store.manifest import PreparedModel
from engine.store.mlx_folder import MlxFolder
from engine.store.others import others_named
from engine.system.allocator import give_back_free_memory
from engine.system.built_in import ASSISTANT, STARTER, STARTER_FOLDER, built_in_named
from engine.system.folders import given_path
from engine.system.footprint import footprint
from engine.tokens.templates import renderer


class Progress(Protocol):
    """Told the share that is done of one of the two stages of loading that may take long: preparing, while the built-in
    assistant is converted when it is first wanted; reading, while all bundles are read, where all have room. It may
    raise CancelledError."""

    def __call__(self, share: float, stage: Literal["preparing", "reading"] = "preparing", /) -> None:
        """share: from 0 to 1."""


def _untold(share: float, stage: str = "", /) -> None:
    """Nobody listens."""


def find(model: str | Path, progress: Progress = _untold) -> Path:
    """The folder of a model.

    `starter` and `smollm2` are built in, `owner/name` is one that was downloaded, here or by another tool, `name` the
    one of this name, anything else a path. Raises PreparedModelError where a name could mean several, and what
    converting raises.
    """
    name = str(model)
    built_in = built_in_named(name)
    if built_in == STARTER:
        return STARTER_FOLDER
    if built_in == ASSISTANT:
        return assistant(progress)
    path = given_path(model)
    if installed := folder_of(name):
        return installed
    named = [] if os.path.lexists(path) else folders_named(name) or others_named(name)[:1]
    if len(named) > 1:
        folders = ", ".join(folder.name for folder in named)
        raise PreparedModelError("{name} could mean several models: {folders}. Say which.", name=name, folders=folders)
    return named[0] if named else path


def load(model: str | Path, settings: Settings | None = None, progress: Progress = _untold) -> LoadedModel:
    """Load a prepared model, or a checkpoint in MLX's format as it is.

    Raises PreparedModelError, CheckpointError, BudgetError, ReadError, DiskFullError.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not mx.metal.is_available():
        mx.disable_compile()  # on the CPU it would run a C++ compiler before the first token
    folder, settings = find(model, progress), settings or Settings()
    give_back_free_memory()  # that of imports, which would be used again and not counted
    baseline, execution = footprint(), _execution(open_stored(folder))
    drafting = drafting_with(execution.stored, execution.sizes, settings)
    mx.eval(mx.random.state)  # building draws weights, all of which are replaced: else what they were drawn with stays
    give_back_free_memory()  # that of looking for it
    return LoadedModel(execution, settings, baseline, lambda share: progress(share, "reading"), drafting)


def drafting_with(stored: PreparedModel | MlxFolder, sizes: Sizes, settings: Settings) -> DraftChoice:
    """The draft model that a model would be loaded with. Raises FlashbulbError where one is named that is none."""
    return choose(stored, sizes, settings, find, _execution)


def _execution(stored: PreparedModel | MlxFolder) -> PreparedExecution | CheckpointExecution:
    return PreparedExecution(stored) if isinstance(stored, PreparedModel) else CheckpointExecution(stored)


def release() -> None:
    """The last call of a thread that used a model: its MLX streams end with it, and the helper of chat templates."""
    renderer.close()
    mx.clear_streams()
