"""The folders that things are kept in. Nothing is imported for them, so that a window can ask."""

import os
import shutil
import sys
from pathlib import Path

QUOTES = "\"'"
APPLICATION = "Flashbulb"


def models_folder() -> Path:
    """The folder that prepared models and downloads are kept in; FLASHBULB_MODELS names another one."""
    if chosen := os.environ.get("FLASHBULB_MODELS"):
        return given_path(chosen)
    return _usual_folder() / "models"


def application_folder() -> Path:
    """The folder of the window's own files: chats, settings.

    On Linux, they were in a folder beside that of the models, which differs from it in one capital letter. Where they
    are, they stay.
    """
    usual = _usual_folder()
    before = usual.with_name(APPLICATION)
    return before if before.is_dir() else usual


def _usual_folder() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / APPLICATION
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / APPLICATION.lower()


def hub_cache() -> Path:
    """The folder of huggingface-hub's cache, as its environment variables say."""
    if chosen := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return given_path(chosen)
    home = os.environ.get("HF_HOME")
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return (Path(home) if home else Path(cache) / "huggingface").expanduser() / "hub"


def lm_studio_folders() -> tuple[Path, ...]:
    """The folders in which LM Studio keeps models, of its present and its earlier versions."""
    return tuple(Path(folder).expanduser() for folder in ("~/.lmstudio/models", "~/.cache/lm-studio/models"))


def given_path(text: str | Path) -> Path:
    """A path as a person gives it: with `~` for a home folder, and perhaps between quotes.

    The home of a user whom nobody knows is left as it is: there is no such folder.
    """
    written = str(text).strip()
    if len(written) > 1 and written[0] == written[-1] and written[0] in QUOTES:
        written = written[1:-1]
    try:
        return Path(written).expanduser()
    except RuntimeError:
        return Path(written)


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk where `folder` is or would be."""
    return shutil.disk_usage(existing(folder)).free
