"""Teacher-forced evaluation: what a text costs in nats, and what reading it costs in flash."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.settings import Settings
from engine.sparsity.selectors import Selector
from engine.streaming.passes import Observer, Pass
from engine.tokens.corpus import Sequence, windows


class Model(Protocol):
    """A loaded model, as far as it is evaluated."""

    settings: Settings

    @property
    def context(self) -> int:
        """Tokens of the longest context."""

    @property
    def layers(self) -> int:
        """Layers whose bundles are streamed."""

    @property
    def bundles(self) -> int:
        """Bundles of a layer."""

    @property
    def neurons(self) -> int:
        """Neurons of a layer; 0 where bundles are something else."""

    def selector(self, layer: int, /) -> Selector | None:
        """The selector of a layer's neurons; None where all are computed."""

    def prefill(self, tokens: list[int], /, *, observer: Observer) -> tuple[mx.array, Pass]:
        """Logits [1, tokens, vocabulary] of tokens that are appended, and the pass that was made."""

    def decode(self, token: int, /, *, observer: Observer) -> tuple[mx.array, Pass]:
        """Logits [1, 1, vocabulary] of a token that is appended, and the pass that was made."""

    def trim(self, tokens: int, /) -> int:
        """Keep the first tokens of the context."""


@dataclass
class Evaluation:
    """Totals over all predicted tokens. sparsity, false_negatives and false_positives are by layer. wanted, resident:
    bundles; experts: all that there are, counted for each token; 0 where bundles are neurons.

    seconds: of the model's passes. likeliest: the likeliest token at each place where one was predicted.
    false_negatives: share of active neurons the predictor missed; false_positives: share of inactive ones it named.
    Both are known only where whole layers are streamed with predicted selection.
    """

    tokens: int = 0
    predicted: int = 0
    nats: float = 0.0
    text_bytes: int = 0
    bytes_read: int = 0
    seconds: float = 0.0
    hits: int = 0
    wanted: int = 0
    resident: int = 0
    experts: int = 0
    sparsity: list[float] = field(default_factory=list)
    false_negatives: list[float] = field(default_factory=list)
    false_positives: list[float] = field(default_factory=list)
    likeliest: list[int] = field(default_factory=list)

    @property
    def perplexity(self) -> float:
        """By token."""
        return math.exp(self.nats / max(self.predicted, 1))

    def report(self) -> dict[str, Any]:
        """The figures as they are printed and written down."""
        report: dict[str, Any] = {
            "tokens": self.tokens,
            "nats_per_token": self.nats / max(self.predicted, 1),
            "perplexity": self.perplexity,
            "bits_per_byte": self.nats / math.log(2) / self.text_bytes if self.text_bytes else None,
            "bytes_read": self.bytes_read,
            "hit_rate": self.hits / self.wanted if self.wanted else None,
            "sparsity": self.sparsity,
        }
        if self.experts:
            report["experts"] = {
                "active": self.wanted / self.tokens,
                "loaded": (self.wanted - self.hits) / self.tokens,
                "resident": self.resident / self.tokens,
                "of": self.experts / self.tokens,
            }
        if self.false_negatives:
            report |= {"false_negatives": self.false_negatives, "false_positives": self.false_positives}
        return report


