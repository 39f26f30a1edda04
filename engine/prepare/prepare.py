"""`flashbulb prepare`: layer by layer, bundle the FFN, record what it does on a text, train its predictor."""

import shutil
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten, tree_map
from mlx_lm.tokenizer_utils import load as load_tokenizer

from engine.corpus import Sequence, read_sequences
from engine.errors import FlashbulbError
from engine.flash.bundles import BundleWriter
from engine.memory.budget import readable
from engine.models import build
from engine.prepare.calibration import CalibrationRun
from engine.prepare.checkpoint import COMPANIONS, Checkpoint
from engine.prepare.safetensors_file import STORED, SafetensorsWriter
from engine.prepare.stored_tensor import DTYPES
from engine.prepared import BUNDLES, PREDICTOR, RESIDENT, write_manifest
from engine.sparsity.predictor import Predictor, predictor_weights
from engine.sparsity.training import train_predictor

CALIBRATION = Path(__file__).parents[2] / "resources" / "calibration" / "dialogues.jsonl.gz"
CALIBRATION_TOKENS = 24_000
LAYERS = "model.layers."  # what the names of every model's layers begin with
PIECE_BYTES = 64_000_000  # of a tensor that is only copied


def prepare(
    checkpoint: Path,
    out: Path,
    calibration: Path | None = None,
    dtype: str | None = None,
    name: str | None = None,
    progress: Callable[[str, float], None] = lambda *_: None,
) -> dict:
    """Make a prepared model of a checkpoint; returns its manifest's content.

    dtype: of bundles and resident weights, the checkpoint's by default. progress(stage, share) may raise
    CancelledError. Everything is written beside `out` and moved there when it is whole. Raises CheckpointError,
    FlashbulbError.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FlashbulbError(f"{out} exists and is not empty. Give a new folder.")
    source = Checkpoint.open(checkpoint)
    partial = out.with_name(out.name + ".partial")
    try:
        _check_room(source, out)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        content = _Preparation(source, partial, calibration or CALIBRATION, dtype or source.dtype, progress).run()
        write_manifest(partial, {"name": name or checkpoint.resolve().name, **content})
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except OSError as error:
        raise FlashbulbError(f"{out} could not be written: {error.strerror or error}. Nothing was kept.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return content


def _check_room(source: Checkpoint, out: Path) -> None:
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    needed, free = int(1.3 * sum(w.nbytes for w in source.weights.values())), shutil.disk_usage(parent).free
    if needed > free:
        raise FlashbulbError(
            f"The disk of {parent} has {readable(free)} free, and preparing needs about {readable(needed)}. Make room."
        )


class _Preparation:
    """One run of `prepare`: the model, the calibration text's state, and what has been learned so far."""

    def __init__(self, source: Checkpoint, folder: Path, calibration: Path, dtype: str, progress):
        self._source, self._folder, self._calibration, self._progress = source, folder, calibration, progress
        self._dtype_name, self._dtype = dtype, DTYPES[dtype]
        self._model, self._args = build(source.config)
        shapes = {name: weight.shape for name, weight in tree_flatten(self._model.parameters())}
        self._stored = source.fit(shapes, self._model.rename)

    def run(self) -> dict:
        for name in COMPANIONS:
            if (self._source.folder / name).is_file():
                shutil.copyfile(self._source.folder / name, self._folder / name)
        biases, predictors, reports = {}, [], []
        sequences, text = self._calibration_sequences()
        layers = self._model.layers
        self._load_all_but_layers()
        run = CalibrationRun(self._model, sequences, self._args.max_position_embeddings, CALIBRATION_TOKENS)
        self._model = None  # its embedding has done its work; the layers are read one at a time
        parts = [layer.ffn.bundle_parts() for layer in layers]
        names = layers[0].ffn.activation.parts
        width, neurons = parts[0][0].shape[1], [first.shape[0] for first, *_ in parts]
        del parts
        with BundleWriter(self._folder / BUNDLES, STORED[self._dtype_name], width, names, neurons) as bundles:
            for i, layer in enumerate(layers):
                self._progress(f"layer {i + 1} of {len(layers)}", i / len(layers))
                layer.load_weights(self._read(f"{LAYERS}{i}."), strict=True)
                biases |= self._biases(i, layer.ffn)
                bundles.write(self._bundle(layer.ffn))
                layer.update(tree_map(lambda w: w.astype(mx.float32), layer.parameters()))
                predictor, report = self._learn(layer.ffn, run.through(layer, neurons[i]))
                predictors.append(predictor)
                reports.append(report)
                layers[i] = layer = None  # its memory is needed for the next
                mx.clear_cache()
        self._save_resident(biases)
        _save(self._folder / PREDICTOR, predictor_weights(predictors, self._dtype))
        self._progress("done", 1.0)
        return {
            "source": {"checkpoint": self._source.folder.resolve().name},
            "architecture": self._source.config["model_type"],
            "dtype": self._dtype_name,
            "neuron_order": "checkpoint",
            "calibration": {"text": text, "tokens": run.tokens},
            "layers": reports,
        }

    def _calibration_sequences(self) -> tuple[list[Sequence], str]:
        """Sequences to calibrate on, and what they are."""
        if (self._folder / "tokenizer_config.json").is_file():
            return read_sequences(self._calibration, load_tokenizer(self._folder)), self._calibration.name
        # A checkpoint without a tokenizer can only be given token ids; those are all that is known of its texts.
        tokens = np.random.default_rng(0).integers(self._args.vocab_size, size=CALIBRATION_TOKENS // 4)
        return [Sequence(tokens.tolist(), 0)], "random tokens, as the checkpoint has no tokenizer"

    def _read(self, prefix: str) -> list[tuple[str, mx.array]]:
        """What the model has below a prefix, named without it."""
        stored = self._stored.items()
        return [(name.removeprefix(prefix), tensor.read()) for name, tensor in stored if name.startswith(prefix)]

    def _load_all_but_layers(self) -> None:
        """What comes before the layers; the head, which is only copied, stays on disk."""
        outer = [name for name in self._stored if not name.startswith((LAYERS, "lm_head."))]
        self._model.load_weights([(name, self._stored[name].read()) for name in outer], strict=False)

    def _save_resident(self, biases: dict[str, mx.array]) -> None:
        """Everything but the FFNs' matrices, under the model's own names, copied piece by piece."""
        copied = {name: tensor for name, tensor in self._stored.items() if ".ffn." not in name}
        shapes = {name: tensor.shape for name, tensor in (copied | biases).items()}
        with SafetensorsWriter(self._folder / RESIDENT, self._dtype_name, shapes) as file:
            for tensor in copied.values():
                for piece in tensor.pieces(PIECE_BYTES):
                    file.write(piece.astype(self._dtype))
            for bias in biases.values():
                file.write(bias)

    def _biases(self, layer: int, ffn) -> dict[str, mx.array]:
        names = (f"ffn.{layer}.input_bias", f"ffn.{layer}.down_bias")
        return {n: b.astype(self._dtype) for n, b in zip(names, ffn.biases(), strict=True) if b is not None}

    def _bundle(self, ffn) -> np.ndarray:
        """[neurons, parts * width]: each neuron's parts side by side, items of the stored dtype's size."""
        rows = mx.concatenate([part.astype(self._dtype) for part in ffn.bundle_parts()], axis=1)
        return np.array(rows.view(mx.uint16) if self._dtype == mx.bfloat16 else rows)

    def _learn(self, ffn, activity) -> tuple[Predictor, dict]:
        first = np.array(ffn.bundle_parts()[0])  # the part that decides, all but alone, whether a neuron is active
        bias = ffn.biases()[0]
        bias = np.zeros(len(first), np.float32) if bias is None else np.array(bias)
        rank = default_rank(first.shape[1])
        trained = train_predictor(activity, first, bias - ffn.activation.threshold, rank)
        active = np.unpackbits(activity.active, axis=1, count=activity.neurons).mean()
        predictor = Predictor(mx.array(trained.down), mx.array(trained.up), mx.array(trained.bias), trained.threshold)
        return predictor, {
            "neurons": activity.neurons,
            "sparsity": round(1 - float(active), 5),
            "rank": rank,
            "threshold": trained.threshold,
            "recall": round(trained.recall, 5),
            "false_positives": round(trained.false_positives, 5),
        }


def _save(path: Path, weights: dict[str, mx.array]) -> None:
    try:
        mx.save_safetensors(str(path), weights, metadata={"format": "flashbulb"})
    except RuntimeError as error:  # what MLX makes of a full disk
        raise OSError(f"{path.name}: {error}") from error


def default_rank(width: int) -> int:
    """Rank of a predictor for a hidden width: the paper's 128 for 4096, relatively more for small ones."""
    return min(max(width // 2, 32), 128)
