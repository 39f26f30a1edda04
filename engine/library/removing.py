"""Removing models, and what a removal that was killed has left.

models/.removing/    folders that are being deleted: moved here first, in one step, so that nothing half deleted is ever
                     taken for a model, and what is left of it is found and deleted the next time
"""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from os.path import lexists
from pathlib import Path
from tempfile import mkdtemp

from engine.errors import HubError
from engine.library.addresses import is_repository
from engine.library.begun import DOWNLOADS_FOLDER, alone, read_plan, unfinished, work_folder
from engine.library.local import note
from engine.store.installed import Installed, installed, repository_name
from engine.store.manifest import BUNDLES, MANIFEST, ORDER, PREDICTOR, RESIDENT
from engine.system.built_in import built_in_named
from engine.system.folders import models_folder
from engine.text import shown

REMOVING_FOLDER = ".removing"
PREPARED_FILES = (BUNDLES, RESIDENT, PREDICTOR, ORDER)


@dataclass(frozen=True)
class Leftover:
    """A part of a model that no manifest and no plan tells of: of a removal that was killed, or damaged."""

    repo: str
    folder: Path
    bytes: int


def remove(repo: str) -> int:
    """Delete a model and what was downloaded of it, also what is left of one; returns the bytes that are free now.

    Of a model that is linked, only the link goes. Raises HubError if there is nothing, and where it cannot be deleted.
    """
    finish_removals()
    found = [model for model in installed() if model.repo == repo]
    left = [leftover for leftover in leftovers() if leftover.repo == repo]
    work = work_folder(repo)
    if not is_repository(repo) or not (found or left or work.is_dir()):
        if built_in_named(repo):
            raise HubError("{repo} is built in, and stays.", repo=repo)
        raise HubError("{repo} is not on disk. `flashbulb models` lists what is.", repo=shown(repo))
    freed = sum(u.done for u in unfinished() if u.repo == repo) + sum(leftover.bytes for leftover in left)
    with alone(repo):
        for model in found:
            freed += _remove(model)
        for leftover in left:
            discard(leftover.folder)
        discard(work)
    return freed


def _remove(model: Installed) -> int:
    linked = model.folder.is_symlink()
    discard(model.folder)
    note(model.folder).unlink(missing_ok=True)
    return 0 if linked else model.bytes


def discard(folder: Path) -> None:
    """Delete a folder in the models folder: it is gone in one step. Of a link, only the link goes. Raises OSError."""
    if folder.is_symlink():
        folder.unlink()
    elif lexists(folder):
        (models_folder() / REMOVING_FOLDER).mkdir(parents=True, exist_ok=True)
        place = Path(mkdtemp(dir=models_folder() / REMOVING_FOLDER))
        folder.rename(place / folder.name)
        shutil.rmtree(place, ignore_errors=True)
        _remove_if_empty(place.parent)


def on_disk(name: str) -> str:
    """The model on disk that a name without an owner means, `opt-125m`; any other name as it is."""
    repos = {m.repo for m in installed()} | {u.repo for u in unfinished()} | {rest.repo for rest in leftovers()}
    found = [repo for repo in repos if repo.rpartition("/")[2].lower() == name.lower()]
    return found[0] if len(found) == 1 and name not in repos else name


def finish_removals() -> None:
    """Delete what a removal that was killed has moved away."""
    place = models_folder() / REMOVING_FOLDER
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)


def leftovers() -> list[Leftover]:
    """The parts of models that nothing else lists, by name."""
    known = {model.folder for model in installed()}
    folders = [folder for folder in _folders(models_folder()) if folder not in known and _was_prepared(folder)]
    folders += [folder for folder in _folders(models_folder() / DOWNLOADS_FOLDER) if read_plan(folder) is None]
    return [Leftover(repository_name(folder.name), folder, _size(folder)) for folder in folders]


def make_way(folder: Path) -> None:
    """Clear a model's place of what is left of another one. Raises HubError if something else is there."""
    if _was_prepared(folder) and not folder.is_symlink():
        discard(folder)
    if lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise HubError("{folder} is in the way. Move it elsewhere.", folder=folder)


def _folders(parent: Path) -> list[Path]:
    """The folders in a folder, by name, without hidden ones and links."""
    try:
        return sorted(p for p in parent.iterdir() if p.is_dir() and not p.is_symlink() and not p.name.startswith("."))
    except OSError:
        return []


def _was_prepared(folder: Path) -> bool:
    """True for a folder that holds files of a prepared model, and is not being prepared."""
    with suppress(OSError):
        return not folder.name.endswith(".partial") and any(
            (folder / name).is_file() for name in (*PREPARED_FILES, MANIFEST)
        )
    return False


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
