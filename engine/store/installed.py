"""Prepared models in the models folder.

models/facebook--opt-125m/               a prepared model
"""

from dataclasses import dataclass
from pathlib import Path

from engine.store.manifest import MANIFEST, Contents
from engine.system.documents import try_read
from engine.system.folders import models_folder


@dataclass(frozen=True)
class Installed:
    """A prepared model in the models folder. bytes: of all its files."""

    repo: str
    revision: str | None
    folder: Path
    bytes: int


def installed() -> list[Installed]:
    """The models that are ready to load, by name. A folder without a readable manifest is none."""
    found = ((path.parent, try_read(path, Contents)) for path in _manifests())
    return [
        Installed(
            contents.source.repository or repository_name(folder.name), contents.source.revision, folder, contents.bytes
        )
        for folder, contents in found
        if contents is not None
    ]


def _manifests() -> list[Path]:
    try:
        return sorted(models_folder().glob(f"*/{MANIFEST}"))
    except OSError:  # a folder that may not be entered
        return []


def folder_of(name: str) -> Path | None:
    """The folder of an installed model, by its repository (facebook/opt-125m); None if it is not installed."""
    return next((model.folder for model in installed() if model.repo == name), None)


def folders_named(name: str) -> list[Path]:
    """The folders of the installed models of a name without an owner (opt-125m), in whatever case it is written."""
    return [model.folder for model in installed() if model.repo.rpartition("/")[2].lower() == name.lower()]


def repository_name(name: str) -> str:
    """The repository that a folder in the models folder is named after."""
    return name.replace("--", "/")
