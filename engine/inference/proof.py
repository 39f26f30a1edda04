"""Showing on this machine that streaming changes nothing: prompts answered by all neurons, and by those selected."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.errors import BudgetError, CancelledError
from engine.inference.evaluate import Evaluation, evaluate
from engine.inference.load import find, load
from engine.inference.model import LoadedModel
from engine.planning.outlook import Outlook
from engine.settings import GenerationOptions, Selection, Settings
from engine.statistics import TokenStatistics, means
from engine.store.mlx_folder import MlxFolder, is_mlx_folder
from engine.system.machine import memory_available
from engine.tokens.corpus import Sequence
from engine.tokens.prompt import encode

PROMPTS = ("Hi! How are you today?", "What do you like to do on weekends?", "Tell me something about the sea.")
ANSWER_TOKENS = 12
ELLIPSIS = "…"
MAX_ROUNDING = 1e-3  # of the logits' range: sums in another order differ by less
FREE_SHARE = 0.8  # of the memory that is free, for everything resident
SELECTIVE = (Selection.EXACT, Selection.PREDICTOR)


@dataclass(frozen=True)
class Cost:
    """Of a token: bytes_read from flash, and seconds. memory_bytes: what the model takes, as planned."""

    bytes_read: float
    seconds: float
    memory_bytes: int


@dataclass(frozen=True)
class Comparison:
    """With all neurons. same: share of tokens that the model would write alike. difference: the largest between two
    logits, as a share of their range. perplexity: of the answers and their prompts."""

    same: float
    difference: float
    perplexity: float
    cost: Cost

    @property
    def agrees(self) -> bool:
        """True where nothing but rounding differs."""
        return self.same == 1.0 and self.difference <= MAX_ROUNDING


@dataclass(frozen=True)
class Proof:
    """answers: prompts and what all neurons answer, the likeliest token each time; an ellipsis ends one that was cut
    off. tokens: compared. perplexity, cost: of all neurons, as in a comparison."""

    answers: tuple[tuple[str, str], ...]
    tokens: int
    perplexity: float
    cost: Cost
    exact: Comparison
    predicted: Comparison | None = None  # where bundles are experts, the router says exactly which
    all_resident: bool = False  # where bundles are experts, whether all had room for the first run


def prove(
    model: str,
    settings: Settings,
    progress: Callable[[float, str], None] = lambda *_: None,
    cancelled: threading.Event | None = None,
) -> Proof:
    """Run a prepared model with all neurons, with exact and with predicted selection, one after the other.

    settings: as it is used; a budget that is too small for one of the three is raised to what that needs. progress is
    told the share that is done, and which of the three runs. Raises CancelledError, and what `load` raises.
    """
    cancelled = cancelled or threading.Event()
    if is_mlx_folder(find(model)):
        return _prove_experts(model, settings, _Progress(progress, cancelled, ("whole", "streamed")), cancelled)
    reported = _Progress(progress, cancelled)
    dense = _loaded(model, settings, Selection.DENSE)
    try:
        answers, sequences, cost = _answer(dense, reported, cancelled)
        logits, evaluation = _evaluate(dense, sequences, reported, "dense", prefill=True)
    finally:
        dense.close()
    compared = {}
    for selection in SELECTIVE:
        loaded = _loaded(model, settings, selection)
        try:
            found, evaluation_of_it = _evaluate(loaded, sequences, reported, selection)
            compared[selection] = _compare(logits, found, evaluation_of_it, loaded.budget.total)
        finally:
            loaded.close()
    return Proof(
        tuple(answers),
        len(logits),
        evaluation.perplexity,
        cost,
        compared[Selection.EXACT],
        compared[Selection.PREDICTOR],
    )


def _prove_experts(model: str, settings: Settings, reported: "_Progress", cancelled: threading.Event) -> Proof:
    """A model of experts with everything resident, and streamed within the budget that it is used with, or the smallest
    where that holds everything too. Where there is no room for everything, with as much as there is."""
    outlook = Outlook.of(MlxFolder.open(find(model)), None)
    full, smallest = outlook.full_budget(settings), outlook.smallest_budget(settings)
    most = max(smallest, min(full, int(FREE_SHARE * memory_available())))
    budget = settings.memory_budget
    whole = load(model, Settings(memory_budget=most))
    try:
        answers, sequences, cost = _answer(whole, reported, cancelled, "whole")
        logits, evaluation = _evaluate(whole, sequences, reported, "whole", prefill=True)
    finally:
        whole.close()
    streamed = load(model, Settings(memory_budget=budget if budget and smallest <= budget < most else smallest))
    try:
        found, evaluated = _evaluate(streamed, sequences, reported, "streamed")
        compared = _compare(logits, found, evaluated, streamed.budget.total)
    finally:
        streamed.close()
    return Proof(tuple(answers), len(logits), evaluation.perplexity, cost, compared, all_resident=most == full)


class _Progress:
    """Runs of equal length, as far as can be known. Raises CancelledError when that is wished."""

    def __init__(
        self,
        told: Callable[[float, str], None],
        cancelled: threading.Event,
        runs: tuple[str, ...] = ("dense", *SELECTIVE),
    ):
        self._told, self._cancelled, self._runs = told, cancelled, runs

    def __call__(self, run: str, share: float) -> None:
        if self._cancelled.is_set():
            raise CancelledError("Stopped.")
        self._told((self._runs.index(run) + min(1.0, share)) / len(self._runs), run)


def _loaded(model: str, settings: Settings, selection: Selection) -> LoadedModel:
    wanted = Settings(
        memory_budget=settings.memory_budget,
        window=settings.window,
        selection=selection,
        threshold_shift=settings.threshold_shift if selection.predicts else 0.0,
        reader_threads=settings.reader_threads,
    )
    try:
        return load(model, wanted)
    except BudgetError as error:
        return load(model, replace(wanted, memory_budget=error.smallest))


def _answer(
    model: LoadedModel, progress: _Progress, cancelled: threading.Event, run: str = "dense"
) -> tuple[list[tuple[str, str]], list[Sequence], Cost]:
    """Prompts with their answers, the tokens of both together, and what a token of an answer cost."""
    options = GenerationOptions(max_tokens=ANSWER_TOKENS, temperature=0.0)
    answers: list[tuple[str, str]] = []
    sequences: list[Sequence] = []
    costs: list[TokenStatistics] = []
    for i, prompt in enumerate(PROMPTS):
        messages = [{"role": "user", "content": prompt}]
        generation = model.generate(messages, options, cancelled)
        for j, piece in enumerate(generation):
            if not piece.prefill:
                costs.append(piece.statistics)
            progress(run, (i + (j + 1) / ANSWER_TOKENS) / (len(PROMPTS) + 1))
        progress(run, (i + 1) / (len(PROMPTS) + 1))
        cut_off = generation.summary.finish_reason in ("length", "context")
        answers.append((prompt, generation.summary.text.strip() + (ELLIPSIS if cut_off else "")))
        tokens = [*encode(model, messages, options), *generation.summary.tokens]
        sequences.append(Sequence(tokens[: model.context], 0))
    mean = means(costs)
    cost = Cost(mean.get("bytes_read", 0.0), mean.get("total_ms", 0.0) / 1000, model.budget.total)
    return answers, sequences, cost


def _evaluate(
    model: LoadedModel, sequences: list[Sequence], progress: _Progress, run: str, prefill: bool = False
) -> tuple[NDArray[np.float32], Evaluation]:
    def told(done: int, total: int) -> None:
        progress(run, (len(PROMPTS) + done / total) / (len(PROMPTS) + 1) if prefill else done / total)

    evaluation, logits = evaluate(model, sequences, prefill=prefill, keep_logits=True, progress=told)
    assert logits is not None  # they were to be kept
    return logits, evaluation


def _compare(
    expected: NDArray[np.float32], logits: NDArray[np.float32], evaluation: Evaluation, memory_bytes: int
) -> Comparison:
    tokens = max(evaluation.tokens, 1)
    return Comparison(
        same=float((expected.argmax(axis=-1) == logits.argmax(axis=-1)).mean()),
        difference=float(np.abs(expected - logits).max() / (expected.max() - expected.min())),
        perplexity=evaluation.perplexity,
        cost=Cost(evaluation.bytes_read / tokens, evaluation.seconds / tokens, memory_bytes),
    )
