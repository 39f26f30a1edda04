"""One answer as an iterator of pieces: prefill, decode."""

import contextlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from time import perf_counter
from typing import Protocol

import mlx.core as mx

from engine.errors import CancelledError
from engine.inference.constraint import Constraint, constraint_of
from engine.inference.contexts import Contexts
from engine.inference.decoding import Decoded, Decoding
from engine.inference.decoding import Model as Decoder
from engine.inference.drafts import Drafts
from engine.inference.logprobs import Logprobs, Recorder
from engine.inference.reasoning_limit import ReasoningLimit
from engine.inference.sampling import Sampling, check_bias, chosen, going_on, sampler
from engine.settings import GenerationOptions, ToolChoice
from engine.statistics import Summary, TokenStatistics, means
from engine.streaming.passes import Pass, PromptTold
from engine.tokens.channels import Channel, ChannelEvent, Channels
from engine.tokens.forms import Message
from engine.tokens.gaps import ends_of
from engine.tokens.prompt import Model as Prompted
from engine.tokens.prompt import continues, encode_counting, shared_tokens, tokenizer_of
from engine.tokens.tokenizer import Tokenizer
from engine.tokens.told_tools import are_told
from engine.tokens.tool_calls import USUAL

SEEN_TOKENS = 8  # tokens of a continued answer that the detokenizer sees, to know whether a space belongs before a word


@dataclass(frozen=True)
class Piece:
    """A token's part of an answer, and what it cost.

    events: texts that are ready to show, with their channels; may be none. channel: the token's own.
    prefill: the cost is that of the prompt, which streams whole layers, and not of one decoded token. logprobs: where
    they were asked for.
    """

    events: tuple[ChannelEvent, ...]
    channel: Channel
    token: int
    statistics: TokenStatistics
    prefill: bool
    logprobs: Logprobs | None = None

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


@dataclass(frozen=True)
class Recalled:
    """A context that a prompt goes on from. tokens: in it. read_back: of these, from disk. trouble: why what was kept
    of the conversation is of no use, "damaged" or "other" where it is another model's; empty for none."""

    tokens: int
    read_back: int = 0
    trouble: str = ""


class Model(Prompted, Decoder, Protocol):
    """A loaded model, as far as an answer needs it."""

    @property
    def contexts(self) -> Contexts: ...

    @property
    def drafts(self) -> Drafts: ...

    @property
    def advised_sampling(self) -> Sampling: ...

    @property
    def vocabulary(self) -> int: ...

    @property
    def left_early(self) -> int: ...

    @property
    def overlap(self) -> str: ...

    def prefill(
        self,
        tokens: list[int],
        cancelled: Event | None = None,
        *,
        progress: PromptTold | None = None,
        branch: int = 0,
    ) -> tuple[mx.array, Pass]: ...

    def recall(self, prompt: list[int], seeded: bool = False, conversation: str = "", branch: int = 0) -> Recalled: ...

    def learn(self, alone: Sequence[TokenStatistics]) -> None: ...

    def keep_within_budget(self, footprint_bytes: int) -> None: ...


