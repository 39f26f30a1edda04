"""Running a calibration text through a model, layer by layer, and recording what each FFN sees.

The text's hidden states lie in files, one for each layer reached, so that memory holds one layer and one run of text
whatever the model's size, and so that a run that was killed goes on from its last whole layer. The held-out part of the
text goes through a second time with predicted selection: what that costs is measured at the end.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from engine.arrays.products import as_float32
from engine.models.activations import Activation
from engine.models.ffn import Resident
from engine.sparsity.predictor import Predictor
from engine.sparsity.training import LayerActivity
from engine.tokens.corpus import Sequence

HELD_OUT_INTERVAL = 5  # every fifth run of text is not trained on
MIN_RUNS = 10  # a text is cut into at least so many, if it is not very short
MIN_RUN_TOKENS = 64  # tokens of a run
BATCH_TOKENS = 1024  # tokens that go through a layer together
PIECE_NEURONS = 1024  # neurons at a time; a multiple of 8, as their bits are packed


class Stream:
    """The hidden states of some runs of text between two layers, float32 [tokens, width], in one file a layer."""

    def __init__(self, folder: Path, name: str, runs: list[list[int]], width: int):
        self.runs = runs
        self._folder, self._name, self._width = folder, name, width
        self._ends = [0, *np.cumsum([len(run) for run in runs]).tolist()]

    @property
    def tokens(self) -> int:
        """Tokens of all runs."""
        return int(self._ends[-1])

    def write(self, layer: int, runs: Iterable[np.ndarray]) -> None:
        """Write a layer's input, run by run, whole or not at all. Raises OSError (a full disk)."""
        path = self.path(layer)
        fresh = path.with_name(f"{path.name}.new")
        with fresh.open("wb") as file:
            for states in runs:
                file.write(np.ascontiguousarray(states).data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)

    def read(self, layer: int) -> Iterator[np.ndarray]:
        """A layer's input, run by run."""
        for start, end in zip(self._ends, self._ends[1:], strict=False):
            items = (end - start) * self._width
            states = np.fromfile(self.path(layer), np.float32, items, offset=4 * self._width * start)
            yield states.reshape(end - start, self._width)

    def path(self, layer: int) -> Path:
        """The file of a layer's input."""
        return self._folder / f"{self._name}.{layer}"


