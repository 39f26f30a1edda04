"""Reading a Hugging Face checkpoint: config.json and its weights, one file or shards with an index."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.arrays.dtypes import DTYPES
from engine.errors import CheckpointError, FlawError
from engine.prepare.torch_file import read_torch
from engine.store.safetensors_file import read_safetensors
from engine.store.stored_tensor import StoredTensor
from engine.text import Text, joined, shown

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
            raise CheckpointError("There is no folder {folder}.", folder=folder)
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
        missing = [name for name in shapes if name not in fitted]
        unknown = [name for name in fitted if name not in shapes]
        shaped = [f"{name} {list(fitted[name].shape)}, not {list(shapes[name])}" for name in wrong]
        problems = (
            missing and Text("missing: {names}", names=_listed(missing)),
            unknown and Text("unknown: {names}", names=_listed(unknown)),
            wrong and Text("of another shape: {names}", names=_listed(shaped)),
            twice and Text("there twice: under an older and a newer name"),
        )
        if any(problems):
            raise CheckpointError(
                "The weights in {folder} do not fit its config.json. {problems}.",
                folder=self.folder,
                problems=joined("{before}; {next}", filter(None, problems)),
            )
        return {name: fitted[name] for name in shapes}


def _check_sizes(path: Path, config: dict) -> None:
    """Sizes decide what is allocated, so they are checked before anything is built."""
    if not isinstance(config.get("model_type"), str):
        raise CheckpointError("{path} does not say which model_type it is.", path=path)
    for key in SIZES.keys() & config.keys():
        size = config[key]
        if size is None and key in MAY_BE_NULL:
            continue
        if type(size) is not int or not 1 <= size <= SIZES[key]:
            raise CheckpointError(
                "{path} has a {key} of {size}; a number from 1 to {largest} is needed.",
                path=path,
                key=key,
                size=shown(size),
                largest=SIZES[key],
            )
    heads, width = config.get("num_attention_heads"), config.get("hidden_size")
    if heads and width and width % heads and not config.get("head_dim"):
        raise CheckpointError(
            "{path} has a hidden_size of {width}, which {heads} attention heads cannot share.",
            path=path,
            width=width,
            heads=heads,
        )


def _read_weights(folder: Path) -> dict[str, StoredTensor]:
    for whole, read in READERS.items():
        index = folder / f"{whole}.index.json"
        if index.is_file():
            return _read_shards(index, Path(whole).suffix, read)
        if (folder / whole).is_file():
            return read(folder / whole)
    others = sorted(path.name for path in folder.iterdir() if path.suffix in NOT_READ)
    hint = Text("Download the checkpoint again.")
    if others:
        hint = Text("{others} cannot be read.", others=_listed(others))
    raise CheckpointError(
        "{folder} lacks {files}, whole or in shards with an index. {hint}",
        folder=folder,
        files=joined("{before} or {next}", READERS),
        hint=hint,
    )


def _read_shards(index: Path, suffix: str, read: Callable[[Path], dict[str, StoredTensor]]) -> dict[str, StoredTensor]:
    places = _read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
        raise CheckpointError("{index} has no weight_map from names to files.", index=index)
    files = sorted(set(places.values()))
    if strange := [file for file in files if Path(file).name != file or not file.endswith(suffix)]:
        raise CheckpointError(
            "{index} names files outside its folder or of another kind: {strange}.",
            index=index,
            strange=_listed(strange),
        )
    if missing := [file for file in files if not (index.parent / file).is_file()]:
        raise CheckpointError(
            "{folder} lacks {missing}. Download the checkpoint again.", folder=index.parent, missing=_listed(missing)
        )
    weights: dict[str, StoredTensor] = {}
    for file in files:
        shard = read(index.parent / file)
        if twice := [name for name in shard if name in weights]:
            raise CheckpointError(
                "{path} holds what another shard has too: {twice}.", path=index.parent / file, twice=_listed(twice)
            )
        weights |= shard
    if lost := [name for name, file in places.items() if name not in weights or weights[name].path.name != file]:
        raise CheckpointError(
            "{index} promises weights that are not in their shards: {lost}.", index=index, lost=_listed(lost)
        )
    return weights


def _listed(names: list[str]) -> str:
    """A few names in a message, and how many more there are."""
    few, more = ", ".join(shown(name).strip("'\"") for name in names[:SHOWN]), len(names) - SHOWN
    return Text("{names} and {more} more", names=few, more=more) if more > 0 else few


def _read_json(path: Path) -> dict:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_JSON + 1)
        if len(text) > MAX_JSON:
            raise FlawError("it is absurdly large")
        content = json.loads(text)
    except FileNotFoundError as error:
        raise CheckpointError(
            "{path} is missing: {folder} is no checkpoint in Hugging Face form.", path=path, folder=path.parent
        ) from error
    except RecursionError as error:
        raise CheckpointError("{path} cannot be read: it is nested too deeply.", path=path) from error
    except (OSError, ValueError) as error:
        raise CheckpointError("{path} cannot be read: {error}.", path=path, error=error) from error
    if not isinstance(content, dict):
        raise CheckpointError("{path} is no JSON object.", path=path)
    return content
