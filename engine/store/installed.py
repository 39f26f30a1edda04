"""Prepared models in the models folder.

models/facebook--opt-125m/               a prepared model
"""

import json
from dataclasses import dataclass
from pathlib import Path

from engine.store.manifest import MANIFEST
from engine.system.folders import models_folder


# ------------------------------------------------------------------------------------------------- on disk
@dataclass(frozen=True)
class Installed:
    """A prepared model in the models folder. bytes: of all its files."""

    repo: str
    revision: str | None
    folder: Path
    bytes: int


def installed() -> list[Installed]:
    """What is ready to load, by name. A folder without a readable manifest is none."""
    models = []
    for path in sorted(models_folder().glob(f"*/{MANIFEST}")):
        try:
            manifest = json.loads(path.read_text())
            size = sum(entry["bytes"] for entry in manifest["files"].values())
            source = manifest.get("source", {})
            repo, revision = source.get("repository") or repository_name(path.parent.name), source.get("revision")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        models.append(Installed(repo, revision, path.parent, size))
    return models


def folder_of(name: str) -> Path | None:
    """The folder of an installed model, by its repository (facebook/opt-125m); None if it is not installed."""
    return next((model.folder for model in installed() if model.repo == name), None)


def repository_name(name: str) -> str:
    return name.replace("--", "/")