class Calibration:
    """A calibration text on its way through a model. `folder` holds its hidden states.

    runs: token ids, each run with a context of its own. quantised: the held-out part goes a third time through it, with
    neurons as they were before.
    """

    def __init__(self, folder: Path, runs: list[list[int]], width: int, quantised: bool = False):
        self._held = [i % HELD_OUT_INTERVAL == HELD_OUT_INTERVAL // 2 for i in range(len(runs))]
        if len(runs) <= HELD_OUT_INTERVAL // 2:
            self._held = [True] * len(runs)  # a text this short is all there is to measure on
        by_length = sorted(range(len(runs)), key=lambda i: len(runs[i]))  # so that little is padded
        runs, self._held = [runs[i] for i in by_length], [self._held[i] for i in by_length]
        held_out = [run for run, held in zip(runs, self._held, strict=True) if held]
        self._exact, self._predicted = (
            Stream(folder, "exact", runs, width),
            Stream(folder, "predicted", held_out, width),
        )
        self._original = Stream(folder, "original", held_out, width) if quantised else None
        self._inputs, self._width = folder / "inputs", width

    @property
    def tokens(self) -> int:
        """Tokens of the whole text."""
        return self._exact.tokens

    @property
    def held_out_tokens(self) -> int:
        """Tokens that nothing is trained on."""
        return self._predicted.tokens

    @property
    def _streams(self) -> list[Stream]:
        return [self._exact, self._predicted, *([self._original] if self._original else [])]

    def embed(self, embed: Callable[[mx.array], mx.array]) -> None:
        """Write the first layer's input: [1, tokens, width] of token ids [1, tokens]."""
        for stream in self._streams:
            stream.write(0, (np.array(embed(mx.array([run])).astype(mx.float32)[0]) for run in stream.runs))

    def record(self, layer: int, module: nn.Module, ffn: "BundledFFN") -> LayerActivity:
        """Move the text through a layer whose FFN is to be `ffn`; returns what that saw."""
        with self._inputs.open("wb") as file:
            recorder = RecordingFFN(ffn, file)
            self._exact.write(layer + 1, run_through(module, recorder, self._exact.read(layer)))
        inputs = np.memmap(self._inputs, np.float32, "r", shape=(self.tokens, self._width))
        held_out = np.repeat(self._held, [len(run) for run in self._exact.runs])
        if held_out.all():
            held_out = np.arange(self.tokens) % HELD_OUT_INTERVAL == HELD_OUT_INTERVAL // 2
        return LayerActivity(inputs, np.concatenate(recorder.active), ffn.neurons, held_out)

    def predict(self, layer: int, module: nn.Module, ffn: "BundledFFN", predictor: Predictor) -> float:
        """Move the held-out runs through a layer as predicted selection would; returns its FFN's relative error."""
        masked = MaskedFFN(ffn, predictor)
        self._predicted.write(layer + 1, run_through(module, masked, self._predicted.read(layer)))
        return masked.error

    def compare(self, layer: int, module: nn.Module, original: "BundledFFN") -> None:
        """Move the held-out runs through a layer whose neurons are as they were before they were quantised."""
        if self._original:
            self._original.write(layer + 1, run_through(module, WholeFFN(original), self._original.read(layer)))

    def forget(self, layer: int) -> None:
        """Delete a layer's input: it is not needed any more."""
        for path in (*(stream.path(layer) for stream in self._streams), self._inputs):
            path.unlink(missing_ok=True)

    def finished(self, layers: int, finish: Callable[[mx.array], mx.array]) -> list[tuple[np.ndarray, np.ndarray]]:
        """The vectors that the head multiplies, [tokens, width], and the token that follows each, of the held-out runs.

        With exact selection first, then with predicted, then, of quantised neurons, as they were before.
        """
        exact = (states for states, held in zip(self._exact.read(layers), self._held, strict=True) if held)
        targets = np.concatenate([run[1:] for run in self._predicted.runs])
        streams = []
        for runs in (exact, *(stream.read(layers) for stream in self._streams[1:])):
            finished = [np.array(finish(mx.array(states[:-1])[None]).astype(mx.float32)[0]) for states in runs]
            streams.append((np.concatenate(finished), targets))
        return streams


def perplexity(
    streams: list[tuple[np.ndarray, np.ndarray]], head: Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]
) -> list[float]:
    """Perplexity of each (finished states, targets), in one pass over the head's pieces: rows [n, width], bias [n].

    The logits of a large vocabulary never exist all at once: their exponentials are summed piece by piece.
    """
    largest = [np.full(len(targets), -np.inf) for _, targets in streams]
    total = [np.zeros(len(targets)) for _, targets in streams]
    chosen = [np.zeros(len(targets)) for _, targets in streams]
    first = 0
    for rows, bias in head():
        for i, (states, targets) in enumerate(streams):
            for at in (slice(start, start + BATCH_TOKENS) for start in range(0, len(targets), BATCH_TOKENS)):
                scores = states[at] @ rows.T + bias
                high = np.maximum(largest[i][at], scores.max(axis=1))
                sums = np.exp(scores - high[:, None]).sum(axis=1)
                total[i][at] = total[i][at] * np.exp(largest[i][at] - high) + sums
                largest[i][at] = high
                here = np.flatnonzero((targets[at] >= first) & (targets[at] < first + len(rows)))
                chosen[i][at.start + here] = scores[here, targets[at][here] - first]
        first += len(rows)
    nats = [np.mean(high + np.log(sums) - score) for high, sums, score in zip(largest, total, chosen, strict=True)]
    return [math.exp(min(float(value), 700.0)) for value in nats]


def run_through(module: nn.Module, ffn: "PaddedFFN", runs: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Runs [tokens, width] through a layer whose FFN is to be `ffn`, in float32.

    Several go at once, as large products are faster. The shorter are padded at their ends, where no token looks.
    """
    module.ffn = ffn
    for batch in batches(runs):
        ffn.real = np.arange(max(map(len, batch))) < np.array([[len(states)] for states in batch])
        padded = np.zeros((*ffn.real.shape, batch[0].shape[1]), np.float32)
        padded[ffn.real] = np.concatenate(batch)
        x = module(mx.array(padded), "causal" if padded.shape[1] > 1 else None)
        for states, real in zip(np.array(x.astype(mx.float32)), ffn.real, strict=True):
            yield states[real]


def batches(runs: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Runs of rising length, so many together as make about `BATCH_TOKENS` tokens."""
    batch: list[np.ndarray] = []
    for states in runs:
        if batch and (len(batch) + 1) * len(states) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(states)
    yield batch


class Rows(Protocol):
    """A part of all neurons, whose rows are there in float32, [neurons, width], once they are sliced."""

    def __len__(self) -> int: ...
    def __getitem__(self, neurons: slice, /) -> np.ndarray: ...


@dataclass(frozen=True)
class StoredRows:
    """A part as it is stored: rows [neurons, width] of a bundle's items, bfloat16 as uint16."""

    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, neurons: slice) -> np.ndarray:
        return as_float32(self.rows[neurons])


