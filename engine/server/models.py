"""The models on this disk, as programs name them."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from engine.errors import FlashbulbError
from engine.server.refusals import NOT_FOUND, RefusedError
from engine.store.installed import installed, open_stored
from engine.store.others import OtherCheckpoint, Use, other_checkpoints, use_of
from engine.system.built_in import ASSISTANT, STARTER_FOLDER, assistant_file, assistant_folder, built_in
from engine.system.folders import existing

LATEST = ":latest"  # which Ollama's programs put behind a name
KEPT_VERDICTS = 1000
LISTED_NAMES = 20  # in an error


@dataclass(frozen=True)
class ServedModel:
    """A model that programs can ask for. folder: as `engine.load` takes it, of a built-in model its name. place: of its
    files. bytes: of them. modified: seconds since 1970."""

    name: str
    folder: Path
    place: Path
    bytes: int
    modified: int

    @property
    def config(self) -> Mapping[str, Any]:
        """Its config.json, as far as it can be read; empty for one that is made ready when it is first wanted."""
        with suppress(FlashbulbError, OSError):
            return open_stored(self.place).config if self.place.is_dir() else {}
        return {}


def served() -> list[ServedModel]:
    """The models that run as they are, each name once: built in, in the models folder, and of other tools. It takes a
    while: the disk is looked at."""
    found: dict[str, ServedModel] = {}
    for model in chain(_built_in(), _installed(), _others()):
        found.setdefault(model.name, model)
    return list(found.values())


def find(name: str) -> ServedModel:
    """The model of a name, whole or without its owner, in whatever case. Raises RefusedError, which has all names."""
    wanted = name.removesuffix(LATEST).lower()
    ready = [*_built_in(), *_installed()]
    found = _named(wanted, ready) or _named(wanted, everything := served())
    if found is None:
        names = ", ".join(model.name for model in everything[:LISTED_NAMES])
        words = f"There is no model {name[:100]!r} here. There are: {names}."
        raise RefusedError(NOT_FOUND, words, code="model_not_found", param="model")
    return found


def at(folder: Path) -> ServedModel:
    """The model that is loaded from there, which need not be one that is listed."""
    listed = (model for model in served() if model.folder == folder)
    return next(listed, None) or _served(folder.name, folder, folder, 0)


def _named(wanted: str, models: list[ServedModel]) -> ServedModel | None:
    whole = (model for model in models if model.name.lower() == wanted)
    return next(whole, None) or next((m for m in models if m.name.rpartition("/")[2].lower() == wanted), None)


def _built_in() -> Iterator[ServedModel]:
    for name in built_in():
        place = assistant_folder() if name == ASSISTANT else STARTER_FOLDER
        file = assistant_file() if name == ASSISTANT else None
        there = place if place.is_dir() or file is None else file
        yield _served(name, Path(name), there)


def _installed() -> Iterator[ServedModel]:
    for model in installed():
        yield _served(model.repo, model.folder, model.folder, model.bytes)


def _others() -> Iterator[ServedModel]:
    for other in other_checkpoints():
        if not other.missing and _runs(other):
            yield _served(other.name, other.folder, other.folder, other.bytes)


def _served(name: str, folder: Path, place: Path, size: int | None = None) -> ServedModel:
    size = size if size is not None else _bytes(place)
    return ServedModel(name, folder, place, size, int(existing(place).stat().st_mtime))


def _bytes(place: Path) -> int:
    files = place.iterdir() if place.is_dir() else [place]
    return sum(path.stat().st_size for path in files if path.is_file())


def _runs(other: OtherCheckpoint) -> bool:
    return _verdict(other.folder, (other.folder / "config.json").stat().st_mtime) is Use.AS_IT_IS


@lru_cache(KEPT_VERDICTS)
def _verdict(folder: Path, _modified: float) -> Use:
    """The use of a checkpoint, which takes building it: kept as long as its config is the same."""
    return use_of(folder).use