class Generation:
    """Iterate once for the pieces; `summary` is complete afterwards, also when the answer was cancelled."""

    def __init__(
        self,
        model: Model,
        prompt: str | Sequence[int] | Sequence[Message],
        options: GenerationOptions,
        cancelled: Event | None,
        progress: PromptTold | None = None,
    ) -> None:
        self.summary = Summary()
        self._progress = progress
        self._model, self._options, self._cancelled = model, options, cancelled
        self._continued = continues(prompt)
        self._plain = self._continued or isinstance(prompt, str)
        self._left_before = model.left_early
        self._alone: list[TokenStatistics] = []  # of tokens that had a pass of their own, which forecasts learn from
        self._prompt: list[int] | None = None
        self._shared = 0  # of the prompt's tokens, those that other conversations begin with as well, where it matters
        self._constraint: Constraint | None = None
        with contextlib.suppress(CancelledError):  # then the answer is over before it begins
            self._prompt, self.summary.left_out = encode_counting(model, prompt, options, cancelled)
            if model.contexts.branches(options.seed is not None):
                self._shared = shared_tokens(model, prompt, options, self._prompt)
            check_bias(options.logit_bias, tokenizer_of(model).ids)
            self._constraint = constraint_of(tokenizer_of(model), options, self._prompt, _begun(prompt))

    def __iter__(self) -> Iterator[Piece]:
        began = perf_counter()
        costs: list[TokenStatistics] = []
        try:
            with contextlib.closing(self._pieces()) as pieces:
                for piece in pieces:
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
        self._model.contexts.mark()
        self._model.learn(self._alone)

    def _pieces(self) -> Generator[Piece]:
        options, model, tokenizer = self._options, self._model, tokenizer_of(self._model)
        if self._prompt is None:
            raise CancelledError("The answer was cancelled before it began.")
        draw = sampler(chosen(options, model.advised_sampling), model.vocabulary, tokenizer.ids, options.seed)
        held = self._constraint
        ends = tokenizer.eos_token_ids | (ends_of(tokenizer) if options.suffix else frozenset())
        draw = going_on(draw, ends, len(self._prompt) + options.min_tokens) if options.min_tokens else draw
        sample = held.sampling(draw) if held else draw
        if options.reasoning_tokens is not None:
            sample = ReasoningLimit(tokenizer, self._prompt, options.reasoning_tokens).sampling(sample)
        recorder = Recorder(tokenizer, options.logprobs) if options.logprobs is not None else None
        sample = recorder.sampling(sample) if recorder else sample
        channels = self._channels(tokenizer, self._prompt)
        first = self._prefill(self._prompt)
        certain = held.forced if held else ()
        decoding = Decoding(model, sample, model.drafts, ends, self._cancelled, certain, draw)
        room = min(options.max_tokens, options.context_of(model.context) - len(self._prompt))
        with contextlib.closing(decoding.tokens(*first, room)) as tokens:
            for count, each in enumerate(tokens, 1):
                events = [] if each.token in ends else channels.add(each.token)
                stopped = each.token in ends or channels.stopped or (held is not None and held.length == count)
                self.summary.finish_reason = "stop" if stopped else self._limit_reached(count)
                self._count_pass(decoding, each, count)
                model.keep_within_budget(each.statistics.footprint_bytes)
                ended = bool(self.summary.finish_reason)
                events += channels.finish() if ended else []
                self.summary.stop_text = channels.stop_text
                noted = recorder.noted[count - 1] if recorder else None
                yield Piece(tuple(events), channels.channel, each.token, each.statistics, count == 1, noted)
                if ended:
                    return

    def _count_pass(self, decoding: Decoding, decoded: Decoded, count: int) -> None:
        self.summary.passes, self.summary.drafted = decoding.passes, decoding.drafted
        self.summary.accepted, self.summary.drafters = decoding.accepted, decoding.drafters
        self.summary.overlap = self._model.overlap
        if count > 1 and decoded.passed == 1:
            self._alone.append(decoded.statistics)

    def _channels(self, tokenizer: Tokenizer, prompt: Sequence[int]) -> Channels:
        options, calls = self._options, self._constraint.calls if self._constraint else None
        calls = calls or (USUAL if are_told(tokenizer, options) else None)
        seen = SEEN_TOKENS if self._continued else 0
        tools = () if options.tool_choice is ToolChoice.NONE else options.tools
        return Channels(tokenizer, prompt, options.stop, seen, self._plain, tools, calls, not options.parallel_calls)

    def _prefill(self, prompt: list[int]) -> tuple[mx.array, Pass]:
        """Process what the KV cache does not hold yet; the last token always, its logits are needed."""
        model = self._model
        seeded, conversation = self._options.seed is not None, self._options.conversation
        found = model.recall(prompt, seeded, conversation, self._shared)
        kept, self.summary.read_back_tokens, self.summary.context_trouble = found.tokens, found.read_back, found.trouble
        began = perf_counter()
        branch = max(0, self._shared - kept)
        logits, current = model.prefill(prompt[kept:], self._cancelled, progress=self._progress, branch=branch)
        self.summary.prompt_tokens, self.summary.cached_tokens = len(prompt), kept
        self.summary.prefill_seconds = perf_counter() - began
        self.summary.prefill_bytes_read = current.bytes_read
        return logits, current

    def _limit_reached(self, count: int) -> str:
        """The limit that an answer of so many tokens has reached: of its length, of the context; empty for none."""
        if count == self._options.max_tokens:
            return "length"
        context = self._options.context_of(self._model.context)
        return "context" if self.summary.prompt_tokens + count >= context else ""


def _begun(prompt: str | Sequence[int] | Sequence[Message]) -> str | None:
    """The part of a prompt's answer that is said already; None where it begins."""
    if isinstance(prompt, str) or not isinstance(prompt[0], dict):
        return ""
    last = prompt[-1]
    return str(last.get("content") or "") if continues(prompt) and isinstance(last, dict) else None
