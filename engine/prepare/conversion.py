"""From an original checkpoint to one in MLX's form, quantised: what mlx-lm's own conversion makes, in bounded memory.

mlx-lm's `sanitize` says what becomes of a checkpoint's tensors. It is given them unevaluated. What comes out as it went
in is a range of a file, and is quantised row by row. What comes out computed is evaluated by itself; and of a container
of experts, which may be larger than memory, one expert at a time: `sanitize` is asked again by a model that has one.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile, rmtree
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module
from mlx.utils import tree_flatten
from mlx_lm.utils import infer_quant_config

from engine.arrays.dtypes import BY_NAME
from engine.errors import CheckpointError, FlawError
from engine.models.mlx_lm import build_mlx_lm, containers
from engine.prepare.checkpoint import COMPANIONS, read_plain_config
from engine.prepare.room import check_room, pausing
from engine.store.safetensors_file import read_safetensors
from engine.store.safetensors_writer import in_shards, reserve, write_index
from engine.store.stored_tensor import StoredTensor
from engine.system.documents import DOWNLOAD_AGAIN, parsing
from engine.system.files import hold, write_whole
from engine.text import Text, shown

SHARD_BYTES = 5_000_000_000
PIECE_BYTES = 64_000_000  # of a tensor's rows, quantised at once
RESERVE_BYTES = 500_000_000  # of the disk that stay free
BLOCK_BYTES = 512  # in which the system counts what a file takes
JOURNAL, LOCK = "conversion.json", "conversion.lock"
EXPERT = re.compile(r"(?<=\bexperts\.)(\d+)(?=\.)")
LAYER = re.compile(r"\blayers\.(\d+)\.")

Arrays = dict[str, mx.array]
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Quantisation:
    """The form that weights are to have: bits 2 to 8 in groups of 32, 64 or 128 (affine), or mxfp4, mxfp8, nvfp4."""

    bits: int = 4
    group_size: int = 64
    mode: str = "affine"

    @property
    def config(self) -> dict[str, Any]:
        """The same as config.json says it."""
        return {"group_size": self.group_size, "bits": self.bits, "mode": self.mode}


def convert(
    checkpoint: Path, out: Path, quantisation: Quantisation | None = None, progress: Progress = lambda *_: None
) -> int:
    """Write the checkpoint `out` in MLX's form; returns its bytes. Called again, it goes on where it was interrupted.

    quantisation: None leaves 16 bits. Raises CheckpointError, DiskFullError, FlashbulbError if another process does it.
    """
    if out.exists():
        raise CheckpointError("{out} exists already. Choose another folder.", out=out)
    conversion = _Conversion(checkpoint, quantisation)
    partial = out.with_name(f"{out.name}.partial")
    with pausing(out, partial, lambda: conversion.bytes - _allocated_bytes(partial)):
        partial.mkdir(parents=True, exist_ok=True)
        lock = hold(partial / LOCK, Text("preparing {folder}", folder=out))
        try:
            check_room(conversion.bytes + RESERVE_BYTES - _allocated_bytes(partial), out)
            conversion.write(partial, progress)
            for name in COMPANIONS:
                if name != "config.json" and (checkpoint / name).is_file():
                    copyfile(checkpoint / name, partial / name)
            write_whole(partial / "config.json", json.dumps(conversion.config, indent=2))
            (partial / JOURNAL).unlink(missing_ok=True)
        finally:
            lock.close()
        (partial / LOCK).unlink(missing_ok=True)
        partial.rename(out)
    return conversion.bytes


def _allocated_bytes(folder: Path) -> int:
    """Bytes that the files in a folder take on the disk, however long they are."""
    return sum(path.stat().st_blocks * BLOCK_BYTES for path in folder.glob("*"))


def give_up_conversion(out: Path) -> None:
    """Delete what an interrupted conversion has written."""
    rmtree(out.with_name(f"{out.name}.partial"), ignore_errors=True)


@dataclass(frozen=True)
class _Place:
    """A tensor's place in the new checkpoint."""

    path: Path
    offset: int
    array: mx.array  # unevaluated: shape and dtype alone


