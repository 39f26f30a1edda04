"""Reading a Hugging Face checkpoint: config.json and safetensors, one file or shards with an index."""

import json
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx

from engine.errors import CheckpointError

COMPANIONS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)
DTYPES = {"float32": mx.float32, "float16": mx.float16, "bfloat16": mx.bfloat16}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's config and its weights by name, read from the files only when they are evaluated."""

    folder: Path
    config: dict
    weights: dict[str, mx.array]

    @property
    def dtype(self) -> str:
        """Name of the dtype that most weights have."""
        sizes = dict.fromkeys(DTYPES, 0)
        for weight in self.weights.values():
            name = str(weight.dtype).removeprefix("mlx.core.")
            if name not in sizes:
                raise CheckpointError(
                    f"{self.folder} holds weights of dtype {name}; float32, float16, bfloat16 are read."
                )
            sizes[name] += weight.size
        return max(sizes, key=sizes.get)

    @classmethod
    def open(cls, folder: Path) -> "Checkpoint":
        """Raises CheckpointError for a folder that holds no whole checkpoint."""
        if not folder.is_dir():
            raise CheckpointError(f"There is no folder {folder}.")
        config = _read_json(folder / "config.json")
        weights: dict[str, mx.array] = {}
        for path in _weight_files(folder):
            try:
                weights |= mx.load(str(path), format="safetensors")
            except (RuntimeError, ValueError) as error:
                raise CheckpointError(f"{path} cannot be read as safetensors: {error}. Download it again.") from error
        return cls(folder, config, weights)


def _weight_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(_read_json(index)["weight_map"].values()))
        if strange := [name for name in names if Path(name).name != name]:
            raise CheckpointError(f"{index} names files outside its folder: {', '.join(strange)}.")
    else:
        names = ["model.safetensors"]
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise CheckpointError(f"{folder} lacks {', '.join(missing)}. Download the checkpoint again.")
    return [folder / name for name in names]


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing: {path.parent} is no checkpoint in Hugging Face form.") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is no JSON object.")
    return content
