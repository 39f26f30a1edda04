"""`flashbulb prepare`: layer by layer, bundle the FFN, record what it does on a text, train its predictor."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_map
from msgspec import to_builtins
from safetensors.numpy import save

from engine.arrays.dtypes import DTYPES
from engine.arrays.layers import use_native_layers
from engine.errors import CheckpointError, FlashbulbError, TemplateError
from engine.models import build
from engine.models.ffn import DenseFFN
from engine.prepare.calibration import BATCH_TOKENS, BundledFFN, Calibration, StoredRows, cut, perplexity
from engine.prepare.checkpoint import COMPANIONS, Checkpoint, read_companion
from engine.prepare.groups import report_groups
from engine.prepare.journal import Journal
from engine.prepare.order import neuron_order
from engine.prepare.predictors import FACTORISED, IMPORTED, TRAINED, find_predictors, import_predictor
from engine.prepare.room import check_room, pausing, written_bytes
from engine.settings import GenerationOptions
from engine.sparsity.predictor import PARTS, Predictor, weight_shapes
from engine.sparsity.training import LayerActivity, TrainedPredictor, ranks_for, train_predictor
from engine.store.bundle_file import BundleWriter
from engine.store.fitting import parameter_shapes
from engine.store.manifest import BUNDLES, ORDER, PREDICTOR, RESIDENT, write_manifest
from engine.store.packing import PackedPart, Packing
from engine.store.reports import GroupReport, LayerReport, Use
from engine.store.safetensors_writer import SafetensorsWriter, forms
from engine.store.stored_tensor import StoredTensor
from engine.system.documents import parsing
from engine.text import Text
from engine.tokens.corpus import Corpus, Sequence, holds_conversations
from engine.tokens.tokenizer import read_tokenizer

CALIBRATION = Path(__file__).parents[2] / "resources" / "calibration" / "dialogues.jsonl.gz"
CALIBRATION_TOKENS = 24_000
MAX_NAME_CHARACTERS = 200
LAYERS_PREFIX = "model.layers."  # what the names of every model's layers begin with
PERPLEXITIES = ("exact_perplexity", "predicted_perplexity", "original_perplexity")  # the last of quantised neurons
USED_WINDOW = 4  # tokens, for which it is measured how neurons are used again: the paper's
PIECE_BYTES = 64_000_000  # of a tensor that is only copied
HEAD_BYTES = 16_000_000  # of the head, beside which lie float32 copies of it and a block of logits
METHOD_VERSION = 4  # to be raised when layers would come out otherwise: what was begun before is then begun anew
WORK_FOLDER = "work"  # the folder of what is only needed until the model is prepared


def prepare(
    checkpoint: Path,
    out: Path,
    calibration: Path | None = None,
    dtype: str | None = None,
    name: str | None = None,
    predictors: str | Path = TRAINED,
    bits: int | None = None,
    progress: Callable[[str, float], None] = lambda *_: None,
) -> dict[str, Any]:
    """Make a prepared model of a checkpoint; returns its manifest's content.

    dtype: of bundles and resident weights, the checkpoint's by default. predictors: TRAINED, FACTORISED (no training)
    or a folder of published ones. bits: of neurons that are quantised, 8 or 4; their scales have the dtype.
    progress(stage, share) may raise CancelledError.

    Everything is written to `out`.partial and moved when it is whole. What is interrupted, by whatever, goes on from
    its last whole layer when it is called again. Raises CheckpointError, DiskFullError, FlashbulbError.
    """
    _check_free(out)
    source = Checkpoint.open(checkpoint)
    partial = out.with_name(out.name + ".partial")
    calibration, dtype = calibration or CALIBRATION, dtype or source.dtype
    with pausing(out, partial, lambda: _needed(source) - written_bytes(partial)):
        check_room(_needed(source) - written_bytes(partial), out)
        journal = Journal(partial / WORK_FOLDER, _purpose(source, calibration, dtype, predictors, bits))
        try:
            content = _Preparation(source, partial, journal, calibration, dtype, predictors, bits, progress).run()
            write_manifest(partial, {"name": _shown_name(name) or _shown_name(checkpoint.resolve().name), **content})
        except CheckpointError:  # which no second try mends
            shutil.rmtree(partial, ignore_errors=True)
            raise
        finally:
            journal.close()
        shutil.rmtree(partial / WORK_FOLDER)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    return content


def _shown_name(name: str | None) -> str:
    """A name as it can be shown in a line, whatever characters a folder's has."""
    return "".join(c for c in name or "" if c.isprintable()).strip()[:MAX_NAME_CHARACTERS]


