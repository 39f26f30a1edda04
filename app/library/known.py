"""Models that were used, and those that are kept outside of the models folder: remembered among the settings."""

from pathlib import Path

from app.settings.registry import Preferences
from engine.system.built_in import TITLES, built_in
from engine.system.folders import hub_cache, lm_studio_folders, models_folder

RECENT_KEY, FOLDERS_KEY = "models.recent", "models.folders"
MAX_RECENT = 30  # models


def last_used(settings: Preferences) -> str:
    """The model that was used last; at a first start, or where that is not part of this installation any more, the
    first that comes with Flashbulb."""
    last = str(settings["models.last"])
    return last if last and (last not in TITLES or last in built_in()) else built_in()[0]


def remember_used(settings: Preferences, model: str) -> None:
    """A model was loaded: it is the most recent one, and is found again wherever it is."""
    settings["models.last"] = model
    settings[RECENT_KEY] = [model, *(other for other in settings[RECENT_KEY] if other != model)][:MAX_RECENT]
    if model not in TITLES:
        list_model(settings, Path(model))


def list_model(settings: Preferences, folder: Path) -> None:
    """List a model that stays where it is, unless it is found there anyway: among ours, in the folders of other tools,
    or in one that was named."""
    places = [hub_cache(), *lm_studio_folders(), *map(Path, settings[FOLDERS_KEY])]
    within = any(folder.resolve().is_relative_to(place.resolve()) for place in places)
    if is_elsewhere(folder) and not within:
        add_folder(settings, str(folder))


def is_elsewhere(folder: Path) -> bool:
    """True if a model is not in the models folder."""
    return folder.resolve().parent != models_folder().resolve()


def add_folder(settings: Preferences, folder: str) -> None:
    """List a model that stays where it is."""
    if folder not in settings[FOLDERS_KEY]:
        settings[FOLDERS_KEY] = [*settings[FOLDERS_KEY], folder]


def forget_folder(settings: Preferences, folder: str) -> None:
    """List it no longer; its files stay."""
    for key in (FOLDERS_KEY, RECENT_KEY):
        settings[key] = [other for other in settings[key] if other != folder]
