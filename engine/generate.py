"""Prefill, decode, sampling, stopping: one answer as an iterator of pieces."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import mlx.core as mx
from mlx_lm.sample_utils import make_repetition_penalty, make_sampler

from engine.errors import CancelledError, PromptError
from engine.memory.footprint import peak_footprint
from engine.settings import GenerationOptions
from engine.statistics import Summary, TokenStatistics, means

PENALISED_TOKENS = 64  # the last tokens, whose repetition is penalised
SEEN_BEFORE = 8  # tokens of a continued answer that the detokenizer sees, to know whether a space belongs before a word
RESERVED_SHARE = 4  # a conversation is cut so that at least 1 / RESERVED_SHARE of the context is left for the answer


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


class StoppingText:
    """Detokenizes as tokens come, and holds back what may be the start of a stop string."""

    def __init__(self, tokenizer, stop: tuple[str, ...], before: Sequence[int] = ()):
        self._detokenizer, self._stop = tokenizer.detokenizer, tuple(s for s in stop if s)
        self._detokenizer.reset()
        for token in before:
            self._detokenizer.add_token(token)
        _ = self._detokenizer.last_segment  # which was shown before
        self._held, self._stopped = "", False

    def add(self, token: int) -> bool:
        """Take a token; True if a stop string is complete. The text before it can still be taken."""
        self._detokenizer.add_token(token)
        return self._append(self._detokenizer.last_segment)

    def take(self, last: bool) -> str:
        """The text that can be shown now; all of it at the end of the answer."""
        if last and not self._stopped:
            self._detokenizer.finalize()
            self._append(self._detokenizer.last_segment)
        kept = 0 if last or self._stopped else self._ambiguous()
        ready, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        return ready

    def _append(self, text: str) -> bool:
        self._held += text
        found = [at for at in (self._held.find(s) for s in self._stop) if at >= 0]
        if found:
            self._held, self._stopped = self._held[: min(found)], True
        return self._stopped

    def _ambiguous(self) -> int:
        """Length of the longest end of the held text that a stop string starts with."""
        lengths = [n for s in self._stop for n in range(1, len(s)) if self._held.endswith(s[:n])]
        return max(lengths, default=0)


def encode(model, prompt, options: GenerationOptions) -> list[int]:
    """Token ids of a prompt: text, ids as they are, or chat messages, whose oldest turns are left out if they must.

    Raises PromptError if there is nothing to answer, or no room for it.
    """
    if model.tokenizer is None:
        raise PromptError(
            "{name} has no tokenizer: its checkpoint came without one, so it cannot read text.", name=model.name
        )
    if isinstance(prompt, str):
        if not prompt.strip():
            raise PromptError("The prompt is empty: write something to answer.")
        return _fitting(model, model.tokenizer.encode(prompt))
    if not prompt:
        raise PromptError("The prompt is empty: write something to answer.")
    if isinstance(prompt[0], int):
        return _fitting(model, list(prompt))
    return _encode_chat(model, list(prompt), options)


def _encode_chat(model, messages: list[dict], options: GenerationOptions) -> list[int]:
    if not messages[-1]["content"].strip():
        raise PromptError("The message is empty: write something to answer.")
    room = model.context - min(options.max_tokens, model.context // RESERVED_SHARE)
    tokens = chat_tokens(model.tokenizer, messages)
    while len(tokens) > room and len(messages) > 1:
        system = messages[0]["role"] == "system"
        if len(messages) <= 1 + system + continues(messages):
            break
        del messages[int(system)]
        while len(messages) > 1 + system and messages[int(system)]["role"] == "assistant":
            del messages[int(system)]  # a conversation starts with its user
        tokens = chat_tokens(model.tokenizer, messages)
    return _fitting(model, tokens)


def chat_tokens(tokenizer, messages: list[dict]) -> list[int]:
    """Token ids of a conversation that the assistant is to go on with; a line a message where there is no template.

    If the assistant has the last word, its answer is continued where it ends.
    """
    if continues(messages):
        return _encode_continued(tokenizer, messages)
    if tokenizer.has_chat_template:
        return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))
    return tokenizer.encode("".join(m["content"] + "\n" for m in messages))


def continues(prompt) -> bool:
    """Whether a prompt is a conversation whose last message is an unfinished answer."""
    return isinstance(prompt, list) and isinstance(prompt[-1], dict) and prompt[-1]["role"] == "assistant"


def _encode_continued(tokenizer, messages: list[dict]) -> list[int]:
    *before, answer = messages
    if tokenizer.has_chat_template:
        text = tokenizer.apply_chat_template(before, add_generation_prompt=True, tokenize=False)
        return tokenizer.encode(text + answer["content"], add_special_tokens=False)
    return tokenizer.encode("".join(m["content"] + "\n" for m in before) + answer["content"])


def _fitting(model, tokens: list[int]) -> list[int]:
    if not tokens:
        raise PromptError("The prompt is empty: write something to answer.")
    if len(tokens) >= model.context:
        raise PromptError(
            "The prompt has {tokens} tokens, and this model's context holds {context} together with the answer. "
            "Shorten it.",
            tokens=len(tokens),
            context=model.context,
        )
    return tokens


def common_prefix(first: list[int], second: list[int]) -> int:
    """How many tokens two sequences have in common from their start."""
    pairs = zip(first, second, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _log_probabilities(logits: mx.array) -> mx.array:
    return logits - mx.logsumexp(logits, axis=-1, keepdims=True)
