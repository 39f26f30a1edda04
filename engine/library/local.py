"""Models made of checkpoints that are on disk already.

models/.adding/mine.json                 of which folder models/mine/ was prepared, or models/mine.partial/ is being
"""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from os.path import lexists
from pathlib import Path
from typing import Any

from engine.library.begun import alone, write_json
from engine.store.manifest import MANIFEST
from engine.store.mlx_folder import is_mlx_folder
from engine.system.documents import try_read
from engine.system.folders import models_folder

ADDING_FOLDER = ".adding"
WEIGHTS = (".safetensors", ".bin")
GGUF = ".gguf"


@dataclass(frozen=True)
class Note:
    """The folder of the checkpoint that a model is or was to be made of."""

    checkpoint: str


def is_checkpoint(folder: Path) -> bool:
    """True for a folder that holds a model as it is published, and for a GGUF file."""
    if folder.suffix.lower() == GGUF:
        return folder.is_file()
    return (folder / "config.json").is_file() and any(any(folder.glob(f"*{suffix}")) for suffix in WEIGHTS)


def add(checkpoint: Path, preparing: Callable[[str, float], None] = lambda *_: None, **options: Any) -> Path:
    """Make a model of a checkpoint's folder or a GGUF file that is on disk already, which stays as it is; returns the
    model's folder: the checkpoint's own where that runs as it is.

    Call it again to go on with what was interrupted. Checkpoints of one name become models `mine`, `mine 2`.
    Raises HubError, CheckpointError, FlashbulbError.
    """
    from engine.prepare.making import Making, make
    from engine.store.others import Use, use_of

    checkpoint = checkpoint.resolve()
    if checkpoint.suffix.lower() != GGUF and use_of(checkpoint).use is Use.AS_IT_IS:
        return checkpoint
    folder = _added(checkpoint)
    number = folder.name.removeprefix(_plain_name(checkpoint)).replace("-", " ")
    with alone(folder.name):
        if _whole(folder):
            return folder
        write_json(note(folder), {"checkpoint": str(checkpoint)})
        try:
            make(checkpoint, folder, Making(**options), checkpoint.name + number, preparing)
        finally:
            if not folder.is_dir() and not _partial(folder).is_dir():  # nothing of it was kept
                note(folder).unlink()
    return folder


def added(checkpoint: Path) -> Path | None:
    """The model that `add` made of a checkpoint; None if there is none."""
    folder = _added(checkpoint.resolve())
    return folder if _whole(folder) else None


def adding() -> list[Path]:
    """Checkpoints on disk that `add` was interrupted with. They may be gone meanwhile."""
    return [checkpoint for checkpoint, folder in _noted() if _partial(folder).is_dir()]


def give_up(checkpoint: Path) -> None:
    """Delete what `add` has made so far of a checkpoint."""
    folder = _added(checkpoint.resolve())
    with alone(folder.name):
        shutil.rmtree(_partial(folder), ignore_errors=True)
        if not folder.is_dir():
            note(folder).unlink(missing_ok=True)


def _whole(folder: Path) -> bool:
    return (folder / MANIFEST).is_file() or is_mlx_folder(folder)


def _added(checkpoint: Path) -> Path:
    """A checkpoint's folder among the models: the one that was begun for it, or else one that is free."""
    known = (folder for noted, folder in _noted() if noted == checkpoint)
    name = _plain_name(checkpoint)
    numbered = (models_folder() / (f"{name}-{number}" if number > 1 else name) for number in count(1))
    free = (folder for folder in numbered if not lexists(folder) and not _partial(folder).exists())
    return next(known, None) or next(free)


def _plain_name(checkpoint: Path) -> str:
    return re.sub(r"[^\w.-]+", "-", checkpoint.name.removesuffix(GGUF), flags=re.ASCII).lstrip(".-") or "model"


def _partial(folder: Path) -> Path:
    """The folder that `prepare` works in."""
    return folder.with_name(f"{folder.name}.partial")


def note(folder: Path) -> Path:
    """The file that says of which checkpoint a folder is being made."""
    return models_folder() / ADDING_FOLDER / f"{folder.name}.json"


def _noted() -> Iterator[tuple[Path, Path]]:
    """Checkpoints, and the folders that are or were to be made of them. A note that cannot be read is none."""
    for path in _note_files():
        if noted := try_read(path, Note):
            yield Path(noted.checkpoint), models_folder() / path.stem


def _note_files() -> list[Path]:
    try:
        return sorted((models_folder() / ADDING_FOLDER).glob("*.json"))
    except OSError:  # a folder that may not be entered
        return []
