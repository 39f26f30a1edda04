"""One answer as an iterator of pieces: prefill, decode."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from time import perf_counter
from typing import Protocol

import mlx.core as mx

from engine.errors import CancelledError
from engine.inference.contexts import Contexts
from engine.inference.sampling import Sampling, chosen, sampler
from engine.settings import GenerationOptions
from engine.statistics import Summary, TokenStatistics, means
from engine.streaming.passes import Pass
from engine.tokens.channels import Channel, ChannelEvent, Channels
from engine.tokens.forms import Message
from engine.tokens.prompt import Model as Prompted
from engine.tokens.prompt import continues, encode_counting, tokenizer_of

SEEN_TOKENS = 8  # tokens of a continued answer that the detokenizer sees, to know whether a space belongs before a word


@dataclass(frozen=True)
class Piece:
    """A token's part of an answer, and what it cost.

    events: texts that are ready to show, with their channels; may be none. channel: the token's own.
    prefill: the cost is that of the prompt, which streams whole layers, and not of one decoded token.
    """

    events: tuple[ChannelEvent, ...]
    channel: Channel
    token: int
    statistics: TokenStatistics
    prefill: bool

    @property
    def text(self) -> str:
        """The text that it adds to the answer itself."""
        return self._of(Channel.ANSWER)

    @property
    def reasoning(self) -> str:
        """The text that it adds to the reasoning before the answer."""
        return self._of(Channel.REASONING)

    def _of(self, channel: Channel) -> str:
        return "".join(event.text for event in self.events if event.channel is channel)


class Model(Prompted, Protocol):
    """A loaded model, as far as an answer needs it."""

    @property
    def contexts(self) -> Contexts: ...

    @property
    def cached_tokens(self) -> list[int]: ...

    @property
    def advised_sampling(self) -> Sampling: ...

    @property
    def vocabulary(self) -> int: ...

    @property
    def bundles(self) -> int: ...

    @property
    def left_early(self) -> int: ...

    def prefill(self, tokens: list[int], cancelled: Event | None = None) -> tuple[mx.array, Pass]: ...

    def decode(self, token: int, cancelled: Event | None = None) -> tuple[mx.array, Pass]: ...

    def recall(self, prompt: list[int], seeded: bool = False) -> int: ...

    def learn(self, summary: Summary) -> None: ...

    def keep_within_budget(self, footprint_bytes: int) -> None: ...


class Generation:
    """Iterate once for the pieces; `summary` is complete afterwards, also when the answer was cancelled."""

    def __init__(
        self,
        model: Model,
        prompt: str | Sequence[int] | Sequence[Message],
        options: GenerationOptions,
        cancelled: Event | None,
    ) -> None:
        self.summary = Summary()
        self._model, self._options, self._cancelled = model, options, cancelled
        self._continued = continues(prompt)
        self._plain = self._continued or isinstance(prompt, str)
        self._left_before = model.left_early
        self._prompt: list[int] | None = None
        with contextlib.suppress(CancelledError):  # then the answer is over before it begins
            self._prompt, self.summary.left_out = encode_counting(model, prompt, options, cancelled)

    def __iter__(self) -> Iterator[Piece]:
        began = perf_counter()
        costs: list[TokenStatistics] = []
        try:
            for piece in self._pieces():
                if not piece.prefill:
                    costs.append(piece.statistics)
                self._count(piece, perf_counter() - began)
                yield piece
        except CancelledError:
            self.summary.finish_reason = "cancelled"
        finally:
            self._summarise(costs)

    def _count(self, piece: Piece, seconds: float) -> None:
        summary = self.summary
        if piece.prefill:
            summary.time_to_first_token_s = seconds
        if piece.text and not summary.text:
            summary.time_to_first_answer_s = seconds
        summary.footprint_bytes = max(summary.footprint_bytes, piece.statistics.footprint_bytes)
        summary.tokens.append(piece.token)
        summary.text += piece.text
        summary.reasoning += piece.reasoning
        summary.reasoning_tokens += piece.channel is Channel.REASONING
        calls = [call for event in piece.events for call in event.calls]
        summary.tool_calls += [{"name": call.name, "arguments": dict(call.arguments)} for call in calls]

    def _summarise(self, costs: list[TokenStatistics]) -> None:
        self.summary.left_early = self._model.left_early - self._left_before
        seconds = sum(c.total_ms for c in costs) / 1e3
        self.summary.tokens_per_second = len(costs) / seconds if seconds else 0.0
        self.summary.per_token = means(costs)
        self._model.contexts.end(seeded=self._options.seed is not None)
        self._model.learn(self.summary)

    def _pieces(self) -> Iterator[Piece]:
        options, model, tokenizer = self._options, self._model, tokenizer_of(self._model)
        if self._prompt is None:
            raise CancelledError("The answer was cancelled before it began.")
        if options.seed is not None:
            mx.random.seed(options.seed)
        sample = sampler(chosen(options, model.advised_sampling), model.vocabulary, tokenizer.ids)
        seen = SEEN_TOKENS if self._continued else 0
        channels = Channels(tokenizer, self._prompt, options.stop, seen, self._plain, options.tools)
        ends = tokenizer.eos_token_ids
        logits, current = self._prefill(self._prompt)
        for count in range(1, options.max_tokens + 1):
            token = sample(logits[:, -1], model.cached_tokens)
            events = [] if token in ends else channels.add(token)
            stopped = token in ends or channels.stopped
            self.summary.finish_reason = "stop" if stopped else self._limit_reached(count)
            statistics = current.statistics(model.bundles)
            model.keep_within_budget(statistics.footprint_bytes)
            ended = bool(self.summary.finish_reason)
            events += channels.finish() if ended else []
            yield Piece(tuple(events), channels.channel, token, statistics, prefill=count == 1)
            if ended:
                return
            logits, current = model.decode(token, self._cancelled)

    def _prefill(self, prompt: list[int]) -> tuple[mx.array, Pass]:
        """Process what the KV cache does not hold yet; the last token always, its logits are needed."""
        model = self._model
        kept = model.recall(prompt, seeded=self._options.seed is not None)
        began = perf_counter()
        logits, current = model.prefill(prompt[kept:], self._cancelled)
        self.summary.prompt_tokens, self.summary.cached_tokens = len(prompt), kept
        self.summary.prefill_seconds = perf_counter() - began
        self.summary.prefill_bytes_read = current.bytes_read
        return logits, current

    def _limit_reached(self, count: int) -> str:
        """The limit that an answer of so many tokens has reached: of its length, of the context; empty for none."""
        if count == self._options.max_tokens:
            return "length"
        return "context" if len(self._model.cached_tokens) + 1 >= self._model.context else ""