class _Conversion:
    def __init__(self, checkpoint: Path, quantisation: Quantisation | None):
        self._folder = checkpoint
        path, self._original = checkpoint / "config.json", read_plain_config(checkpoint)
        plain = {name: value for name, value in self._original.items() if not name.startswith("quantization")}
        if "quantization" in self._original:
            raise CheckpointError("{folder} is in MLX's form already: it runs as it is.", folder=checkpoint)
        self._tensors = _tensors(checkpoint)
        self._model = build_mlx_lm(plain, path)
        self._load()
        self._containers = [name for name, _ in containers(self._model)]
        self._experts = {name: _count(module) for name, module in containers(self._model)}
        self.config = plain | {"quantization": self._quantise(quantisation)}
        if not self.config["quantization"]:
            del self.config["quantization"]
        self.target: Arrays = dict(tree_flatten(self._model.parameters()))
        self.bytes = sum(array.nbytes for array in self.target.values())
        self._one = build_mlx_lm(_with_one_expert(plain, set(self._experts.values())), path) if self._experts else None
        self._check_names()

    def _load(self) -> None:
        """Begin with unevaluated tensors: those that were evaluated are let go."""
        self._lazy = _lazy(self._folder)
        self._sources = {id(array): self._tensors[name] for name, array in self._lazy.items() if name in self._tensors}
        self._sanitized = self._asked(self._model, self._lazy)

    def _check_names(self) -> None:
        missing = [name for name in self.target if not {name, _source_of(name)} & self._sanitized.keys()]
        if missing:
            raise CheckpointError(
                "{folder} lacks {count} of the model's tensors, among them {name}. Download the model again.",
                folder=self._folder,
                count=len(missing),
                name=shown(missing[0]),
            )

    # --------------------------------------------------------------------------------- what is to be written
    def _quantise(self, wanted: Quantisation | None) -> dict[str, Any]:
        """Give the model the layers of the new checkpoint; returns what its config says of them."""
        from mlx.nn import quantize

        packed = {
            path: infer_quant_config(path, module, self._sanitized)
            for path, module in self._model.named_modules()
            if f"{path}.scales" in self._sanitized and hasattr(module, "to_quantized")
        }
        finer, described = getattr(self._model, "quant_predicate", None), dict(wanted.config) if wanted else {}

        def chosen(path: str, module: Module) -> bool | dict[str, Any]:
            if not hasattr(module, "to_quantized"):
                return False
            form: bool | dict[str, Any] = packed.get(path, False)
            if not form and wanted and module.weight.shape[-1] % wanted.group_size == 0:
                form = finer(path, module) if finer else True
            if isinstance(form, dict):
                described[path] = form
            elif described and not form and wanted:
                described[path] = False
            return form

        first = wanted or Quantisation()
        quantize(self._model, first.group_size, first.bits, mode=first.mode, class_predicate=chosen)
        return described

    def write(self, folder: Path, progress: Progress) -> None:
        places, units = self._lay_out(folder), [*self._units()]
        purpose = json.dumps(self.config, sort_keys=True)
        done = _read_journal(folder / JOURNAL, purpose)
        written, layer = 0, None
        for unit, names in units:
            if unit not in done:
                progress(unit, written / self.bytes)
                if _layer(unit) != layer:
                    self._load()
                    layer = _layer(unit)
                self._write_unit(unit, names, places)
                done.append(unit)
                write_whole(folder / JOURNAL, json.dumps({"purpose": purpose, "done": done}))
            written += sum(self.target[name].nbytes for name in names)
        progress("", 1.0)

    def _units(self) -> Iterator[tuple[str, list[str]]]:
        """The tensors that are written at once: a container's, or those of one module."""
        left = dict.fromkeys(self.target)
        for path in self._containers:
            names = [name for name in left if name.startswith(f"{path}.")]
            for name in names:
                del left[name]
            yield path, names
        modules: dict[str, list[str]] = {}
        for name in left:
            modules.setdefault(_source_of(name), []).append(name)
        yield from modules.items()

    def _lay_out(self, folder: Path) -> dict[str, _Place]:
        """Make the files, with headers, as large as they will be."""
        places: dict[str, _Place] = {}
        for file, names in in_shards(self.target, SHARD_BYTES).items():
            starts = reserve(folder / file, {name: self.target[name] for name in names}, {"format": "mlx"})
            places |= {name: _Place(folder / file, start, self.target[name]) for name, start in starts.items()}
        write_index(folder, {name: place.path.name for name, place in places.items()}, self.bytes)
        return places

    # ------------------------------------------------------------------------------------------- the tensors
    def _write_unit(self, unit: str, names: list[str], places: Mapping[str, _Place]) -> None:
        if unit in self._experts:
            self._write_experts(unit, names, places)
        elif (source := self._sources.get(id(self._sanitized.get(unit)))) is not None and not source.transposed:
            self._write_rows(unit, places, source)
        else:
            arrays = {name: self._sanitized[name] for name in names if name in self._sanitized}
            self._put(self._formed(unit, arrays or {unit: self._sanitized[unit]}), places, 0)
        _flush({places[name].path for name in names})

    def _write_rows(self, unit: str, places: Mapping[str, _Place], source: StoredTensor) -> None:
        """A tensor that is as it was, a few rows after the other."""
        length = source.shape[0] if source.shape else 1
        step = max(1, PIECE_BYTES * length // source.nbytes)
        for start in range(0, length, step):
            rows = source.read(slice(start, start + step))
            rows = rows if source.shape else rows.reshape(())
            self._put(self._formed(unit, {unit: rows}), places, start)

    def _write_experts(self, container: str, names: list[str], places: Mapping[str, _Place]) -> None:
        for expert in range(self._experts[container]):
            assert self._one is not None
            arrays = self._asked(self._one, self._of_expert(container, expert))
            for unit in dict.fromkeys(_source_of(name) for name in names):
                mine = {n: arrays[n] for n in names if n in arrays and _source_of(n) == unit}
                mine = mine or {unit: arrays[unit]}
                if any(array.shape[0] != 1 for array in mine.values()):
                    raise self._unconvertible(unit)
                self._put(self._formed(unit, mine), places, expert)

    def _of_expert(self, container: str, expert: int) -> Arrays:
        """The checkpoint with one expert: of tensors of their own those of that one, under the first's name, and of
        stacked ones its share. This layer's are read anew: what is evaluated is kept, and a slice would read all."""
        layer, count = _layer(container), self._experts[container]
        chosen: Arrays = {}
        for name, array in self._lazy.items():
            if match := EXPERT.search(name):
                if int(match[1]) == expert:
                    chosen[EXPERT.sub("0", name)] = _read_raw(self._tensors[name]) if _layer(name) == layer else array
            elif array.ndim > 1 and array.shape[0] == count and _layer(name) is not None:
                chosen[name] = _read_raw(self._tensors[name], expert) if _layer(name) == layer else array[:1]
            else:
                chosen[name] = array
        return chosen

    def _formed(self, unit: str, arrays: Arrays) -> Arrays:
        """A tensor, or tensors, of a module in the form of the new checkpoint, evaluated."""
        module = unit.rpartition(".")[0]
        target = self.target[unit]
        if unit.endswith(".weight") and f"{module}.scales" in self.target and f"{module}.scales" not in arrays:
            described: Any = self.config["quantization"]
            form = described.get(module, described)
            weight, mode = arrays[unit].astype(_dtype(self.target, module)), form.get("mode", "affine")
            parts = mx.quantize(weight, group_size=form["group_size"], bits=form["bits"], mode=mode)
            arrays = dict(zip((f"{module}.weight", f"{module}.scales", f"{module}.biases"), parts, strict=False))
        elif len(arrays) == 1 and arrays[unit].dtype != target.dtype and mx.issubdtype(target.dtype, mx.floating):
            arrays = {unit: arrays[unit].astype(target.dtype)}
        mx.eval(*arrays.values())
        return arrays

    def _put(self, arrays: Arrays, places: Mapping[str, _Place], row: int) -> None:
        """Write arrays from a row of their places on."""
        for name, array in arrays.items():
            place = places[name]
            rows = place.array.shape[0] if place.array.ndim else 1
            content = memoryview(mx.contiguous(array)).cast("B")  # type: ignore[arg-type] # MLX's arrays are buffers
            with place.path.open("r+b") as file:
                file.seek(place.offset + row * (place.array.nbytes // rows))
                file.write(content)

    def _asked(self, model: Module, weights: Arrays) -> Arrays:
        with parsing(self._folder, CheckpointError, DOWNLOAD_AGAIN):
            sanitize = getattr(model, "sanitize", None)
            return dict(sanitize(dict(weights)) if sanitize else weights)

    def _unconvertible(self, name: str) -> CheckpointError:
        return CheckpointError(
            "{folder} cannot be converted: {name} is laid out in a way that is not known. Get it in MLX's form.",
            folder=self._folder,
            name=shown(name),
        )


def _tensors(checkpoint: Path) -> dict[str, StoredTensor]:
    found: dict[str, StoredTensor] = {}
    for path in _files(checkpoint):
        found |= read_safetensors(path)
    return found


def _lazy(checkpoint: Path) -> Arrays:
    """All tensors, unevaluated. A file's header is checked before MLX sees it."""
    found: Arrays = {}
    for path in _files(checkpoint):
        loaded = mx.load(str(path))
        assert isinstance(loaded, dict)
        found |= loaded
    return found


def _files(checkpoint: Path) -> list[Path]:
    files = sorted(path for path in checkpoint.glob("*.safetensors") if not path.name.startswith("."))
    if not files:
        raise CheckpointError(
            "{folder} has no weights in safetensors. Download the model in that form.", folder=checkpoint
        )
    return files


def _with_one_expert(config: dict[str, Any], counts: set[int]) -> dict[str, Any]:
    """The config of the same model with a single expert in each container."""

    def changed(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: changed(name, inner) for name, inner in value.items()}
        if isinstance(value, list) and "expert" in key:
            return [changed(key, inner) for inner in value]
        return 1 if type(value) is int and value in counts and "expert" in key and "per_tok" not in key else value

    return {name: changed(name, value) for name, value in deepcopy(config).items()}


def _count(container: Module) -> int:
    """The experts of a container."""
    part = next(module for module in container.children().values() if hasattr(module, "weight"))
    return int(part.weight.shape[0])


def _layer(name: str) -> int | None:
    match = LAYER.search(name)
    return int(match[1]) if match else None


def _source_of(name: str) -> str:
    """The tensor that a quantised module's scales and biases come from: its weight."""
    module, _, part = name.rpartition(".")
    return f"{module}.weight" if part in ("scales", "biases") else name


def _dtype(target: Arrays, module: str) -> mx.Dtype:
    """The dtype that weights are quantised from: that of the scales, where they are floats."""
    dtype = target[f"{module}.scales"].dtype
    return dtype if mx.issubdtype(dtype, mx.floating) else mx.bfloat16


def _read_raw(tensor: StoredTensor, row: int | None = None) -> mx.array:
    """A tensor, or one row of its first axis, [1, ...], whatever its dtype."""
    size = tensor.nbytes if row is None else tensor.nbytes // tensor.shape[0]
    with parsing(tensor.path, CheckpointError, DOWNLOAD_AGAIN), tensor.path.open("rb") as file:
        file.seek(tensor.offset + (row or 0) * size)
        content = np.fromfile(file, np.uint8, size)
        if len(content) < size:
            raise FlawError("it is cut off")
    dtype = BY_NAME.get(tensor.dtype, mx.uint8)  # MLX has 8-bit floats as bytes
    return mx.array(content).view(dtype).reshape(tensor.shape if row is None else (1, *tensor.shape[1:]))


def _flush(paths: set[Path]) -> None:
    for path in paths:
        with path.open("r+b") as file:
            os.fsync(file.fileno())


def _read_journal(path: Path, purpose: str) -> list[str]:
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        return [str(unit) for unit in noted["done"]] if noted["purpose"] == purpose else []
    except (OSError, ValueError, KeyError, TypeError):
        return []