class BundledFFN:
    """An FFN computed in float32 from the parts of its bundles, a piece of the neurons at a time.

    In numpy, whose BLAS is fast everywhere; MLX's on the CPU is not. parts: as the activation names them.
    """

    def __init__(self, parts: list[Rows], activation: Activation, biases: tuple[mx.array | None, ...]):
        self._parts, self._activation = parts, activation
        self._bias, self._down_bias = (None if b is None else np.array(b.astype(mx.float32)) for b in biases)
        self.neurons = len(parts[0])

    def __call__(self, x: np.ndarray, see: Callable[[slice, np.ndarray], np.ndarray] = lambda _, h: h) -> np.ndarray:
        """[n, width] of x [tokens, width], where see(neurons, hidden [tokens, neurons]) gives the hidden values
        [n, neurons] to go on with."""
        y = np.zeros((0, x.shape[1]), np.float32)
        for start in range(0, self.neurons, PIECE_NEURONS):
            piece = slice(start, min(start + PIECE_NEURONS, self.neurons))
            *inputs, down = (part[piece] for part in self._parts)
            products = [x @ part.T for part in inputs]
            if self._bias is not None:
                products[0] += self._bias[piece]
            hidden = self._activation.hidden(*products)
            added = see(piece, hidden) @ down
            y = np.add(y, added, out=y) if start else added
        return y if self._down_bias is None else y + self._down_bias

    @property
    def threshold_bias(self) -> np.ndarray:
        """The number added to the first part's product before it is compared with zero: [neurons]."""
        bias = np.zeros(self.neurons, np.float32) if self._bias is None else self._bias
        return bias - np.float32(self._activation.threshold)

    def __len__(self) -> int:
        return self.neurons

    def __getitem__(self, neurons: slice) -> np.ndarray:
        """Rows of the first part, which decides, all but alone, whether a neuron is active."""
        return self._parts[0][neurons]


class PaddedFFN(Resident):
    """A layer's `ffn(x)` for padded runs: only tokens that are `real`, bool [runs, tokens], are computed."""

    real: np.ndarray

    def __call__(self, x: mx.array) -> mx.array:
        """The FFN's output [runs, tokens, width], zero where x [runs, tokens, width] is padded."""
        y = np.zeros(x.shape, np.float32)
        y[self.real] = self._compute(np.array(x)[self.real])
        return mx.array(y)

    def _compute(self, x: np.ndarray) -> np.ndarray:
        """[tokens, width] of x [tokens, width]."""
        raise NotImplementedError


class WholeFFN(PaddedFFN):
    """Computes all neurons."""

    def __init__(self, ffn: BundledFFN):
        self._ffn = ffn

    def _compute(self, x: np.ndarray) -> np.ndarray:
        return self._ffn(x)


class RecordingFFN(PaddedFFN):
    """Writes its inputs to a file and keeps which neurons were active, as bits."""

    def __init__(self, ffn: BundledFFN, file: BinaryIO):
        self._ffn, self._file = ffn, file
        self.active: list[np.ndarray] = []

    def _compute(self, x: np.ndarray) -> np.ndarray:
        bits: list[np.ndarray] = []

        def see(_: slice, hidden: np.ndarray) -> np.ndarray:
            bits.append(np.packbits(hidden != 0, axis=1))
            return hidden

        self._file.write(x.data)
        y = self._ffn(x, see)
        self.active.append(np.concatenate(bits, axis=1))
        return y


class MaskedFFN(PaddedFFN):
    """Computes only what a predictor names, and how far that is from the whole."""

    def __init__(self, ffn: BundledFFN, predictor: Predictor):
        self._ffn, self._predictor = ffn, predictor
        self._missing = self._whole = 0.0

    @property
    def error(self) -> float:
        """Root mean square of what the FFN's outputs lack, relative to theirs."""
        return math.sqrt(self._missing / self._whole) if self._whole else 0.0

    def _compute(self, x: np.ndarray) -> np.ndarray:
        said = self._predictor.active(mx.array(x))
        both = self._ffn(x, lambda neurons, hidden: np.concatenate([hidden * said[:, neurons], hidden]))
        predicted, exact = both[: len(x)], both[len(x) :]
        self._missing += float(np.square(exact - predicted).sum())
        self._whole += float(np.square(exact).sum())
        return predicted


def cut(sequences: list[Sequence], context: int, limit: int) -> list[list[int]]:
    """Runs of tokens of a text, at most `limit` in all, each at most `context` long."""
    available = min(limit, sum(len(sequence.tokens) for sequence in sequences))
    longest = min(context, max(MIN_RUN_TOKENS, available // MIN_RUNS))
    runs = []
    for sequence in sequences:
        for start in range(0, len(sequence.tokens), longest):
            run = sequence.tokens[start : start + min(longest, limit)]
            if len(run) > 1:
                limit -= len(run)
                runs.append(run)
            if limit <= 1:
                return runs
    return runs