class Activity:
    """Counts active neurons by layer while the model runs, and, where all are known, the predictor's errors."""

    def __init__(self, model: Model):
        self.tokens = 0
        self._model = model
        self._active, self._missed, self._extra = (np.zeros(model.layers) for _ in range(3))
        self._pending: list[tuple[int, mx.array]] = []
        self._predicted = model.settings.selection.predicts
        self.measured_predictor = False

    def computed(self, layer: int, hidden: mx.array) -> None:
        """Activations over the pool: neurons outside it count as inactive."""
        self._pending.append((layer, mx.sum(hidden != 0)))

    def streamed(self, layer: int, x: mx.array, neurons: NDArray[np.int64], hidden: mx.array) -> None:
        """Activations of some neurons of a layer that is streamed whole."""
        active, selector = hidden != 0, self._model.selector(layer)
        self._active[layer] += mx.sum(active).item()
        if self._predicted and selector is not None:
            self.measured_predictor = True
            said = mx.array(selector.active(x)[..., neurons])
            self._missed[layer] += mx.sum(active & ~said).item()
            self._extra[layer] += mx.sum(said & ~active).item()

    def settle(self) -> None:
        """Take in what was counted, after the pass."""
        for layer, count in self._pending:
            self._active[layer] += count.item()
        self._pending.clear()

    def write_to(self, evaluation: Evaluation) -> None:
        """Write down the shares by layer."""
        if not self._active.any():  # nothing said which neurons were active, as where bundles are experts
            return
        everyone = self.tokens * self._model.neurons
        evaluation.sparsity = (1 - self._active / everyone).tolist()
        if self.measured_predictor:
            evaluation.false_negatives = (self._missed / np.maximum(self._active, 1)).tolist()
            evaluation.false_positives = (self._extra / np.maximum(everyone - self._active, 1)).tolist()


def evaluate(
    model: Model,
    sequences: list[Sequence],
    prefill: bool = False,
    keep_logits: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> tuple[Evaluation, NDArray[np.float32] | None]:
    """Run sequences through the decode path token by token, or through the prefill path.

    Sequences longer than the context are cut, see `windows`. Returns the totals, and with `keep_logits` the logits
    [tokens, vocabulary], float32, of every input token. progress(done, total) counts tokens.
    """
    evaluation, activity, kept = Evaluation(), Activity(model), []
    total = sum(len(s.tokens) for s in sequences)
    for sequence in sequences:
        evaluation.text_bytes += sequence.bytes
        for inputs, targets, repeated in windows(sequence.tokens, model.context):
            model.trim(0)
            activity.tokens += len(inputs)
            for first, logits, current in _passes(model, inputs, prefill, activity):
                new = max(repeated - first, 0)  # rows before it are history, predicted by an earlier run
                if new >= len(logits):
                    continue
                wanted = targets[first + new : first + len(logits)]
                _predict(evaluation, logits[new : new + len(wanted)], wanted)
                evaluation.tokens += len(logits) - new
                _account(evaluation, current, model.bundles, len(logits) - new)
                progress(evaluation.tokens, total)
                if keep_logits:
                    kept.append(np.array(logits[new:]))
    activity.write_to(evaluation)
    model.trim(0)
    return evaluation, np.concatenate(kept) if keep_logits else None


def _passes(model: Model, inputs: list[int], prefill: bool, activity: Activity) -> Iterator[tuple[int, mx.array, Pass]]:
    """Position of the first input of each pass, its logits [inputs, vocabulary], and the pass."""
    if prefill:
        logits, current = model.prefill(inputs, observer=activity)
        yield 0, logits[0], current
        return
    for position, token in enumerate(inputs):
        logits, current = model.decode(token, observer=activity)
        activity.settle()
        yield position, logits[0], current


def _predict(evaluation: Evaluation, logits: mx.array, targets: list[int]) -> None:
    """Take in logits [n, vocabulary] for n targets."""
    evaluation.nats += _nats(logits, targets)
    evaluation.predicted += len(targets)
    likeliest: Any = mx.argmax(logits, axis=-1).tolist() if targets else []
    evaluation.likeliest += likeliest


def _account(evaluation: Evaluation, current: Pass, bundles: int, tokens: int) -> None:
    evaluation.bytes_read += current.bytes_read
    evaluation.seconds += perf_counter() - current.began
    evaluation.wanted += sum(current.active)
    evaluation.hits += sum(current.active) - sum(current.loaded)
    if current.kind == "expert":
        evaluation.resident += tokens * sum(current.resident)
        evaluation.experts += tokens * bundles * current.layers


def _nats(logits: mx.array, targets: list[int]) -> float:
    """Summed cross entropy of logits [n, vocabulary] for n targets."""
    if not targets:
        return 0.0
    chosen = mx.take_along_axis(logits, mx.array(targets)[:, None], axis=-1)[:, 0]
    nats: Any = mx.sum(mx.logsumexp(logits, axis=-1) - chosen).item()
    return float(nats)
