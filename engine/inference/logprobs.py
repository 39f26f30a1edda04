"""Probabilities of an answer's tokens: the model's own, before sampling and constraints change them."""

from collections.abc import Sequence
from dataclasses import dataclass

import mlx.core as mx

from engine.inference.sampling import Sample
from engine.tokens.tokenizer import Tokenizer


@dataclass(frozen=True)
class Logprob:
    """The natural logarithm of a token's probability. text: the bytes that the token stands for."""

    token: int
    text: bytes
    logprob: float


@dataclass(frozen=True)
class Logprobs:
    """A token's own, and those of the likeliest tokens in its place, the likeliest first."""

    chosen: Logprob
    top: tuple[Logprob, ...]


class Recorder:
    """Notes probabilities as tokens are chosen. count: of the likeliest that are told."""

    def __init__(self, tokenizer: Tokenizer, count: int):
        self.noted: list[Logprobs] = []
        self._tokenizer, self._count = tokenizer, count
        self._real = mx.array([token in tokenizer.ids for token in range(max(tokenizer.ids) + 1)])

    def sampling(self, sample: Sample) -> Sample:
        """A way to choose tokens as `sample` does, each of which is noted."""

        def choose(logits: mx.array, before: Sequence[int]) -> int:
            scores = self._scores(logits)
            token = sample(logits, before)
            self.noted.append(self._logprobs(scores, token))
            return token

        return choose

    def _scores(self, logits: mx.array) -> mx.array:
        """Logarithms of probabilities [vocabulary], of those tokens that stand for something."""
        size = min(self._real.size, logits.shape[-1])
        scores = mx.where(self._real[:size], logits[0, :size], -mx.inf)
        return scores - mx.logsumexp(scores)

    def _logprobs(self, scores: mx.array, token: int) -> Logprobs:
        likeliest: list[int] = mx.argsort(-scores)[: self._count].tolist() if self._count else []  # type: ignore[assignment]
        values: list[float] = scores[mx.array([token, *likeliest])].tolist()  # type: ignore[assignment]
        first, *top = map(self._logprob, [token, *likeliest], values)
        return Logprobs(first, tuple(top))

    def _logprob(self, token: int, value: float) -> Logprob:
        return Logprob(token, self._tokenizer.bytes_of(token), value)
