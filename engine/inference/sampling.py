"""Sampling: from scores to the next token."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import mlx.core as mx
from mlx_lm.sample_utils import make_logits_processors, make_sampler

from engine.errors import PreparedModelError
from engine.settings import NEUTRAL, OURS, GenerationOptions, in_range
from engine.system.documents import PREPARE_AGAIN, parsing, read_json

PENALISED_TOKENS = 64  # the last tokens, whose repetition is penalised
LOWEST_TEMPERATURE = 1e-3  # below, scores would overflow; and there the likeliest token is all that is sampled


def advised_sampling(folder: Path) -> dict[str, float]:
    """The sampling that a model's makers advise, in generation_config.json, else ours; by names of GenerationOptions.

    Where they say that the model samples, what they do not name changes nothing, as in transformers. What is out of
    range is left out.
    """
    path = folder / "generation_config.json"
    with parsing(path, PreparedModelError, PREPARE_AGAIN):
        found = read_json(path) if path.is_file() else {}
    advised = {name: value for name in OURS if in_range(name, value := found.get(name))}
    sampled = found.get("do_sample") is True or "temperature" in advised
    return {**(NEUTRAL if sampled else OURS), **advised}


def chosen(options: GenerationOptions, advised: Mapping[str, float]) -> GenerationOptions:
    """Options in which nothing is left to the model: what was not chosen is as advised."""
    return replace(options, **{name: value for name, value in advised.items() if getattr(options, name) is None})


def sampler(
    options: GenerationOptions, vocabulary: int, ids: Collection[int]
) -> Callable[[mx.array, Sequence[int]], int]:
    """A function from logits [1, vocabulary] and the tokens before, to a token.

    options: without None, as `chosen` makes them. ids: those that stand for something. Vocabularies are padded to round
    sizes; a row for nothing is never sampled.
    """
    top_k = options.top_k if 0 < options.top_k < vocabulary else 0
    temperature = options.temperature if options.temperature >= LOWEST_TEMPERATURE else 0.0
    sample = make_sampler(temp=temperature, top_p=options.top_p, min_p=options.min_p, top_k=top_k)
    penalties = make_logits_processors(
        repetition_penalty=options.repetition_penalty if options.repetition_penalty != 1.0 else None,
        repetition_context_size=PENALISED_TOKENS,
        presence_penalty=options.presence_penalty or None,
        presence_context_size=PENALISED_TOKENS,
        frequency_penalty=options.frequency_penalty or None,
        frequency_context_size=PENALISED_TOKENS,
    )
    forbidden = mx.array([token for token in range(vocabulary) if token not in ids], mx.int32)

    def next_token(logits: mx.array, before: Sequence[int]) -> int:
        if forbidden.size:
            logits[:, forbidden] = -mx.inf
        for penalise in penalties:
            logits = penalise(mx.array(list(before[-PENALISED_TOKENS:]), mx.int32), logits)
        return int(sample(logits - mx.logsumexp(logits, axis=-1, keepdims=True)).item())

    return next_token
