"""Reading a Hugging Face checkpoint: config.json and its weights, one file or shards with an index."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.dtypes import DTYPES
from engine.errors import CheckpointError
from engine.prepare.safetensors_file import read_safetensors
from engine.prepare.stored_tensor import StoredTensor, shown
from engine.prepare.torch_file import read_torch

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
READERS = {"model.safetensors": read_safetensors, "pytorch_model.bin": read_torch}  # what is preferred comes first
NOT_READ = {".gguf", ".h5", ".msgpack", ".pt", ".pth", ".npz", ".ckpt", ".onnx"}
MAX_JSON = 100_000_000  # bytes
SHOWN = 3  # names in a message
SIZES = {  # the largest that a config may ask for, some ten times what exists
    "hidden_size": 1_000_000,
    "word_embed_proj_dim": 1_000_000,
    "ffn_dim": 1_000_000,
    "ffn_hidden_size": 1_000_000,
    "intermediate_size": 1_000_000,
    "head_dim": 100_000,
    "num_hidden_layers": 1_000,
    "num_attention_heads": 10_000,
    "num_key_value_heads": 10_000,
    "num_kv_heads": 10_000,
    "max_position_embeddings": 100_000_000,
    "vocab_size": 10_000_000,
}
MAY_BE_NULL = {"word_embed_proj_dim", "ffn_hidden_size", "head_dim", "num_key_value_heads", "num_kv_heads"}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's config and where its weights lie, by name. They are read when they are asked for."""

    folder: Path
    config: dict
    weights: dict[str, StoredTensor]

    @property
    def dtype(self) -> str:
        """Name of the dtype that most weights have."""
        sizes = dict.fromkeys(DTYPES, 0)
        for tensor in self.weights.values():
            sizes[tensor.dtype] += tensor.size
        return max(sizes, key=sizes.get)

    @classmethod
    def open(cls, folder: Path) -> "Checkpoint":
        """Read config and headers, and check both. Raises CheckpointError for what is no whole, honest checkpoint."""
        if not folder.is_dir():
            raise CheckpointError(f"There is no folder {folder}.")
        config = _read_json(folder / "config.json")
        _check_sizes(folder / "config.json", config)
        return cls(folder, config, _read_weights(folder))

    def fit(
        self, shapes: Mapping[str, tuple[int, ...]], rename: Callable[[str], str | None]
    ) -> dict[str, StoredTensor]:
        """The weights under a model's own names, in its order.

        shapes: of the model's parameters. rename: from a checkpoint's name to the model's; None for what it leaves out.
        Raises CheckpointError where one lacks or does not match what the other has.
        """
        own = [(rename(name), tensor) for name, tensor in self.weights.items()]
        fitted = {name: tensor for name, tensor in own if name is not None}
        twice = len(fitted) != sum(name is not None for name, _ in own)
        wrong = [name for name in fitted if name in shapes and fitted[name].shape != tuple(shapes[name])]
        problems = [
            ("missing", [name for name in shapes if name not in fitted]),
            ("unknown", [name for name in fitted if name not in shapes]),
            ("of another shape", [f"{name} {list(fitted[name].shape)}, not {list(shapes[name])}" for name in wrong]),
            ("there twice", ["under an older and a newer name"] if twice else []),
        ]
        if told := "; ".join(f"{kind}: {_listed(names)}" for kind, names in problems if names):
            raise CheckpointError(f"The weights in {self.folder} do not fit its config.json. {told}.")
        return {name: fitted[name] for name in shapes}


def _check_sizes(path: Path, config: dict) -> None:
    """Sizes decide what is allocated, so they are checked before anything is built."""
    if not isinstance(config.get("model_type"), str):
        raise CheckpointError(f"{path} does not say which model_type it is.")
    for key in SIZES.keys() & config.keys():
        size = config[key]
        if size is None and key in MAY_BE_NULL:
            continue
        if type(size) is not int or not 1 <= size <= SIZES[key]:
            raise CheckpointError(f"{path} has a {key} of {shown(size)}; a number from 1 to {SIZES[key]} is needed.")
    heads, width = config.get("num_attention_heads"), config.get("hidden_size")
    if heads and width and width % heads and not config.get("head_dim"):
        raise CheckpointError(f"{path} has a hidden_size of {width}, which {heads} attention heads cannot share.")


def _read_weights(folder: Path) -> dict[str, StoredTensor]:
    for whole, read in READERS.items():
        index = folder / f"{whole}.index.json"
        if index.is_file():
            return _read_shards(index, Path(whole).suffix, read)
        if (folder / whole).is_file():
            return read(folder / whole)
    others = sorted(path.name for path in folder.iterdir() if path.suffix in NOT_READ)
    hint = f"{_listed(others)} cannot be read." if others else "Download the checkpoint again."
    raise CheckpointError(f"{folder} lacks {' or '.join(READERS)}, whole or in shards with an index. {hint}")


def _read_shards(index: Path, suffix: str, read: Callable[[Path], dict[str, StoredTensor]]) -> dict[str, StoredTensor]:
    places = _read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
        raise CheckpointError(f"{index} has no weight_map from names to files.")
    files = sorted(set(places.values()))
    if strange := [file for file in files if Path(file).name != file or not file.endswith(suffix)]:
        raise CheckpointError(f"{index} names files outside its folder or of another kind: {_listed(strange)}.")
    if missing := [file for file in files if not (index.parent / file).is_file()]:
        raise CheckpointError(f"{index.parent} lacks {_listed(missing)}. Download the checkpoint again.")
    weights: dict[str, StoredTensor] = {}
    for file in files:
        shard = read(index.parent / file)
        if twice := [name for name in shard if name in weights]:
            raise CheckpointError(f"{index.parent / file} holds what another shard has too: {_listed(twice)}.")
        weights |= shard
    if lost := [name for name, file in places.items() if name not in weights or weights[name].path.name != file]:
        raise CheckpointError(f"{index} promises weights that are not in their shards: {_listed(lost)}.")
    return weights


def _listed(names: list[str]) -> str:
    """A few names in a message, and how many more there are."""
    text = ", ".join(shown(name).strip("'\"") for name in names[:SHOWN])
    return text if len(names) <= SHOWN else f"{text} and {len(names) - SHOWN} more"


def _read_json(path: Path) -> dict:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_JSON + 1)
        if len(text) > MAX_JSON:
            raise ValueError("it is absurdly large")
        content = json.loads(text)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing: {path.parent} is no checkpoint in Hugging Face form.") from error
    except RecursionError as error:
        raise CheckpointError(f"{path} cannot be read: it is nested too deeply.") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is no JSON object.")
    return content
