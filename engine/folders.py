"""Where things are kept. Nothing is imported for it, so that a window can ask."""

import os
import sys
from pathlib import Path


def models_folder() -> Path:
    if chosen := os.environ.get("FLASHBULB_MODELS"):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Flashbulb" / "models"
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "flashbulb" / "models"
