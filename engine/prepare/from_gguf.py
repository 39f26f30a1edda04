"""From a GGUF file to a checkpoint in MLX's form: weights as they are, tokenizer and chat template from its metadata.

Nothing is quantised anew but Q6_K, to 8 bits; the report says how far that is off.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from msgspec import to_builtins

from engine.arrays.ggml_blocks import GROUP, Quantised, q6_k_weights, quantised
from engine.errors import CheckpointError
from engine.prepare.gguf_config import MODEL_TYPES, config_of, sampling_of
from engine.prepare.gguf_tokenizer import write_tokenizer
from engine.prepare.room import check_room, pausing, written_bytes
from engine.store.gguf import GGUFFile, GGUFTensor, open_gguf
from engine.store.safetensors_writer import SafetensorsWriter, write_index
from engine.system.documents import DOWNLOAD_AGAIN, try_read
from engine.system.files import hold, write_whole
from engine.text import Text, shown

SHARD_BYTES, LEAST_SHARD_BYTES = 1_000_000_000, 10_000_000
SHARDS = 8  # at least, of a file that is larger than so many of the least
RESERVE_BYTES = 100_000_000  # of the disk that stay free
JOURNAL, LOCK = "conversion.json", "conversion.lock"
METHOD_VERSION = 1  # to be raised when shards would come out otherwise: what was begun before is then begun anew
PLAIN_DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
PAIRED_ROPE_FAMILIES = ("llama",)  # whose rotary pairs llama.cpp keeps side by side, of queries and keys

NAMES = {  # of the modules in MLX's models
    "token_embd": "model.embed_tokens",
    "output": "lm_head",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.switch_mlp.gate_proj",
    "ffn_up_exps": "mlp.switch_mlp.up_proj",
    "ffn_down_exps": "mlp.switch_mlp.down_proj",
}


@dataclass
class GGUFReport:
    """The outcome of a conversion. types: bytes of weights by their type in the file. requantised_error: of the weights
    that MLX has no exact form for, the root mean square of their change over their own; 0 where all are exact."""

    types: dict[str, int] = field(default_factory=dict)
    requantised_error: float = 0.0


def convert_gguf(path: Path, out: Path, progress: Callable[[float], None] = lambda _: None) -> GGUFReport:
    """Write the checkpoint that a GGUF file is to the new folder `out`. progress(share) may raise CancelledError.

    Everything is written to `out`.partial and moved when it is whole. What is interrupted, by whatever, goes on from
    its last whole shard when it is called again. Raises CheckpointError for a file that cannot be read or run,
    DiskFullError, FlashbulbError if another process does it or the folder cannot be written.
    """
    file = open_gguf(path)
    architecture = _architecture(file)
    if out.exists():
        raise CheckpointError("{out} exists already. Choose another folder.", out=out)
    partial = out.with_name(f"{out.name}.partial")
    with pausing(out, partial, lambda: file.weight_bytes - written_bytes(partial)):
        partial.mkdir(parents=True, exist_ok=True)
        lock = hold(partial / LOCK, Text("preparing {folder}", folder=out))
        try:
            check_room(file.weight_bytes + RESERVE_BYTES - written_bytes(partial), out)
            report = _write(file, architecture, partial, progress)
        except CheckpointError:  # which no second try mends
            shutil.rmtree(partial, ignore_errors=True)
            raise
        finally:
            lock.close()
        partial.rename(out)
    return report


def _write(file: GGUFFile, architecture: str, folder: Path, progress: Callable[[float], None]) -> GGUFReport:
    """Write all files of the checkpoint, and delete those of the conversion."""
    config = config_of(file, architecture)
    writer = _Writer(folder, file, architecture, progress)
    report = writer.write()
    form = {"quantization": writer.quantization} if writer.quantization else {}
    write_whole(folder / "config.json", json.dumps(config | form, indent=2))
    if sampling := sampling_of(file.metadata):
        write_whole(folder / "generation_config.json", json.dumps({"do_sample": True, **sampling}))
    write_tokenizer(file, architecture, folder)
    for name in (JOURNAL, LOCK):
        (folder / name).unlink(missing_ok=True)
    return report


def _architecture(file: GGUFFile) -> str:
    name = file.metadata.get("general.architecture")
    if name not in MODEL_TYPES:
        raise CheckpointError(
            "{path} holds a model of the architecture {name}, which cannot be taken from GGUF yet. Get the same model "
            "in MLX's form (safetensors).",
            path=file.path,
            name=shown(name),
        )
    return str(name)


@dataclass(frozen=True)
class _Shard:
    """A shard that is whole on disk. weights: their names. forms: of the modules that are quantised. change, size: of
    those that were quantised anew, the sums of squares of their change and of their own."""

    weights: list[str]
    forms: dict[str, dict[str, int | str]]
    change: float
    size: float


@dataclass(frozen=True)
class _Journal:
    """The shards that are whole. purpose: of which file, as it was then."""

    purpose: str
    shards: list[_Shard]


class _Writer:
    def __init__(self, folder: Path, file: GGUFFile, architecture: str, progress: Callable[[float], None]):
        self._folder, self._file, self._architecture, self._progress = folder, file, architecture, progress
        self._heads = {"attn_q": self._count("attention.head_count"), "attn_k": self._count("attention.head_count_kv")}
        self._purpose = _purpose(file)
        self._forms: dict[str, dict[str, int | str]] = {}
        self._errors: list[tuple[float, float]] = []
        self.quantization: dict[str, Any] = {}

    def write(self) -> GGUFReport:
        """Write the shards that are not there yet, and their index."""
        shards, done, report = self._noted(), 0, GGUFReport()
        for number, tensors in enumerate(self._planned()):
            if number >= len(shards):
                self._progress(done / self._file.weight_bytes)
                shards.append(self._shard(tensors, number, done))
                self._note(shards)
            for tensor in tensors:
                report.types[tensor.type.name] = report.types.get(tensor.type.name, 0) + tensor.nbytes
                done += tensor.nbytes
        self._progress(1.0)
        self._finish(shards)
        size = sum(shard.size for shard in shards)
        report.requantised_error = float(np.sqrt(sum(shard.change for shard in shards) / size)) if size else 0.0
        return report

    def _planned(self) -> Iterator[list[GGUFTensor]]:
        """The file's tensors, a list for each shard: none is larger than another by more than a tensor."""
        room = min(SHARD_BYTES, max(LEAST_SHARD_BYTES, self._file.weight_bytes // SHARDS))
        shard: list[GGUFTensor] = []
        for tensor in self._file.tensors.values():
            shard.append(tensor)
            if sum(tensor.nbytes for tensor in shard) >= room:
                yield shard
                shard = []
        if shard:
            yield shard

    def _shard(self, tensors: list[GGUFTensor], number: int, done: int) -> _Shard:
        """Write a shard. done: bytes of the file that are converted before it."""
        self._forms, self._errors = {}, []
        arrays: dict[str, mx.array] = {}
        for tensor in tensors:
            arrays |= dict(self._converted(tensor))
            done += tensor.nbytes
            self._progress(done / self._file.weight_bytes)
        _save(self._folder / _shard_name(number), arrays)
        change, size = (sum(column) for column in zip(*self._errors, strict=True)) if self._errors else (0.0, 0.0)
        return _Shard(list(arrays), self._forms, change, size)

    def _finish(self, shards: list[_Shard]) -> None:
        """Write the index, and gather the forms of all modules; the first one's is that of those that have none."""
        places = {name: _shard_name(number) for number, shard in enumerate(shards) for name in shard.weights}
        forms = {module: form for shard in shards for module, form in shard.forms.items()}
        self.quantization = {**next(iter(forms.values()), {}), **forms}
        write_index(self._folder, places, self._file.weight_bytes)

    def _noted(self) -> list[_Shard]:
        """The shards that an earlier run left whole; what else it left is deleted."""
        noted = try_read(self._folder / JOURNAL, _Journal)
        shards = noted.shards if noted is not None and noted.purpose == self._purpose else []
        whole = {_shard_name(number) for number in range(len(shards))}
        there = {path.name for path in self._folder.glob("model-*")}
        if not whole <= there:
            shards, whole = [], set()
        for name in there - whole:
            (self._folder / name).unlink()
        return shards

    def _note(self, shards: list[_Shard]) -> None:
        write_whole(self._folder / JOURNAL, json.dumps(to_builtins(_Journal(self._purpose, shards))))

    def _count(self, key: str) -> int:
        value = self._file.metadata.get(f"{self._architecture}.{key}")
        return value if type(value) is int and value > 0 else 1

    def _converted(self, tensor: GGUFTensor) -> Iterator[tuple[str, mx.array]]:
        name = _module(tensor, self._file)
        if name is None:
            return
        module, part = name.rsplit(".", 1)
        content = self._in_order(tensor)
        if tensor.type.name in PLAIN_DTYPES:
            yield name, _plain(tensor, content)
            return
        matrix = self._quantised(tensor, content)
        self._describe(module, matrix)
        yield f"{module}.{part}", _shaped(matrix.weight, tensor)
        yield f"{module}.scales", _shaped(matrix.scales, tensor)
        if matrix.biases is not None:
            yield f"{module}.biases", _shaped(matrix.biases, tensor)

    def _in_order(self, tensor: GGUFTensor) -> bytes:
        """A tensor's bytes; queries and keys with their rows in the order of Hugging Face's models."""
        content, heads = tensor.read(), self._heads.get(tensor.name.split(".")[-2], 0)
        if self._architecture not in PAIRED_ROPE_FAMILIES or not heads:
            return content
        rows = tensor.shape[0]
        if rows % (2 * heads):
            raise CheckpointError(
                "{path} cannot be read: {name} does not have the rows of {heads} heads. {cure}",
                path=tensor.path, name=tensor.name, heads=heads, cure=DOWNLOAD_AGAIN,
            )  # fmt: skip
        paired = np.frombuffer(content, np.uint8).reshape(heads, rows // heads // 2, 2, -1)
        return paired.swapaxes(1, 2).tobytes()

    def _quantised(self, tensor: GGUFTensor, content: bytes) -> Quantised:
        columns = tensor.shape[-1]
        rows = tensor.nbytes // tensor.row_bytes
        try:
            matrix = quantised(tensor.type.name, content, rows, columns)
        except KeyError as error:
            raise CheckpointError(
                "{path} has weights of the type {type}, which MLX has no form for. Get the model in another "
                "quantisation, such as Q4_K_M or Q8_0.",
                path=tensor.path,
                type=tensor.type.name,
            ) from error
        if tensor.type.name == "Q6_K":
            self._compare(matrix, q6_k_weights(np.frombuffer(content, np.uint8).reshape(-1, tensor.type.bytes)))
        return matrix

    def _compare(self, matrix: Quantised, weights: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        change = np.array(matrix.dequantised()).reshape(weights.shape) - weights
        self._errors.append((float(np.square(change).sum()), float(np.square(weights).sum())))

    def _describe(self, module: str, matrix: Quantised) -> None:
        self._forms[module] = {"group_size": GROUP, "bits": matrix.bits, "mode": matrix.mode}


def _purpose(file: GGUFFile) -> str:
    """All that decides how the shards come out."""
    state = file.path.stat()
    return f"{METHOD_VERSION}: {file.path.resolve()}, {state.st_size} bytes of {state.st_mtime_ns}"


def _shard_name(number: int) -> str:
    return f"model-{number + 1:05d}.safetensors"


def _save(path: Path, arrays: dict[str, mx.array]) -> None:
    """Raises OSError."""
    with SafetensorsWriter(path, arrays, {"format": "mlx"}) as file:
        for array in arrays.values():
            file.write(array)


def _module(tensor: GGUFTensor, file: GGUFFile) -> str | None:
    """The name of a tensor in MLX's model; None for what the config says already."""
    if tensor.name == "rope_freqs.weight":
        return None
    match = re.fullmatch(r"(?:blk\.(\d+)\.)?([a-z_]+)\.(weight|bias)", tensor.name)
    if match is None or match[2] not in NAMES:
        raise CheckpointError(
            "{path} holds {name}, which models of its architecture do not have here. Get the same model in MLX's "
            "form (safetensors).",
            path=file.path,
            name=shown(tensor.name),
        )
    layer, name, part = match.groups()
    return f"model.layers.{layer}.{NAMES[name]}.{part}" if layer is not None else f"{NAMES[name]}.{part}"


def _plain(tensor: GGUFTensor, content: bytes) -> mx.array:
    array = mx.array(np.frombuffer(content, PLAIN_DTYPES[tensor.type.name]).reshape(tensor.shape))
    return array.view(mx.bfloat16) if tensor.type.name == "BF16" else array


def _shaped(array: mx.array, tensor: GGUFTensor) -> mx.array:
    return array.reshape(*tensor.shape[:-1], array.shape[-1])
