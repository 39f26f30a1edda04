"""Models in the models folder, which are ready to load.

models/facebook--opt-125m/               a prepared model
models/mlx-community--Qwen3-4B-4bit/     a checkpoint that runs as it was downloaded, or was converted
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.errors import PreparedModelError
from engine.store.manifest import MANIFEST, Contents, PreparedModel
from engine.store.mlx_folder import MlxFolder, is_mlx_folder
from engine.system.documents import try_read
from engine.system.folders import models_folder
from engine.text import shown

DOWNLOAD_FILE = "download.json"  # of a download: written last
PARTIAL_SUFFIX = ".partial"  # the ending of a folder in which a model is being made


@dataclass(frozen=True)
class Installed:
    """A model in the models folder. bytes: of all its files. prepared: whether it is one of neurons; others run as they
    are."""

    repo: str
    revision: str | None
    folder: Path
    bytes: int
    prepared: bool = True


@dataclass(frozen=True)
class Download:
    """The note of a download beside its files, once it is whole."""

    repository: str
    revision: str | None = None


def open_stored(folder: Path, verify: bool = False) -> PreparedModel | MlxFolder:
    """A model in a folder, of whichever kind. verify: whether every byte of a prepared model is checked against its
    manifest; checkpoints have `verify_checkpoint`. Raises PreparedModelError, CheckpointError.
    """
    try:
        return MlxFolder.open(folder) if is_mlx_folder(folder) else PreparedModel.open(folder, verify=verify)
    except OSError as error:  # a name that no disk knows, or a folder that may not be entered
        raise PreparedModelError(
            "{folder} cannot be opened: {reason}.", folder=shown(str(folder)), reason=error.strerror
        ) from error


def installed() -> list[Installed]:
    """The models that are ready to load, by name. A folder that is damaged, or holds something else, is none."""
    found = (_installed(folder) for folder in _folders())
    return [model for model in found if model is not None]


def _installed(folder: Path) -> Installed | None:
    if (folder / MANIFEST).is_file():
        contents = try_read(folder / MANIFEST, Contents)
        source = contents and contents.source
        name = (source and source.repository) or repository_name(folder.name)
        return Installed(name, source.revision, folder, contents.bytes) if contents and source else None
    if not is_mlx_folder(folder):
        return None
    noted = try_read(folder / DOWNLOAD_FILE, Download)
    name, revision = (noted.repository, noted.revision) if noted else (repository_name(folder.name), None)
    return Installed(name, revision, folder, _bytes(folder), prepared=False)


def _folders() -> list[Path]:
    """The folders of whole models, by name: none that is hidden, or still being made."""
    try:
        found = sorted(models_folder().iterdir())
        return [path for path in found if path.name[0] != "." and path.suffix != PARTIAL_SUFFIX and path.is_dir()]
    except OSError:  # a folder that may not be entered
        return []


def _bytes(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        with suppress(OSError):
            total += path.stat().st_size
    return total


def folder_of(name: str) -> Path | None:
    """The folder of an installed model, by its repository (facebook/opt-125m); None if it is not installed."""
    return next((model.folder for model in installed() if model.repo == name), None)


def folders_named(name: str) -> list[Path]:
    """The folders of the installed models of a name without an owner (opt-125m), in whatever case it is written."""
    return [model.folder for model in installed() if model.repo.rpartition("/")[2].lower() == name.lower()]


def repository_name(name: str) -> str:
    """The repository that a folder in the models folder is named after."""
    return name.replace("--", "/")