def _check_free(out: Path) -> None:
    """Raises FlashbulbError unless `out` is a folder that can be made."""
    try:
        used = out.exists() and (not out.is_dir() or any(out.iterdir()))
    except OSError as error:
        raise FlashbulbError("{out} could not be written: {reason}.", out=out, reason=error.strerror) from error
    if used:
        raise FlashbulbError("{out} exists and is not empty. Give a new folder.", out=out)


def _format(flaw: TemplateError | None) -> str:
    return f" in the plain format, a line a turn, as the chat template fails ({flaw})" if flaw else ""


def _purpose(
    source: Checkpoint, calibration: Path, dtype: str, predictors: str | Path, bits: int | None
) -> dict[str, Any]:
    """All that decides how the layers come out."""
    files = {tensor.path for tensor in source.weights.values()}
    content = calibration.read_bytes() if calibration.is_file() else b""
    return {
        "method": METHOD_VERSION,
        "checkpoint": str(source.folder.resolve()),
        "files": sorted([path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files),
        "config": source.config,
        "calibration": hashlib.sha256(content).hexdigest(),
        "dtype": dtype,
        "predictors": str(predictors),
        "bits": bits,
    }


def _needed(source: Checkpoint) -> int:
    """Bytes of disk: the weights with their padding, predictors, hidden states."""
    return int(1.3 * sum(w.nbytes for w in source.weights.values()))


def _named(predictor: Predictor, inputs: np.ndarray) -> np.ndarray:
    """Bits [tokens, neurons / 8]: the neurons that a predictor names for each of the inputs [tokens, width]."""
    pieces = (mx.array(inputs[start : start + BATCH_TOKENS]) for start in range(0, len(inputs), BATCH_TOKENS))
    return np.concatenate([np.packbits(predictor.active(piece), axis=1) for piece in pieces])


class _Preparation:
    """One run of `prepare`, which may go on where an earlier one ended."""

    def __init__(
        self,
        source: Checkpoint,
        folder: Path,
        journal: Journal,
        calibration: Path,
        dtype: str,
        predictors: str | Path,
        bits: int | None,
        progress: Callable[[str, float], None],
    ):
        self._source, self._folder, self._journal, self._text = source, folder, journal, calibration
        self._dtype_name, self._dtype, self._progress = dtype, DTYPES[dtype], progress
        self._model, self._args = build(source.config)
        self._stored = source.fit(parameter_shapes(self._model), self._model.rename)
        use_native_layers(self._model)
        self._layers = len(self._model.layers)
        parts = [layer.ffn.bundle_parts() for layer in self._model.layers]
        self._neurons, self._width = [first.shape[0] for first, *_ in parts], parts[0][0].shape[1]
        self._activation = self._model.layers[0].ffn.activation
        self._packing = Packing.of(bits, self._activation.parts, self._width, dtype) if bits else None
        self._predictors = predictors
        if predictors not in (TRAINED, FACTORISED):
            find_predictors(Path(predictors), self._layers)

    def run(self) -> dict[str, Any]:
        for name in COMPANIONS:
            content = read_companion(self._source.folder / name)
            if content is not None:
                (self._folder / name).write_bytes(content)
        sequences, text = self._sequences()
        runs = cut(sequences, self._args.max_position_embeddings, CALIBRATION_TOKENS)
        calibration = Calibration(self._journal.folder, runs, self._width, self._packing is not None)
        self._bundle_layers(calibration)
        self._progress(Text("writing what stays in memory"), 0.96)
        self._save_resident()
        self._save_predictors()
        self._save_order()
        self._progress(Text("measuring the predictors"), 0.98)
        measured = perplexity(calibration.finished(self._layers, self._finish()), self._head_pieces)
        self._progress(Text("checksums"), 0.99)
        return {
            "source": {"checkpoint": _shown_name(self._source.folder.resolve().name)},
            "architecture": self._source.config["model_type"],
            "dtype": self._dtype_name,
            "neuron_order": "co-activation",
            "calibration": {
                "text": text,
                "tokens": calibration.tokens,
                "held_out_tokens": calibration.held_out_tokens,
                **{name: round(value, 5) for name, value in zip(PERPLEXITIES, measured, strict=False)},
            },
            **self._quantization(),
            "layers": to_builtins(self._journal.layers),
        }

    def _quantization(self) -> dict[str, Any]:
        if self._packing is None:
            return {}
        form = self._packing.form
        return {"quantization": {"bits": form.bits, "group_size": form.group_size}}

    def _sequences(self) -> tuple[list[Sequence], str]:
        """Sequences to calibrate on, and what they are."""
        tokenizer = read_tokenizer(self._folder, self._source.config)
        if tokenizer is not None:
            flaw = tokenizer.template_flaw if holds_conversations(self._text) else None
            options = GenerationOptions(plain_format=flaw is not None)
            sequences, size = Corpus.read(self._text).sequences(tokenizer, options), self._args.vocab_size
            if (largest := max(max(sequence.tokens) for sequence in sequences)) >= size:
                raise CheckpointError(
                    "The tokenizer in {folder} makes token {token}, but the model has only {size}: it is another "
                    "model's. Download the checkpoint again.",
                    folder=self._source.folder,
                    token=largest,
                    size=size,
                )
            return sequences, self._text.name + _format(flaw)
        # A checkpoint without a tokenizer can only be given token ids; those are all that is known of its texts.
        tokens = np.random.default_rng(0).integers(self._args.vocab_size, size=CALIBRATION_TOKENS // 4)
        return [Sequence(tokens.tolist(), 0)], "random tokens, as the checkpoint has no tokenizer"

    # ------------------------------------------------------------------------------------------------ layers
    def _bundle_layers(self, calibration: Calibration) -> None:
        done = len(self._journal.layers)
        if not done:
            self._progress(Text("embedding the calibration text"), 0.0)
            self._load([name for name in self._stored if not name.startswith((LAYERS_PREFIX, "lm_head."))])
            calibration.embed(self._model.embed)
            self._unload()
        dtype, names = self._dtype_name, self._activation.parts
        path, packing = self._folder / BUNDLES, self._packing
        with BundleWriter(path, dtype, self._width, names, self._neurons, done, packing) as bundles:
            for i in range(done, self._layers):
                self._progress(
                    Text("layer {layer} of {layers}", layer=i + 1, layers=self._layers), 0.95 * i / self._layers
                )
                self._journal.add(self._layer(i, calibration, bundles))
                calibration.forget(i)
                self._model.layers[i] = nn.Module()  # its memory is needed for the next
                mx.clear_cache()

    def _layer(self, i: int, calibration: Calibration, bundles: BundleWriter) -> LayerReport:
        """Bundle a layer; returns what is said of it in the manifest."""
        layer = self._model.layers[i]
        layer.load_weights(self._read(f"{LAYERS_PREFIX}{i}."), strict=True)
        biases = layer.ffn.biases()
        rows, packed = self._rows(i, layer.ffn), self._packed(i, layer.ffn)
        parts = [rows[:, start : start + self._width] for start in range(0, rows.shape[1], self._width)]
        original = BundledFFN([*map(StoredRows, parts)], self._activation, biases)
        ffn = BundledFFN([*packed], self._activation, biases) if packed else original
        # Norms are computed in float32; matrices stay as they are stored, and are converted one at a time when used.
        layer.update(tree_map(lambda w: w.astype(mx.float32) if w.ndim == 1 else w, layer.parameters()))
        activity = calibration.record(i, layer, ffn)
        trained, kind = self._learn(i, ffn, activity)
        predictor = self._as_stored(trained)
        named = _named(predictor, activity.inputs)
        order = neuron_order(named, ffn.neurons)
        sparsity, use = 1 - activity.density, activity.use(USED_WINDOW)
        groups = self._groups(activity, named, order)
        del activity, named  # what it maps and holds is as large as the layer
        error = calibration.predict(i, layer, ffn, predictor)
        calibration.compare(i, layer, original)
        if packed:
            bundles.write_packed(packed, order)
        else:
            bundles.write(rows, order)
        learned = {"down": trained.down, "up": trained.up[order], "bias": trained.bias[order], "order": order}
        with self._learned_file(i).open("wb") as file:
            np.savez(file, **learned)
        quality, (resident, loaded) = trained.quality, use
        return LayerReport(
            neurons=ffn.neurons,
            sparsity=round(sparsity, 5),
            use=Use(USED_WINDOW, round(resident, 5), round(loaded, 5)),
            predictor=kind,
            rank=len(trained.down),
            threshold=quality.threshold,
            recall=round(quality.recall, 5),
            false_positives=round(quality.false_positives, 5),
            output_error=round(error, 5),
            groups=groups,
        )

    def _groups(self, activity: LayerActivity, named: np.ndarray, order: np.ndarray) -> GroupReport | None:
        if self._packing is None:
            return None
        return report_groups(activity.active, named, order, self._packing.neurons, USED_WINDOW)

    def _as_stored(self, trained: TrainedPredictor) -> Predictor:
        """A predictor as it will be read again: its weights rounded to the stored dtype."""
        parts = (trained.down, trained.up, trained.bias)
        down, up, bias = (mx.array(part).astype(self._dtype).astype(mx.float32) for part in parts)
        return Predictor(down, up, bias, trained.quality.threshold, trained.relu)

    def _learn(self, i: int, ffn: BundledFFN, activity: LayerActivity) -> tuple[TrainedPredictor, str]:
        if self._predictors in (TRAINED, FACTORISED):
            epochs = {"epochs": 0} if self._predictors == FACTORISED else {}
            ranks = ranks_for(self._width)
            return train_predictor(activity, ffn, ffn.threshold_bias, ranks, **epochs), self._predictors
        return import_predictor(Path(self._predictors), i, activity), IMPORTED

    def _rows(self, i: int, ffn: DenseFFN) -> np.ndarray:
        """[neurons, parts * width]: each neuron's parts side by side, items of the stored dtype's size."""
        rows = mx.concatenate([self._cast(f"layer {i}", part) for part in ffn.bundle_parts()], axis=1)
        return np.array(rows.view(mx.uint16) if self._dtype == mx.bfloat16 else rows)

    def _packed(self, i: int, ffn: DenseFFN) -> list[PackedPart]:
        """The same quantised, part by part; none where they are not to be."""
        if self._packing is None:
            return []
        return [PackedPart.of(self._cast(f"layer {i}", part), self._packing.form) for part in ffn.bundle_parts()]

    # ------------------------------------------------------------------------------------------- what is read
    def _read(self, prefix: str) -> list[tuple[str, mx.array]]:
        """The weights that the model has below a prefix, named without it."""
        stored = self._stored.items()
        return [(name.removeprefix(prefix), tensor.read()) for name, tensor in stored if name.startswith(prefix)]

    def _load(self, names: list[str]) -> None:
        self._model.load_weights([(name, self._stored[name].read()) for name in names], strict=False)

    def _unload(self) -> None:
        """A model with nothing in memory again."""
        self._model, _ = build(self._source.config)
        use_native_layers(self._model)
        mx.clear_cache()

    def _finish(self) -> Callable[[mx.array], mx.array]:
        """The modules between the last layer and the head, loaded."""
        self._unload()
        outer = [name for name in self._stored if not name.startswith((LAYERS_PREFIX, "model.embed", "lm_head."))]
        self._load(outer)
        finish: Callable[[mx.array], mx.array] = self._model.model.finish
        return finish

    def _head_pieces(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows [some tokens of the vocabulary, width] of the head, and their biases; float32."""
        head, start = self._stored[f"{self._model.head}.weight"], 0
        bias = self._stored.get(f"{self._model.head}.bias")
        for piece in head.pieces(HEAD_BYTES):
            rows, end = np.array(piece.astype(mx.float32)), start + len(piece)
            added = np.array(bias.read(slice(start, end)).astype(mx.float32)) if bias else np.zeros(len(rows))
            yield rows, added.astype(np.float32)
            start = end

    # ---------------------------------------------------------------------------------------- what is written
    def _save_resident(self) -> None:
        """Everything but the FFNs' matrices, under the model's own names, copied piece by piece."""
        copied = {name: tensor for name, tensor in self._stored.items() if ".ffn." not in name}
        first, last = self._activation.parts[0], self._activation.parts[-1]
        biases: dict[str, StoredTensor] = {}
        for i in range(self._layers):
            names = {first: f"ffn.{i}.input_bias", last: f"ffn.{i}.down_bias"}
            found = {ours: self._stored.get(f"{LAYERS_PREFIX}{i}.ffn.{part}.bias") for part, ours in names.items()}
            biases |= {ours: tensor for ours, tensor in found.items() if tensor}
        shapes = {name: tensor.shape for name, tensor in (copied | biases).items()}
        with SafetensorsWriter(self._folder / RESIDENT, forms(self._dtype_name, shapes)) as file:
            for name, tensor in copied.items():
                for piece in tensor.pieces(PIECE_BYTES):
                    file.write(self._cast(name, piece))
            for name, tensor in biases.items():
                bias = self._cast(name, tensor.read())
                if name.endswith("input_bias"):
                    bias = bias[mx.array(self._learned(int(name.split(".")[1]))["order"])]
                file.write(bias)

    def _save_predictors(self) -> None:
        shapes = weight_shapes(self._journal.layers, self._width)
        with SafetensorsWriter(self._folder / PREDICTOR, forms(self._dtype_name, shapes)) as file:
            for i in range(self._layers):
                learned = self._learned(i)
                for part in PARTS:
                    file.write(self._cast(Text("the predictor of layer {layer}", layer=i), mx.array(learned[part])))

    def _save_order(self) -> None:
        orders = {f"layers.{i}": self._learned(i)["order"] for i in range(self._layers)}
        (self._folder / ORDER).write_bytes(save(orders, metadata={"format": "flashbulb"}))

    def _cast(self, name: str, array: mx.array) -> mx.array:
        cast = array.astype(self._dtype)
        if self._dtype == mx.float16 and array.dtype != mx.float16 and mx.any(mx.isinf(cast)).item():
            raise CheckpointError(
                "Weights of {name} are too large for float16. Prepare it with --dtype bfloat16.", name=name
            )
        return cast

    def _learned_file(self, layer: int) -> Path:
        return self._journal.folder / f"learned.{layer}.npz"

    def _learned(self, layer: int) -> dict[str, np.ndarray]:
        """The predictor and the neuron order that `_layer` left behind."""
        path = self._learned_file(layer)
        with parsing(path, CheckpointError, Text("Prepare the model again.")), np.load(path) as content:
            return dict(content)
