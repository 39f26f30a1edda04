"""OpenAI's chat completions: POST /v1/chat/completions."""

import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.server.deltas import Call, Delta, Kind, new_id
from engine.server.desk import Desk, route
from engine.server.exchange import Asked, Ended
from engine.server.framing import EVENTS, Payload
from engine.server.models import ServedModel
from engine.server.openai import (
    ChatMessage,
    Json,
    Reasoning,
    Sampled,
    Thinking,
    choice_of,
    finish_reason,
    limit_of,
    logprob_of,
    logprobs_of,
    message_of,
    options_of,
    refusal,
    sampling_of,
    schema_of,
    thinking_of,
    thinks,
    tool_of,
    usage_of,
    vendor,
)
from engine.server.refusals import BAD, RefusedError

if TYPE_CHECKING:  # which takes MLX to import
    from engine.inference.logprobs import Logprobs


class Tool(msgspec.Struct):
    """A tool that may be called."""

    type: str = "function"
    function: Json | None = None


class StreamOptions(msgspec.Struct):
    """The choices of a stream."""

    include_usage: bool | None = None


class ChatRequest(Sampled, kw_only=True):
    """The body of a request."""

    messages: list[ChatMessage]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Json | None = None
    parallel_tool_calls: bool | None = None
    response_format: Json | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    stream_options: StreamOptions | None = None
    reasoning_effort: str | None = None
    reasoning: Reasoning | None = None
    thinking: Thinking | None = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    thinking_budget_tokens: int | None = None
    thinking_token_budget: int | None = None
    reasoning_budget: int | None = None


def asked(given: ChatRequest, model: ServedModel) -> Asked:
    """The request as the engine takes it. Raises RefusedError, OptionError."""
    if not given.messages:
        raise RefusedError(BAD, "There are no messages.", param="messages")
    options = options_of(
        max_tokens=limit_of(given.max_completion_tokens, given.max_tokens),
        tools=_tools(given),
        **sampling_of(given),
        **_thinking(given),
        **schema_of(given.response_format),
        **choice_of(given.tool_choice, given.parallel_tool_calls),
        logprobs=logprobs_of(given.logprobs, given.top_logprobs),
    )
    return Asked(model, [message_of(message) for message in given.messages], options, bool(given.stream))


def _thinking(given: ChatRequest) -> Json:
    """The options of reasoning, under the names that servers with this protocol have given them."""
    reasoning, thinking = given.reasoning or Reasoning(), given.thinking or Thinking()
    chosen = (given.enable_thinking, reasoning.enabled, thinks(thinking.type))
    limits = (given.thinking_budget, given.thinking_budget_tokens, given.thinking_token_budget, given.reasoning_budget)
    return thinking_of(
        given.reasoning_effort if given.reasoning_effort is not None else reasoning.effort,
        next((choice for choice in chosen if choice is not None), None),
        *limits,
        reasoning.max_tokens,
        thinking.budget_tokens,
    )


def _tools(given: ChatRequest) -> tuple[Json, ...]:
    return tuple(tool_of(tool.function) for tool in given.tools or ())


class ChatReply:
    """The answer as OpenAI's chats tell it."""

    framing = EVENTS

    def __init__(self, given: ChatRequest, model: ServedModel):
        self._wants_usage = bool(given.stream_options and given.stream_options.include_usage)
        self._head = {"id": new_id("chatcmpl-"), "created": int(time.time()), "model": model.name}
        self._calls = 0

    def begin(self) -> Iterable[Payload]:
        """The role."""
        yield self._chunk({"role": "assistant", "content": ""})

    def add(self, delta: Delta) -> Iterable[Payload]:
        """A text or a call."""
        match delta.kind:
            case Kind.TEXT:
                yield self._chunk({"content": delta.text}, noted=delta.logprobs)
            case Kind.REASONING:
                yield self._chunk({"reasoning_content": delta.text})
            case Kind.CALL if delta.call:
                yield from self._call(delta.call)

    def _call(self, call: Call) -> Iterable[Payload]:
        index, self._calls = self._calls, self._calls + 1
        yield self._chunk({"tool_calls": [{"index": index, **_function(call, "")}]})
        yield self._chunk({"tool_calls": [{"index": index, "function": {"arguments": call.arguments}}]})

    def end(self, ended: Ended) -> Iterable[Payload]:
        """The reason of the end, and the usage where it is wanted."""
        last = self._chunk({}, finish_reason(ended.summary, bool(ended.said.calls)))
        if self._wants_usage:
            yield last
            last = self._chunk({}) | {"choices": [], "usage": usage_of(ended.summary)}
        yield last | vendor(ended.receipt)

    def whole(self, ended: Ended) -> Payload:
        """The whole answer."""
        message: Json = {
            "role": "assistant",
            "content": ended.said.text if ended.said.text or not ended.said.calls else None,
        }
        if ended.said.reasoning:
            message["reasoning_content"] = ended.said.reasoning
        if ended.said.calls:
            message["tool_calls"] = [_function(call, call.arguments) for call in ended.said.calls]
        choice = {"index": 0, "message": message, "logprobs": _logprobs(ended.said.logprobs)}
        choice["finish_reason"] = finish_reason(ended.summary, bool(ended.said.calls))
        rest = {"choices": [choice], "usage": usage_of(ended.summary)}
        return {"object": "chat.completion", **self._head, **rest, **vendor(ended.receipt)}

    def refusal(self, refused: RefusedError) -> Payload:
        """An error."""
        return refusal(refused)

    def _chunk(self, delta: Json, reason: str | None = None, noted: "Sequence[Logprobs]" = ()) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": _logprobs(noted), "finish_reason": reason}
        return {"object": "chat.completion.chunk", **self._head, "choices": [choice]}


def _logprobs(noted: "Sequence[Logprobs]") -> Json | None:
    return {"content": list(map(logprob_of, noted)), "refusal": None} if noted else None


def _function(call: Call, arguments: str) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


async def _chat(desk: Desk, http: Request) -> Response:
    return await desk.answer(http, ChatRequest, asked, ChatReply)


def routes(desk: Desk) -> list[Route]:
    """The protocol's routes."""
    return [route("/v1/chat/completions", "POST", partial(_chat, desk), refusal)]
