"""`bench dense`: a dense model in half of its memory against its floor, and all in memory against mlx_lm.

A token of a model that is swept can take no less than computing takes, and no less than reading what has no room: the
longer of the two is the floor. Both are measured here, each alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from engine.bench.drafts import AFFINE4, DENSE_3B
from engine.bench.machine import describe, scratch
from engine.bench.measure import likeliest
from engine.bench.random_checkpoint import checkpoint_bytes, write_random_checkpoint
from engine.bench.resident import PROMPT, mlx_lm_tokens
from engine.bench.results import Progress, Result, Row, known, summarise
from engine.bench.sweep import reading_alone
from engine.inference.load import load
from engine.inference.model import LoadedModel
from engine.settings import Settings
from engine.statistics import TokenStatistics

CONTEXT, TOKENS, WARM_TOKENS = 512, 12, 1
THEIR_TOKENS = 2  # of mlx_lm's, each of which takes many seconds where there is no GPU


def run(
    folder: Path,
    config: dict[str, Any] = DENSE_3B,
    tokens: int = TOKENS,
    budget: int | None = None,
    progress: Progress = lambda *_: None,
) -> Result:
    """The table of a dense shape in 4 bits. tokens: of each row. budget: bytes; None for half of the model. Raises
    FlashbulbError if there is no room."""
    size = checkpoint_bytes(config, AFFINE4)
    with scratch(folder, size) as place:
        progress(0.02, "writing the model")
        write_random_checkpoint(place / "model", config, AFFINE4)
        progress(0.2, "mlx_lm")
        theirs = _mlx_lm(place / "model", min(tokens, THEIR_TOKENS))
        progress(0.5, "all in memory")
        with _loaded(place / "model", None) as model:
            resident = _decoded("all in memory", model, tokens)
        progress(0.7, "half of it")
        with _loaded(place / "model", budget or size // 2) as model:
            reading, streamed = _in_turns(model, tokens)
    figures = _ratios(streamed, resident, theirs, reading)
    settings = {"tokens": tokens, "model_bytes": size, "budget_bytes": budget or size // 2}
    return Result("dense", describe(folder), [theirs, resident, reading, streamed], settings, figures)


@contextmanager
def _loaded(folder: Path, budget: int | None) -> Iterator[LoadedModel]:
    model = load(folder, Settings(memory_budget=budget, context=CONTEXT))
    try:
        yield model
    finally:
        model.close()


def _decoded(name: str, model: LoadedModel, tokens: int) -> Row:
    costs = list(islice(_tokens(model), WARM_TOKENS, tokens + WARM_TOKENS))
    return summarise(name, costs)


def _in_turns(model: LoadedModel, tokens: int) -> tuple[Row, Row]:
    """The row of reading alone and that of tokens, which take turns: a drive's rate is another a minute later."""
    costs, sweeps, coming = [], [], _tokens(model)
    for _ in range(WARM_TOKENS):
        next(coming)
    for _ in range(tokens):
        sweeps.append(reading_alone(model))
        costs.append(next(coming))
    model.streaming.drop()
    return summarise("half of it: reading alone", sweeps, io_only=True), summarise("half of it", costs)


def _tokens(model: LoadedModel) -> Iterator[TokenStatistics]:
    """The costs of tokens that follow each other. The first finds nothing pinned yet."""
    logits, _ = model.prefill(PROMPT)
    while True:
        logits, current = model.decode(likeliest(logits))
        yield current.statistics(model.bundles)


def _mlx_lm(folder: Path, tokens: int) -> Row:
    total = median(islice(mlx_lm_tokens(folder), WARM_TOKENS, tokens + WARM_TOKENS))
    return Row("mlx_lm, all in memory", total_ms=total, tokens_per_second=1e3 / total)


def _ratios(streamed: Row, resident: Row, theirs: Row, reading: Row) -> dict[str, float]:
    """computing_ms: of all in memory. floor_ms: the longer of reading and computing. of_floor: a streamed token's time
    over it. of_mlx_lm: tokens a second in memory over mlx_lm's."""
    reading_ms, computing_ms, streamed_ms = known(reading.io_ms), known(resident.total_ms), known(streamed.total_ms)
    floor = max(reading_ms, computing_ms)
    return {
        "reading_ms": reading_ms,
        "computing_ms": computing_ms,
        "floor_ms": floor,
        "of_floor": streamed_ms / floor,
        "of_mlx_lm": known(theirs.total_ms) / computing_ms,
    }
