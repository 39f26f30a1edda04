"""Sampling: from scores to the next token."""

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
import numpy as np
from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p, make_logits_processors

from engine.errors import OptionError, PreparedModelError
from engine.settings import (
    FORBIDDING_BIAS,
    NEUTRAL_SAMPLING,
    OUR_SAMPLING,
    USUAL_PENALISED_TOKENS,
    GenerationOptions,
    in_range,
)
from engine.system.documents import PREPARE_AGAIN, parsing, read_json

FORBIDDING_SCORE = -1e4  # far below all scores, and above those of what a constraint does not allow
LOWEST_TEMPERATURE = 1e-3  # below, scores would overflow; and there the likeliest token is all that is sampled
SEED_BITS = 64  # of a seed that nobody chose

Sample = Callable[[mx.array, Sequence[int]], int]  # from logits [1, vocabulary] and the tokens before, to a token


@dataclass(frozen=True)
class Sampling:
    """The sampling of tokens: the options of GenerationOptions that say it, none left open.

    advised: names of those that a model's makers do advise.
    """

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    penalised_tokens: int = USUAL_PENALISED_TOKENS
    logit_bias: Mapping[int, float] = field(default_factory=dict)
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
    own = {name: getattr(options, name) for name in (*OUR_SAMPLING, "penalised_tokens", "logit_bias")}
    return replace(advised, **{name: value for name, value in own.items() if value is not None})


def check_bias(biases: Mapping[int, float], ids: Collection[int]) -> None:
    """Raise OptionError for a bias of a token that is none of these."""
    if unknown := [token for token in biases if token not in ids]:
        raise OptionError("logit_bias names token {token}, and this model has none of that number.", token=unknown[0])


def sampler(sampling: Sampling, vocabulary: int, ids: Collection[int], seed: int | None = None) -> Sample:
    """A function from logits [1, vocabulary] and the tokens before, to a token.

    It may be asked about any place of a text, in any order and as often as one likes. What is drawn is the largest of
    the scores with Gumbel noise, which has just their distribution; and the noise of each token is the same whenever so
    many tokens are before it. So a draft that is drawn ahead, from the scores of another model, and the token that is
    drawn in the end are mostly the same where these scores are alike; and what is drawn in the end depends on no draft.

    ids: those that stand for something. Vocabularies are padded to round sizes; a row for nothing is never sampled.
    seed: of the numbers that are drawn; None for others each time.
    """
    seed = secrets.randbits(SEED_BITS) if seed is None else seed
    temperature = sampling.temperature if sampling.temperature >= LOWEST_TEMPERATURE else 0.0
    penalties, narrowings = _penalties(sampling), _narrowings(sampling, vocabulary) if temperature else []
    bias = _bias(sampling.logit_bias)
    forbidden = mx.array([token for token in range(vocabulary) if token not in ids], mx.int32)

    def next_token(logits: mx.array, before: Sequence[int]) -> int:
        if forbidden.size:
            logits[:, forbidden] = -mx.inf
        for penalise in penalties:
            logits = penalise(mx.array(list(before[-sampling.penalised_tokens :]), mx.int32), logits)
        logits = bias(logits)
        if not temperature:
            return cast(int, mx.argmax(logits, axis=-1).item())
        scores = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
        for narrow in narrowings:
            scores = narrow(scores)
        noise = mx.random.gumbel(scores.shape, key=_key(seed, len(before)))
        return cast(int, mx.argmax(scores / temperature + noise, axis=-1).item())

    return next_token


def going_on(sample: Sample, ends: Collection[int], tokens: int) -> Sample:
    """A way to choose tokens that chooses none of the ends before so many tokens are known, unless nothing else may
    come."""
    tokens_that_end = mx.array(sorted(ends), mx.int32)

    def choose(logits: mx.array, before: Sequence[int]) -> int:
        if len(before) < tokens and tokens_that_end.size:
            logits = logits.astype(mx.float32).at[:, tokens_that_end].add(FORBIDDING_SCORE)
        return sample(logits, before)

    return choose


def _penalties(sampling: Sampling) -> Sequence[Callable[[mx.array, mx.array], mx.array]]:
    """The steps that take something from the scores of tokens that were said."""
    if not sampling.penalised_tokens:
        return []
    return make_logits_processors(
        repetition_penalty=sampling.repetition_penalty if sampling.repetition_penalty != 1.0 else None,
        repetition_context_size=sampling.penalised_tokens,
        presence_penalty=sampling.presence_penalty or None,
        presence_context_size=sampling.penalised_tokens,
        frequency_penalty=sampling.frequency_penalty or None,
        frequency_context_size=sampling.penalised_tokens,
    )


def _bias(biases: Mapping[int, float]) -> Callable[[mx.array], mx.array]:
    """The step that adds biases to the scores of tokens, in numbers that are fine enough for the scores beside them."""
    if not biases:
        return lambda logits: logits
    tokens = mx.array(list(biases), mx.int32)
    added = mx.array([FORBIDDING_SCORE if bias == FORBIDDING_BIAS else bias for bias in biases.values()], mx.float32)
    return lambda logits: logits.astype(mx.float32).at[:, tokens].add(added)


def _narrowings(sampling: Sampling, vocabulary: int) -> list[Callable[[mx.array], mx.array]]:
    """The steps that leave the likeliest tokens alone, of their probabilities' logarithms, in mlx-lm's order."""
    found: list[Callable[[mx.array], mx.array]] = []
    if sampling.top_p < 1.0:
        found.append(lambda scores: apply_top_p(scores, sampling.top_p))
    if sampling.min_p:
        found.append(lambda scores: apply_min_p(scores, sampling.min_p))
    if 0 < sampling.top_k < vocabulary:
        found.append(lambda scores: apply_top_k(scores, sampling.top_k))
    return found


def _key(seed: int, place: int) -> mx.array:
    """The key of the random numbers for one place of a text, uint32 [2]."""
    return mx.array(np.random.SeedSequence([seed, place]).generate_state(2))
