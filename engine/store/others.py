"""Checkpoints that other tools have put on this disk: used where they lie, never changed, never deleted by us.

The Hub's cache (HF_HOME): models--owner--name/snapshots/COMMIT/, whose files are links. LM Studio: models/owner/name/.
Folders that the user names (in the window, or FLASHBULB_FOLDERS): a checkpoint, or folders of checkpoints, at most two
levels down.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from engine.errors import FlashbulbError
from engine.models import streams_neurons
from engine.store.manifest import MANIFEST
from engine.store.mlx_folder import runs_as_it_is
from engine.system.documents import read_json, try_read
from engine.system.files import stamp
from engine.system.folders import application_folder, given_path, hub_cache, lm_studio_folders
from engine.text import Text, text_of

INDEX = "model.safetensors.index.json"
MAX_CONFIG_BYTES = 4_000_000
SETTINGS, FOLDERS_KEY = "settings.json", "models.folders"  # of the window
FOLDERS_VARIABLE = "FLASHBULB_FOLDERS"
MAX_REMEMBERED = 1024  # files whose gist is remembered as long as they stay as they are
MAX_LEVELS = 2  # below a folder that the user names


class Use(Enum):
    """The use that a checkpoint can be here."""

    AS_IT_IS = "as it is"
    CONVERTED = "to be converted"
    NONE = "cannot run"


@dataclass(frozen=True)
class Verdict:
    """The use of a checkpoint, and the reason, as a sentence; empty where there is nothing to say."""

    use: Use
    reason: str = ""


@dataclass(frozen=True)
class OtherCheckpoint:
    """A checkpoint in safetensors. name: as its tool calls it (owner/name). source: the tool, or the folder named.

    bytes: of the weights that are there. missing: names of weight files that are not. bits: of its quantised weights,
    None where they are not quantised.
    """

    name: str
    folder: Path
    source: str
    model_type: str
    bits: int | None
    bytes: int
    missing: tuple[str, ...]


@dataclass(frozen=True)
class _Settings:
    """The window's settings, of which one is of interest here."""

    values: dict[str, object]


def other_checkpoints(named: Iterable[Path] | None = None) -> list[OtherCheckpoint]:
    """The checkpoints on this disk, by name. named: folders that the user named, None for those of `named_folders`. A
    folder that cannot be read, or holds anything else, is none."""
    named = named_folders() if named is None else named
    return _found(chain(_in_hub_cache(), _in_lm_studio(), _in_folders(named)))


def checkpoints_in(folder: Path) -> list[OtherCheckpoint]:
    """The checkpoints in a folder, or what is below it, by name."""
    return _found(_in_folders([folder]))


def others_named(name: str) -> list[Path]:
    """The folders of the checkpoints that other tools call so (owner/name, or the name alone), in whatever case."""
    said, whole = name.lower(), "/" in name
    found = [other for other in other_checkpoints() if not other.missing]
    return [o.folder for o in found if said == (o.name if whole else o.name.rpartition("/")[2]).lower()]


def named_folders() -> list[Path]:
    """The folders that the user has named: in FLASHBULB_FOLDERS, and in the window, whose settings are looked into."""
    said = [given_path(text) for text in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if text]
    settings = try_read(application_folder() / SETTINGS, _Settings)
    listed = settings.values.get(FOLDERS_KEY) if settings else None
    return said + [Path(text) for text in (listed if isinstance(listed, list) else ()) if isinstance(text, str)]


def _found(places: Iterable[tuple[str, Path, str]]) -> list[OtherCheckpoint]:
    found: dict[Path, OtherCheckpoint] = {}
    for name, folder, source in places:
        checkpoint = _checkpoint(name, folder, source)
        if checkpoint is not None:
            found.setdefault(folder.resolve(), checkpoint)
    return sorted(found.values(), key=lambda checkpoint: checkpoint.name.lower())


def use_of(folder: Path) -> Verdict:
    """The use of a checkpoint's folder, by its config and the names of its files; no weights are read."""
    try:
        _, missing = _weights(folder)
        if missing:
            return Verdict(Use.NONE, Text("{file} is missing.", file=missing[0]))
        return _use_of(_table(folder / "config.json"))
    except FlashbulbError as error:
        return Verdict(Use.NONE, text_of(error))
    except (OSError, ValueError, RecursionError):
        return Verdict(Use.NONE, Text("Its config.json cannot be read."))


