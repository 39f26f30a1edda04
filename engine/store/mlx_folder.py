"""A checkpoint in MLX's format, which is run where it lies: config.json, weights in safetensors, a tokenizer."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from engine.errors import CheckpointError
from engine.store.manifest import MANIFEST
from engine.store.safetensors_file import read_safetensors
from engine.store.stored_tensor import StoredTensor
from engine.system.documents import DOWNLOAD_AGAIN, parsing, read_json, read_typed

WEIGHTS = "model*.safetensors"  # as mlx-lm finds them
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Index:
    """The index of a checkpoint in shards. weight_map: the file of each weight."""

    weight_map: dict[str, str]


@dataclass(frozen=True)
class MlxFolder:
    """A checkpoint whose headers were read and checked. Nothing is ever written into its folder."""

    folder: Path
    config: dict[str, Any]
    tensors: Mapping[str, StoredTensor]

    @property
    def name(self) -> str:
        """The folder's own."""
        return self.folder.name

    @cached_property
    def bytes(self) -> int:
        """Size of the weights on disk."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    @classmethod
    def open(cls, folder: Path) -> "MlxFolder":
        """Raises CheckpointError for weights that are missing or damaged, and for a config that cannot be read."""
        with parsing(folder / "config.json", CheckpointError, DOWNLOAD_AGAIN):
            config = read_json(folder / "config.json")
        for path in folder.glob("*.json"):  # mlx-lm reads some of them by itself
            if not path.is_file():
                raise CheckpointError("{path} is no file that can be read. {cure}", path=path, cure=DOWNLOAD_AGAIN)
        files = sorted(folder.glob(WEIGHTS))
        if not files:
            raise CheckpointError("{folder} has no weights: {files} is missing.", folder=folder, files=WEIGHTS)
        _check_complete(folder, {file.name for file in files})
        tensors: dict[str, StoredTensor] = {}
        for file in files:
            tensors |= read_safetensors(file)
        return cls(folder, config, tensors)


def is_mlx_folder(folder: Path) -> bool:
    """True for a folder with a config and weights that was not prepared by us."""
    prepared = (folder / MANIFEST).exists()
    return not prepared and (folder / "config.json").is_file() and any(folder.glob(WEIGHTS))


def runs_as_it_is(config: Mapping[str, Any]) -> bool:
    """True if a config is of a checkpoint in MLX's own form: quantised by it. What was never quantised may be as well,
    which only its tensors say."""
    return isinstance(config.get("quantization"), dict)


def _check_complete(folder: Path, found: set[str]) -> None:
    """Raises CheckpointError where the index names a shard that is not there."""
    if not (folder / INDEX).is_file():
        return
    with parsing(folder / INDEX, CheckpointError, DOWNLOAD_AGAIN):
        missing = set(read_typed(folder / INDEX, Index).weight_map.values()) - found
    if missing:
        raise CheckpointError(
            "{folder} lacks {file}, a part of its weights. {cure}",
            folder=folder,
            file=min(missing),
            cure=DOWNLOAD_AGAIN,
        )
