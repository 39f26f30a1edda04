"""Reading a Hugging Face checkpoint: config.json and its weights, one file or shards with an index."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.arrays.dtypes import DTYPES
from engine.errors import CheckpointError
from engine.models import architecture
from engine.prepare.torch_file import read_torch
from engine.store.mlx_folder import Index
from engine.store.safetensors_file import read_safetensors
from engine.store.stored_tensor import StoredTensor
from engine.system.documents import is_plain, parse_json, parsing, read_bytes, read_json, read_typed
from engine.text import Text, joined, shown
from engine.tokens.files import CONFIG, LEGACY_TEMPLATE, TABLES, TEMPLATE, TOKENIZER_COMPANIONS

COMPANIONS = (
    "config.json",
    "generation_config.json",
    *TABLES,
    *TOKENIZER_COMPANIONS,
    CONFIG,
    TEMPLATE,
    LEGACY_TEMPLATE,
)
READERS = {"model.safetensors": read_safetensors, "pytorch_model.bin": read_torch}  # what is preferred comes first
INTEGERS = {"BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"}
OTHER_FORMATS = {".gguf", ".h5", ".msgpack", ".pt", ".pth", ".npz", ".ckpt", ".onnx"}
MAX_SHOWN_NAMES = 3  # names in a message
MAX_COMPANION_BYTES = 100_000_000  # some times what the largest vocabularies take
DOWNLOAD_AGAIN = Text("Download the checkpoint again.")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's config and where its weights lie, by name. They are read when they are asked for."""

    folder: Path
    config: dict[str, Any]
    weights: dict[str, StoredTensor]

    @property
    def dtype(self) -> str:
        """The name of the dtype that most weights have, of those that are read."""
        sizes = dict.fromkeys(DTYPES, 0)
        for tensor in self.weights.values():
            if tensor.dtype in sizes:
                sizes[tensor.dtype] += tensor.size
        return max(sizes, key=lambda name: sizes[name])

    @classmethod
    def open(cls, folder: Path) -> "Checkpoint":
        """Read config and headers, and check both. Raises CheckpointError for what is no whole, honest checkpoint."""
        config = read_config(folder)
        for name in COMPANIONS:
            read_companion(folder / name)
        return cls(folder, config, _read_weights(folder))

    def fit(
        self, shapes: Mapping[str, tuple[int, ...]], rename: Callable[[str], str | None]
    ) -> dict[str, StoredTensor]:
        """The weights under a model's own names, in its order.

        shapes: of the model's parameters. rename: from a checkpoint's name to the model's; None for what it leaves out.
        Buffers of integers are left out as well where the model has none of that name.
        Raises CheckpointError where one lacks or does not match what the other has.
        """
        renamed = ((rename(name), tensor) for name, tensor in self.weights.items())
        own = [(name, tensor) for name, tensor in renamed if name in shapes or tensor.dtype not in INTEGERS]
        fitted = {name: tensor for name, tensor in own if name is not None}
        twice = len(fitted) != sum(name is not None for name, _ in own)
        wrong = [name for name in fitted if name in shapes and fitted[name].shape != tuple(shapes[name])]
        missing = [name for name in shapes if name not in fitted]
        unknown = [name for name in fitted if name not in shapes]
        unread = [name for name in fitted if name in shapes and fitted[name].dtype not in DTYPES]
        shaped = [f"{name} {list(fitted[name].shape)}, not {list(shapes[name])}" for name in wrong]
        told = {
            Text("missing: {names}", names=_listed(missing)): missing,
            Text("unknown: {names}", names=_listed(unknown)): unknown,
            Text("of a dtype that is not read: {names}", names=_listed(unread)): unread,
            Text("of another shape: {names}", names=_listed(shaped)): wrong,
            Text("there twice: under an older and a newer name"): twice,
        }
        if problems := [text for text, found in told.items() if found]:
            raise CheckpointError(
                "The weights in {folder} do not fit its config.json. {problems}.",
                folder=self.folder,
                problems=joined("{before}; {next}", problems),
            )
        return {name: fitted[name] for name in shapes}


def _read_weights(folder: Path) -> dict[str, StoredTensor]:
    for whole, read in READERS.items():
        index = folder / f"{whole}.index.json"
        if index.is_file():
            return _read_shards(index, Path(whole).suffix, read)
        if (folder / whole).is_file():
            return read(folder / whole)
    others = sorted(path.name for path in folder.iterdir() if path.suffix in OTHER_FORMATS)
    hint = Text("{others} cannot be read.", others=_listed(others)) if others else DOWNLOAD_AGAIN
    raise CheckpointError(
        "{folder} lacks {files}, whole or in shards with an index. {hint}",
        folder=folder,
        files=joined("{before} or {next}", READERS),
        hint=hint,
    )


def _read_shards(index: Path, suffix: str, read: Callable[[Path], dict[str, StoredTensor]]) -> dict[str, StoredTensor]:
    with parsing(index, CheckpointError, DOWNLOAD_AGAIN):
        places = read_typed(index, Index).weight_map
    files = sorted(set(places.values()))
    if strange := [file for file in files if not is_plain(file) or not file.endswith(suffix)]:
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
    few, more = ", ".join(shown(name).strip("'\"") for name in names[:MAX_SHOWN_NAMES]), len(names) - MAX_SHOWN_NAMES
    return Text("{names} and {more} more", names=few, more=more) if more > 0 else few


def read_companion(path: Path) -> bytes | None:
    """The bytes of a file beside the weights, without a byte order mark; None where there is none.

    Raises CheckpointError for one that is not whole: empty, cut off, or a pointer of Git LFS.
    """
    if not path.is_file():
        return None
    with parsing(path, CheckpointError, DOWNLOAD_AGAIN):
        content = read_bytes(path, MAX_COMPANION_BYTES)
        if path.suffix == ".json":
            parse_json(content)
        return content


def read_plain_config(folder: Path) -> dict[str, Any]:
    """A checkpoint's config.json as it is. Raises CheckpointError."""
    path = folder / "config.json"
    with parsing(path, CheckpointError, DOWNLOAD_AGAIN):
        if not folder.is_dir():
            raise CheckpointError("There is no folder {folder}.", folder=folder)
        if not path.exists():
            raise CheckpointError(
                "{path} is missing: {folder} is no checkpoint in Hugging Face form.", path=path, folder=folder
            )
        return read_json(path)


def read_config(folder: Path) -> dict[str, Any]:
    """A checkpoint's config.json, its sizes checked. Raises CheckpointError."""
    config = read_plain_config(folder)
    with parsing(folder / "config.json", CheckpointError, DOWNLOAD_AGAIN):
        architecture(config).ModelArgs.parse(config)
    return config
