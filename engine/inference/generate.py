"""One answer as an iterator of pieces: prefill, decode, sampling."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter

import mlx.core as mx
from mlx_lm.sample_utils import make_repetition_penalty, make_sampler

from engine.errors import CancelledError
from engine.settings import GenerationOptions
from engine.statistics import Summary, TokenStatistics, means
from engine.system.footprint import peak_footprint
from engine.tokens.prompt import common_prefix, continues, encode
from engine.tokens.stopping import SEEN_BEFORE, StoppingText

PENALISED_TOKENS = 64  # the last tokens, whose repetition is penalised


@dataclass(frozen=True)
class Piece:
    """Text that is ready to show (may be empty), and what its token cost.

    prefill: the cost is that of the prompt, which streams whole layers, and not of one decoded token.
    """

    text: str
    token: int
    statistics: TokenStatistics
    prefill: bool


class Generation:
    """Iterate once for the pieces; `summary` is complete afterwards, also when the answer was cancelled."""

    def __init__(self, model, prompt, options: GenerationOptions, cancelled):
        self.summary = Summary()
        self._model, self._options, self._cancelled = model, options, cancelled
        self._prompt = encode(model, prompt, options)
        self._continued = continues(prompt)
        self._left_before = model.left_early

    def __iter__(self) -> Iterator[Piece]:
        began = perf_counter()
        costs: list[TokenStatistics] = []
        try:
            for piece in self._pieces():
                if piece.prefill:
                    self.summary.time_to_first_token_s = perf_counter() - began
                else:
                    costs.append(piece.statistics)
                self.summary.tokens.append(piece.token)
                self.summary.text += piece.text
                yield piece
        except CancelledError:
            self.summary.finish_reason = "cancelled"
        finally:
            self._summarise(costs)

    def _summarise(self, costs: list[TokenStatistics]) -> None:
        self.summary.footprint_bytes = peak_footprint()
        self.summary.left_early = self._model.left_early - self._left_before
        seconds = sum(c.total_ms for c in costs) / 1e3
        self.summary.tokens_per_second = len(costs) / seconds if seconds else 0.0
        self.summary.per_token = means(costs)

    def _pieces(self) -> Iterator[Piece]:
        options, model = self._options, self._model
        if options.seed is not None:
            mx.random.seed(options.seed)
            model.forget()
        sample = self._sampler()
        text = StoppingText(model.tokenizer, options.stop, self._prompt[-SEEN_BEFORE:] if self._continued else ())
        logits, current = self._prefill()
        for count in range(1, options.max_tokens + 1):
            token = sample(logits[:, -1])
            self.summary.finish_reason = self._finish_reason(token, count, text)
            statistics = current.statistics(model.neurons)
            model.keep_within_budget(statistics.footprint_bytes)
            ended = bool(self.summary.finish_reason)
            yield Piece(text.take(ended), token, statistics, prefill=count == 1)
            if ended:
                return
            logits, current = model.decode(token, self._cancelled)

    def _sampler(self) -> Callable[[mx.array], int]:
        """Takes logits [1, vocabulary] to a token."""
        options, model = self._options, self._model
        top_k = options.top_k if 0 < options.top_k < model.vocabulary else 0
        sample = make_sampler(temp=options.temperature, top_p=options.top_p, top_k=top_k)
        penalise = make_repetition_penalty(options.repetition_penalty, PENALISED_TOKENS)

        def next_token(logits: mx.array) -> int:
            if options.repetition_penalty != 1.0:
                logits = penalise(mx.array(model.cached_tokens[-PENALISED_TOKENS:]), logits)
            return int(sample(_log_probabilities(logits)).item())

        return next_token

    def _prefill(self) -> tuple:
        """Process what the KV cache does not hold yet; the last token always, its logits are needed."""
        model, prompt = self._model, self._prompt
        kept = common_prefix(model.cached_tokens, prompt[:-1])
        model.trim(kept)
        began = perf_counter()
        logits, current = model.prefill(prompt[kept:], self._cancelled)
        self.summary.prompt_tokens, self.summary.cached_tokens = len(prompt), kept
        self.summary.prefill_seconds = perf_counter() - began
        self.summary.prefill_bytes_read = current.bytes_read
        return logits, current

    def _finish_reason(self, token: int, count: int, text: "StoppingText") -> str:
        if token in self._model.tokenizer.eos_token_ids or text.add(token):
            return "stop"
        if count == self._options.max_tokens:
            return "length"
        if len(self._model.cached_tokens) + 1 >= self._model.context:
            return "context"
        return ""


def _log_probabilities(logits: mx.array) -> mx.array:
    return logits - mx.logsumexp(logits, axis=-1, keepdims=True)