def _use_of(config: dict[str, Any]) -> Verdict:
    """Raises CheckpointError for a model that does not run here."""
    from engine.models.mlx_lm import build_mlx_lm, containers
    from engine.models.supported import check_supported

    check_supported(config)
    if streams_neurons(config):
        return Verdict(Use.CONVERTED, Text("Its neurons are prepared first, so that they can be streamed."))
    model = build_mlx_lm(config)
    if runs_as_it_is(config):
        return Verdict(Use.AS_IT_IS)
    if "quantization_config" in config or any(containers(model)):
        return Verdict(Use.CONVERTED, Text("It is converted to MLX's form first, with 4 bits."))
    return Verdict(Use.AS_IT_IS)


def _in_hub_cache() -> Iterator[tuple[str, Path, str]]:
    for repository in _folders(hub_cache()):
        match = re.fullmatch(r"models--([\w.-]+?)--([\w.-]+)", repository.name)
        snapshot = _snapshot(repository) if match else None
        if match and snapshot:
            yield f"{match[1]}/{match[2]}", snapshot, "Hugging Face"


def _snapshot(repository: Path) -> Path | None:
    """The snapshot that `main` is, or else the newest."""
    snapshots = repository / "snapshots"
    try:
        commit = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        commit = ""
    if re.fullmatch(r"[0-9a-f]{40}", commit) and (snapshots / commit).is_dir():
        return snapshots / commit
    return max(_folders(snapshots), key=lambda folder: folder.stat().st_mtime, default=None)


def _in_lm_studio() -> Iterator[tuple[str, Path, str]]:
    for models in lm_studio_folders():
        for owner in _folders(models):
            for folder in _folders(owner):
                yield f"{owner.name}/{folder.name}", folder, "LM Studio"


def _in_folders(named: Iterable[Path]) -> Iterator[tuple[str, Path, str]]:
    for root in named:
        level = [root]
        for _ in range(MAX_LEVELS + 1):
            yield from ((folder.name, folder, str(root)) for folder in level)
            level = [below for folder in level if not (folder / "config.json").is_file() for below in _folders(folder)]


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, by name; none if it cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def _checkpoint(name: str, folder: Path, source: str) -> OtherCheckpoint | None:
    try:
        model_type, bits = _described(folder / "config.json", stamp(folder / "config.json"))
        weights, missing = _weights(folder)
        if model_type is None or not (weights or missing) or (folder / MANIFEST).is_file():
            return None
        size = sum(path.stat().st_size for path in weights)
    except (OSError, ValueError, RecursionError):
        return None
    return OtherCheckpoint(name, folder, source, model_type, bits, size, missing)


@lru_cache(maxsize=MAX_REMEMBERED)
def _described(config: Path, _stamped: tuple[int, int]) -> tuple[str | None, int | None]:
    """The model type that a config names, and the bits of its quantised weights. Read again only once it is another.
    Raises OSError, ValueError, RecursionError."""
    found = _table(config)
    model_type = found.get("model_type")
    return model_type if isinstance(model_type, str) else None, _bits(found)


@lru_cache(maxsize=MAX_REMEMBERED)
def _listed(index: Path, _stamped: tuple[int, int]) -> frozenset[str]:
    """The names of the weight files that an index lists, likewise."""
    places = _table(index).get("weight_map")
    names = places.values() if isinstance(places, dict) else ()
    return frozenset(name for name in names if isinstance(name, str))


def _weights(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    """The weight files that are there, and the names of those that the index lists and are not."""
    there = sorted(path for path in folder.glob("*.safetensors") if path.is_file() and not path.name.startswith("."))
    if not (folder / INDEX).is_file():
        return there, ()
    names = _listed(folder / INDEX, stamp(folder / INDEX))
    return there, tuple(sorted(names - {path.name for path in there}))


def _bits(config: dict[str, object]) -> int | None:
    """The bits of MLX's own form of quantised weights."""
    quantization = config.get("quantization")
    bits = quantization.get("bits") if isinstance(quantization, dict) else None
    return bits if isinstance(bits, int) else None


def _table(path: Path) -> dict[str, object]:
    """A JSON file's names and values. Raises OSError, ValueError, RecursionError."""
    return read_json(path, MAX_CONFIG_BYTES * (16 if path.name == INDEX else 1))
