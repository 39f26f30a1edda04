"""Sampling: from scores to the next token."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
from mlx_lm.sample_utils import make_logits_processors, make_sampler

from engine.errors import PreparedModelError
from engine.settings import NEUTRAL_SAMPLING, OUR_SAMPLING, GenerationOptions, in_range
from engine.system.documents import PREPARE_AGAIN, parsing, read_json

PENALISED_TOKENS = 64  # the last tokens, whose repetition is penalised
LOWEST_TEMPERATURE = 1e-3  # below, scores would overflow; and there the likeliest token is all that is sampled


@dataclass(frozen=True)
class Sampling:
    """The sampling of tokens: the options of GenerationOptions that a model's makers may advise, none left open.

    advised: names of those that they do advise.
    """

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    advised: frozenset[str] = frozenset()


def advised_sampling(folder: Path) -> Sampling:
    """The sampling that a model's makers advise, in generation_config.json, else ours.

    Where they say that the model samples, what they do not name changes nothing, as in transformers. What is out of
    range is left out. Raises PreparedModelError.
    """
    path = folder / "generation_config.json"
    with parsing(path, PreparedModelError, PREPARE_AGAIN):
        found: Mapping[str, Any] = read_json(path) if path.is_file() else {}
    advised = {name: found[name] for name in OUR_SAMPLING if in_range(name, found.get(name))}
    sampled = found.get("do_sample") is True or "temperature" in advised
    values: dict[str, Any] = {**(NEUTRAL_SAMPLING if sampled else OUR_SAMPLING), **advised}
    return Sampling(**values, advised=frozenset(advised))


def chosen(options: GenerationOptions, advised: Sampling) -> Sampling:
    """The sampling that was chosen; what was not is as advised."""
    own = {name: getattr(options, name) for name in OUR_SAMPLING}
    return replace(advised, **{name: value for name, value in own.items() if value is not None})


def sampler(sampling: Sampling, vocabulary: int, ids: Collection[int]) -> Callable[[mx.array, Sequence[int]], int]:
    """A function from logits [1, vocabulary] and the tokens before, to a token.

    ids: those that stand for something. Vocabularies are padded to round sizes; a row for nothing is never sampled.
    """
    top_k = sampling.top_k if sampling.top_k < vocabulary else 0
    temperature = sampling.temperature if sampling.temperature >= LOWEST_TEMPERATURE else 0.0
    sample = make_sampler(temp=temperature, top_p=sampling.top_p, min_p=sampling.min_p, top_k=top_k)
    penalties = make_logits_processors(
        repetition_penalty=sampling.repetition_penalty if sampling.repetition_penalty != 1.0 else None,
        repetition_context_size=PENALISED_TOKENS,
        presence_penalty=sampling.presence_penalty or None,
        presence_context_size=PENALISED_TOKENS,
        frequency_penalty=sampling.frequency_penalty or None,
        frequency_context_size=PENALISED_TOKENS,
    )
    forbidden = mx.array([token for token in range(vocabulary) if token not in ids], mx.int32)

    def next_token(logits: mx.array, before: Sequence[int]) -> int:
        if forbidden.size:
            logits[:, forbidden] = -mx.inf
        for penalise in penalties:
            logits = penalise(mx.array(list(before[-PENALISED_TOKENS:]), mx.int32), logits)
        token: mx.array = sample(logits - mx.logsumexp(logits, axis=-1, keepdims=True))
        return cast(int, token.item())

    return next_token
