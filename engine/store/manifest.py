"""A prepared model: a folder of plain files that any tool can inspect.

config.json, generation_config.json and tokenizer files as they came; resident.safetensors, bundles.safetensors,
predictor.safetensors, neuron_order.safetensors; and manifest.json, written last, with the size and sha256 of every
other file.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from engine.errors import FlawError, PreparedModelError
from engine.store.bundle_file import BundleFile
from engine.store.reports import CalibrationReport, LayerReport
from engine.store.safetensors_file import open_safetensors
from engine.store.stored_tensor import StoredTensor
from engine.system.documents import PREPARE_AGAIN, Line, check_whole, is_plain, parsing, read_json, typed
from engine.system.files import write_whole
from engine.text import Text, shown

FORMAT = "flashbulb"
VERSION = 1
PACKED_VERSION = 2  # of models whose neurons are quantised: what reads only version 1 cannot read them
VERSIONS = (VERSION, PACKED_VERSION)
MANIFEST, BUNDLES, RESIDENT, PREDICTOR, ORDER = (
    "manifest.json",
    "bundles.safetensors",
    "resident.safetensors",
    "predictor.safetensors",
    "neuron_order.safetensors",
)
MAX_HASHED_BYTES = 64_000_000  # at open: larger files are checked for size at every start and hashed on demand
Repository = Annotated[str, Meta(max_length=200, pattern=r"^[\w.-]+(/[\w.-]+)?$")]


@dataclass(frozen=True)
class FileEntry:
    """The size and the checksum of a file."""

    bytes: Annotated[int, Meta(ge=0, le=1 << 50)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Quantization:
    """The form of quantised neurons. group_size: weights with one scale."""

    bits: Literal[8, 4]
    group_size: Literal[64, 32]


@dataclass(frozen=True)
class Source:
    """The origin of a model: a folder that was prepared, or a repository of the Hub at a revision."""

    checkpoint: Line | None = None
    repository: Repository | None = None
    revision: Line | None = None
    licence: Line | None = None


@dataclass(frozen=True)
class Contents:
    """The part of a manifest that says what is there, whichever version it has."""

    files: dict[Line, FileEntry]
    source: Source = field(default_factory=Source)

    @property
    def bytes(self) -> int:
        """The size of all its files."""
        return sum(entry.bytes for entry in self.files.values())


@dataclass(frozen=True)
class Manifest(Contents):
    """A whole manifest of this version. dtype: of bundles and resident weights. quantization: of bundles; their scales
    then have the dtype."""

    name: Line = field(kw_only=True)
    architecture: Line = field(kw_only=True)
    dtype: Literal["float32", "float16", "bfloat16"] = field(kw_only=True)
    calibration: CalibrationReport | None = field(default=None, kw_only=True)
    layers: Annotated[list[LayerReport], Meta(min_length=1, max_length=1000)] = field(kw_only=True)
    neuron_order: Line | None = field(default=None, kw_only=True)
    quantization: Quantization | None = field(default=None, kw_only=True)

    @property
    def weight_bytes(self) -> int:
        """The size of the weights on disk, predictors included."""
        return sum(self.files[name].bytes for name in (RESIDENT, BUNDLES, PREDICTOR) if name in self.files)


@dataclass(frozen=True)
class PreparedModel:
    """A checked prepared model. config: the parsed config.json. resident, predictors: where their tensors lie."""

    folder: Path
    manifest: Manifest
    config: dict[str, Any]
    bundles: BundleFile
    resident: dict[str, StoredTensor]
    predictors: dict[str, StoredTensor]

    @property
    def name(self) -> str:
        """The name that people know it by."""
        return self.manifest.name

    @property
    def bytes(self) -> int:
        """The size of the weights on disk, predictors included."""
        return self.manifest.weight_bytes

    @property
    def layer_reports(self) -> list[LayerReport]:
        """The measurements of each layer that were made while preparing."""
        return self.manifest.layers

    @classmethod
    def open(cls, folder: Path, verify: bool = False) -> "PreparedModel":
        """Open a folder and check it: manifest, sizes, the sha256 of small files (of all files with `verify`), headers.

        Raises PreparedModelError, which names the file and the cure.
        """
        manifest = _read_manifest(folder)
        for name, expected in manifest.files.items():
            if _of_the_system(name):  # which earlier versions listed
                continue
            _check(folder / name, expected, verify or expected.bytes <= MAX_HASHED_BYTES)
        with parsing(folder / "config.json", PreparedModelError, PREPARE_AGAIN):
            config = read_json(folder / "config.json")
        weights = (open_safetensors(folder / name, PreparedModelError, PREPARE_AGAIN) for name in (RESIDENT, PREDICTOR))
        resident, predictors = (file.tensors for file in weights)
        return cls(folder, manifest, config, BundleFile.open(folder / BUNDLES), resident, predictors)


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    with parsing(path, PreparedModelError, PREPARE_AGAIN):
        _check_prepared(folder)
        content = read_json(path)
        if content.get("format") != FORMAT:
            raise FlawError("it is not the manifest of a prepared model")
        _check_version(path, content.get("version"))
        manifest = typed(content, Manifest)
        if strange := [name for name in manifest.files if not is_plain(name)]:
            raise FlawError("it names a file elsewhere: {name}", name=shown(strange[0]))
        if missing := {"config.json", BUNDLES, RESIDENT, PREDICTOR} - manifest.files.keys():
            raise FlawError("it does not list {files}", files=", ".join(sorted(missing)))
    return manifest


def _check_prepared(folder: Path) -> None:
    if not folder.is_dir():
        if folder.exists():
            raise PreparedModelError("{file} is a file. Give the folder of a model.", file=folder)
        if folder.is_absolute():
            raise PreparedModelError(
                "There is no folder {folder}. It was moved or deleted, or its drive is not connected.", folder=folder
            )
        raise PreparedModelError(
            "There is no model {name} on this disk. `flashbulb models` lists what is here, and what can be downloaded.",
            name=shown(str(folder)),
        )
    if not (folder / MANIFEST).is_file():
        if not any((folder / name).is_file() for name in ("config.json", BUNDLES, RESIDENT, PREDICTOR)):
            raise PreparedModelError(
                "{folder} holds no model: it has neither {manifest} nor config.json. Give the folder of a model.",
                folder=folder,
                manifest=MANIFEST,
            )
        cure = Text("Run `flashbulb prepare` on it first.") if (folder / "config.json").is_file() else PREPARE_AGAIN
        raise PreparedModelError(
            "{folder} is no complete prepared model: it has no {manifest}. {cure}",
            folder=folder,
            manifest=MANIFEST,
            cure=cure,
        )


def _check_version(path: Path, version: object) -> None:
    if type(version) is int and version not in VERSIONS:
        raise PreparedModelError(
            "{path} has format version {found}, this Flashbulb reads version {known}. Update Flashbulb, or prepare "
            "the model again with this one.",
            path=path,
            found=shown(version),
            known=VERSIONS[-1],
        )


def _of_the_system(name: str) -> bool:
    return name.startswith(".")


def _check(path: Path, expected: FileEntry, hashed: bool) -> None:
    with parsing(path, PreparedModelError, PREPARE_AGAIN):
        size = path.stat().st_size
        if size != expected.bytes or not path.is_file():
            check_whole(path)
            raise PreparedModelError(
                "{path} has {size} bytes instead of {expected}: it is not whole. {again}",
                path=path,
                size=size,
                expected=expected.bytes,
                again=PREPARE_AGAIN,
            )
        if hashed and sha256(path) != expected.sha256:
            raise PreparedModelError(
                "{path} was changed or damaged: its checksum is not the manifest's. {again}",
                path=path,
                again=PREPARE_AGAIN,
            )


def sha256(path: Path) -> str:
    """The checksum of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Describe every file in the folder, and write the manifest in one step.

    Left out are folders, and the system's own files, such as Finder's, whose names begin with a dot.
    """
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST and not _of_the_system(path.name) and path.is_file()
    }
    version = PACKED_VERSION if content.get("quantization") else VERSION
    manifest = {"format": FORMAT, "version": version, **content, "files": files}
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
