"""Where things are kept. Nothing is imported for it, so that a window can ask."""

import os
import shutil
import sys
from pathlib import Path


def models_folder() -> Path:
    if chosen := os.environ.get("FLASHBULB_MODELS"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Flashbulb" / "models"
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "flashbulb" / "models"


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk where `folder` is or would be."""
    return shutil.disk_usage(existing(folder)).free
