"""`bench resident`: a model of which all is in memory, beside mlx_lm's own, which take turns of some tokens."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

import mlx.core as mx
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_model

from engine.bench.machine import describe
from engine.bench.measure import likeliest
from engine.bench.results import Progress, Result, Row
from engine.inference.load import find, load
from engine.inference.model import LoadedModel
from engine.settings import DRAFT_MODEL_NONE, Settings

CONTEXT = 512
TOKENS, TURNS = 4, 6
PROMPT = list(range(1, 9))


def run(model: str | Path, tokens: int = TOKENS, turns: int = TURNS, progress: Progress = lambda *_: None) -> Result:
    """The table of a checkpoint that runs as it is. tokens: of a turn. Raises FlashbulbError."""
    folder = find(model)
    theirs, ours = beside_mlx_lm(folder, tokens, turns, progress)
    details = {"of_mlx_lm": median(theirs) / median(ours)}
    rows = [_row("mlx_lm", theirs), _row("ours", ours)]
    return Result("resident", describe(folder), rows, {"tokens": tokens, "turns": turns}, details)


def beside_mlx_lm(
    folder: Path, tokens: int, turns: int, progress: Progress = lambda *_: None
) -> tuple[list[float], list[float]]:
    """Milliseconds of mlx_lm's tokens, and of ours. The first of all, which may take longer, do not count."""
    with closing(load(folder, Settings(context=CONTEXT, draft_model=DRAFT_MODEL_NONE))) as model:
        both = mlx_lm_tokens(folder), _ours(model)
        for coming in both:
            next(coming)
        taken: tuple[list[float], list[float]] = ([], [])
        for turn in range(turns):
            progress(turn / turns, "turns")
            for found, coming in zip(taken, both, strict=True):
                found += islice(coming, tokens)
    return taken


def mlx_lm_tokens(folder: Path) -> Iterator[float]:
    """Milliseconds of token after token, by mlx_lm itself."""
    model, _ = load_model(folder)
    cache = make_prompt_cache(model)
    logits = model(mx.array([PROMPT]), cache=cache)
    while True:
        token, began = likeliest(logits), perf_counter()
        logits = model(mx.array([[token]]), cache=cache)
        mx.eval(logits)
        yield 1e3 * (perf_counter() - began)


def _ours(model: LoadedModel) -> Iterator[float]:
    logits, _ = model.prefill(PROMPT)
    while True:
        token, began = likeliest(logits), perf_counter()
        logits, _ = model.decode(token)
        yield 1e3 * (perf_counter() - began)


def _row(name: str, taken: list[float]) -> Row:
    total = median(taken)
    return Row(f"{name}, all in memory", total_ms=total, tokens_per_second=1e3 / total)
