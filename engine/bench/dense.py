"""`bench dense`: a dense model in half of its memory against its floor, and all in memory against mlx_lm.

A token of a model that is swept can take no less than computing takes, and no less than reading what has no room: the
longer of the two is the floor. Both are measured here, each alone.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_model

from engine.bench.drafts import AFFINE4, DENSE_3B
from engine.bench.machine import describe, scratch
from engine.bench.random_checkpoint import checkpoint_bytes, write_random_checkpoint
from engine.bench.results import Progress, Result, Row, summarise
from engine.inference.load import load
from engine.inference.model import LoadedModel
from engine.settings import Settings

CONTEXT, TOKENS, SWEEPS = 512, 12, 5
THEIR_TOKENS = 2  # of mlx_lm's, each of which takes many seconds where there is no GPU
PROMPT = list(range(1, 9))


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
            streamed, reading_ms = _decoded("half of it", model, tokens), _reading_ms(model)
    figures = _ratios(streamed, resident, theirs, reading_ms)
    settings = {"tokens": tokens, "model_bytes": size, "budget_bytes": budget or size // 2}
    return Result("dense", describe(folder), [theirs, resident, streamed], settings, figures)


@contextmanager
def _loaded(folder: Path, budget: int | None) -> Iterator[LoadedModel]:
    model = load(folder, Settings(memory_budget=budget, context=CONTEXT))
    try:
        yield model
    finally:
        model.close()


def _decoded(name: str, model: LoadedModel, tokens: int) -> Row:
    logits, _ = model.prefill(PROMPT)
    costs = []
    for _ in range(tokens + 1):  # the first finds nothing pinned yet
        logits, current = model.decode(_likeliest(logits))
        costs.append(current.statistics(model.bundles))
    return summarise(name, costs[1:])


def _mlx_lm(folder: Path, tokens: int) -> Row:
    model, _ = load_model(folder)
    cache = make_prompt_cache(model)
    logits, times = model(mx.array([PROMPT]), cache=cache), []
    for _ in range(tokens + 1):
        began, token = perf_counter(), _likeliest(logits)
        logits = model(mx.array([[token]]), cache=cache)
        mx.eval(logits)
        times.append(1e3 * (perf_counter() - began))
    total = median(times[1:])
    return Row("mlx_lm, all in memory", total_ms=total, tokens_per_second=1e3 / total)


def _likeliest(logits: mx.array) -> int:
    token: Any = mx.argmax(logits[0, -1]).item()
    return int(token)


def _reading_ms(model: LoadedModel) -> float:
    """Milliseconds in which a token's blocks are read in the same order through the same ring, nothing computed."""
    model.streaming.drop()
    times = []
    for _ in range(SWEEPS):
        model.streaming.passes.begin()
        times.append(_seconds(lambda: [part for layer in model.streaming.layers for part in layer.stream()]))
    model.streaming.drop()
    return 1e3 * median(times)


def _seconds(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def _ratios(streamed: Row, resident: Row, theirs: Row, reading_ms: float) -> dict[str, float]:
    """reading_ms: of a token's blocks. of_floor: a streamed token's time over the longer of reading and computing.
    of_mlx_lm: tokens a second in memory over mlx_lm's."""
    assert streamed.total_ms is not None
    assert resident.total_ms is not None
    assert theirs.total_ms is not None
    return {
        "reading_ms": reading_ms,
        "computing_ms": resident.total_ms,
        "of_floor": streamed.total_ms / max(reading_ms, resident.total_ms),
        "of_mlx_lm": theirs.total_ms / resident.total_ms,
    }
