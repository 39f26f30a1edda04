"""OpenAI's completions of plain text: POST /v1/completions."""

import time
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.server.answering import Prompt
from engine.server.chat_completions import StreamOptions
from engine.server.deltas import Delta, new_id
from engine.server.desk import Desk, route
from engine.server.exchange import Asked, Ended
from engine.server.framing import EVENTS, Payload
from engine.server.models import ServedModel
from engine.server.openai import (
    Json,
    Sampled,
    finish_reason,
    limit_of,
    logprob_of,
    options_of,
    refusal,
    sampling_of,
    usage_of,
    vendor,
)
from engine.server.refusals import BAD, RefusedError

if TYPE_CHECKING:  # which takes MLX to import
    from engine.inference.logprobs import Logprobs

USUAL_TOKENS = 16  # of an answer, as the API has it


class CompletionRequest(Sampled, kw_only=True):
    """The body of a request. prompt: text, token ids, or one of either in a list."""

    prompt: str | list[Any]
    max_tokens: int | None = None
    stream_options: StreamOptions | None = None
    logprobs: int | None = None
    suffix: str | None = None


def asked(given: CompletionRequest, model: ServedModel) -> Asked:
    """The request as the engine takes it. Raises RefusedError, OptionError."""
    limit = USUAL_TOKENS if given.max_tokens is None else limit_of(given.max_tokens)
    options = options_of(max_tokens=limit, logprobs=given.logprobs, suffix=given.suffix, **sampling_of(given))
    prompt = _prompt(given.prompt)
    if given.suffix and not isinstance(prompt, str):
        raise RefusedError(BAD, "A suffix stands behind a prompt that is a text.", param="suffix")
    return Asked(model, prompt, options, bool(given.stream))


def _prompt(given: str | list[Any]) -> Prompt:
    if isinstance(given, list) and len(given) == 1 and isinstance(given[0], str | list):
        given = given[0]
    if isinstance(given, str):
        return given
    if not all(isinstance(token, int) and not isinstance(token, bool) for token in given):
        raise RefusedError(BAD, "One prompt at a time is answered: text, or a list of token ids.", param="prompt")
    return given


class CompletionReply:
    """The answer as OpenAI's completions tell it."""

    framing = EVENTS

    def __init__(self, given: CompletionRequest, model: ServedModel):
        self._wants_usage = bool(given.stream_options and given.stream_options.include_usage)
        created = int(time.time())
        self._head = {"id": new_id("cmpl-"), "object": "text_completion", "created": created, "model": model.name}

    def begin(self) -> Iterable[Payload]:
        """Nothing."""
        return ()

    def add(self, delta: Delta) -> Iterable[Payload]:
        """A text, of whatever kind: in plain text there is only one."""
        text = delta.call.arguments if delta.call else delta.text
        yield self._object(text, noted=delta.logprobs)

    def end(self, ended: Ended) -> Iterable[Payload]:
        """The reason of the end, and the usage where it is wanted."""
        last = self._object("", finish_reason(ended.summary, called=False))
        if self._wants_usage:
            yield last
            last = self._object("") | {"choices": [], "usage": usage_of(ended.summary)}
        yield last | vendor(ended.receipt)

    def whole(self, ended: Ended) -> Payload:
        """The whole answer."""
        text = ended.said.reasoning + ended.said.text + "".join(call.arguments for call in ended.said.calls)
        answer = self._object(text, finish_reason(ended.summary, called=False), ended.said.logprobs)
        return answer | {"usage": usage_of(ended.summary)} | vendor(ended.receipt)

    def refusal(self, refused: RefusedError) -> Payload:
        """An error."""
        return refusal(refused)

    def _object(self, text: str, reason: str | None = None, noted: "Sequence[Logprobs]" = ()) -> Json:
        choice = {"index": 0, "text": text, "logprobs": _logprobs(noted), "finish_reason": reason}
        return {**self._head, "choices": [choice]}


def _logprobs(noted: "Sequence[Logprobs]") -> Json | None:
    if not noted:
        return None
    each = [logprob_of(one) for one in noted]
    ends = list(accumulate(len(one["token"]) for one in each))
    return {
        "tokens": [one["token"] for one in each],
        "token_logprobs": [one["logprob"] for one in each],
        "top_logprobs": [{top["token"]: top["logprob"] for top in one["top_logprobs"]} for one in each],
        "text_offset": [0, *ends[:-1]],
    }


async def _complete(desk: Desk, http: Request) -> Response:
    return await desk.answer(http, CompletionRequest, asked, CompletionReply)


def routes(desk: Desk) -> list[Route]:
    """The protocol's routes."""
    return [route("/v1/completions", "POST", partial(_complete, desk), refusal)]
