"""A prepared model: a folder of plain files that any tool can inspect.

config.json, generation_config.json and tokenizer files as they came; resident.safetensors, bundles.safetensors,
predictor.safetensors, neuron_order.safetensors; and manifest.json, written last, with the size and sha256 of every
other file.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from engine.errors import PreparedModelError
from engine.store.bundle_file import BundleFile
from engine.system.files import write_whole
from engine.text import Text

FORMAT = "flashbulb"
VERSION = 1
MANIFEST, BUNDLES, RESIDENT, PREDICTOR, ORDER = (
    "manifest.json",
    "bundles.safetensors",
    "resident.safetensors",
    "predictor.safetensors",
    "neuron_order.safetensors",
)
HASHED_AT_OPEN = 64_000_000  # bytes: larger files are checked for size at every start and hashed on demand
AGAIN = Text("Prepare or download the model again.")


@dataclass(frozen=True)
class PreparedModel:
    """A checked prepared model. `manifest` and `config` are the parsed JSON files."""

    folder: Path
    manifest: dict
    config: dict
    bundles: BundleFile

    @property
    def name(self) -> str:
        return self.manifest["name"]

    @property
    def bytes(self) -> int:
        """Size of the weights on disk, predictors included."""
        return sum(self.manifest["files"][name]["bytes"] for name in (RESIDENT, BUNDLES, PREDICTOR))

    @property
    def layer_reports(self) -> list[dict]:
        """By layer, what was measured while preparing: sparsity; the predictor's kind, rank, threshold and errors."""
        return self.manifest["layers"]

    @classmethod
    def open(cls, folder: Path, verify: bool = False) -> "PreparedModel":
        """Open a folder and check it: manifest, sizes, and the sha256 of small files (of all files with `verify`).

        Raises PreparedModelError, which names the file and the cure.
        """
        manifest = _read_manifest(folder)
        for name, expected in manifest["files"].items():
            _check(folder / name, expected, verify or expected["bytes"] <= HASHED_AT_OPEN)
        return cls(
            folder, manifest, json.loads((folder / "config.json").read_text()), BundleFile.open(folder / BUNDLES)
        )


def _read_manifest(folder: Path) -> dict:
    if not folder.is_dir():
        raise PreparedModelError(
            "There is no folder {folder}. Give the folder of a prepared model, or `starter`.", folder=folder
        )
    path = folder / MANIFEST
    if not path.is_file():
        cure = Text("Run `flashbulb prepare` on it first.") if (folder / "config.json").is_file() else AGAIN
        raise PreparedModelError(
            "{folder} is no complete prepared model: it has no {manifest}. {cure}",
            folder=folder,
            manifest=MANIFEST,
            cure=cure,
        )
    try:
        manifest = json.loads(path.read_text())
        if manifest["format"] != FORMAT:
            raise ValueError("another format")
        version, files = manifest["version"], manifest["files"]
        for name, entry in files.items():
            if Path(name).name != name or not isinstance(entry["bytes"], int) or not isinstance(entry["sha256"], str):
                raise ValueError(f"a strange entry for {name}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PreparedModelError(
            "{path} is not the manifest of a prepared model ({error}). {again}",
            path=path,
            error=repr(error),
            again=AGAIN,
        ) from error
    if version != VERSION:
        raise PreparedModelError(
            "{path} has format version {found}, this Flashbulb reads version {known}. Update Flashbulb, or prepare "
            "the model again with this one.",
            path=path,
            found=version,
            known=VERSION,
        )
    if missing := {"config.json", BUNDLES, RESIDENT, PREDICTOR} - files.keys():
        raise PreparedModelError(
            "{path} does not list {files}. {again}", path=path, files=", ".join(sorted(missing)), again=AGAIN
        )
    return manifest


def _check(path: Path, expected: dict, hashed: bool) -> None:
    try:
        size = path.stat().st_size
        if size != expected["bytes"]:
            raise PreparedModelError(
                "{path} has {size} bytes instead of {expected}: it is not whole. {again}",
                path=path,
                size=size,
                expected=expected["bytes"],
                again=AGAIN,
            )
        if hashed and sha256(path) != expected["sha256"]:
            raise PreparedModelError(
                "{path} was changed or damaged: its checksum is not the manifest's. {again}", path=path, again=AGAIN
            )
    except FileNotFoundError as error:
        raise PreparedModelError("{path} is missing. {again}", path=path, again=AGAIN) from error
    except OSError as error:
        raise PreparedModelError(
            "{path} cannot be read ({reason}). {again}", path=path, reason=error.strerror, again=AGAIN
        ) from error


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, content: dict) -> None:
    """Describe every file in the folder, those of folders in it left out, and write the manifest in one step."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST and path.is_file()
    }
    manifest = {"format": FORMAT, "version": VERSION, **content, "files": files}
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
