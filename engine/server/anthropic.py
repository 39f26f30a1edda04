"""Anthropic's messages: POST /v1/messages, POST /v1/messages/count_tokens."""

import asyncio
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.server.counting import Tokenizers
from engine.server.deltas import Call, Delta, Kind, new_id
from engine.server.desk import Desk, found, json_response, read, route
from engine.server.exchange import Asked, Ended
from engine.server.framing import NAMED_EVENTS, Payload
from engine.server.models import ServedModel
from engine.server.openai import (
    VENDOR,
    Json,
    Thinking,
    least,
    options_of,
    refuse_unsupported,
    schema_of,
    stops_of,
    thinking_of,
    thinks,
    tool_call,
)
from engine.server.refusals import BAD, BUSY, FORBIDDEN, NOT_FOUND, TOO_LARGE, UNAUTHORIZED, RefusedError
from engine.settings import MIN_SHARE
from engine.statistics import Summary
from engine.tokens.forms import TURN_SEPARATOR, Message

ERROR_TYPES = {
    BAD: "invalid_request_error",
    UNAUTHORIZED: "authentication_error",
    FORBIDDEN: "permission_error",
    NOT_FOUND: "not_found_error",
    TOO_LARGE: "request_too_large",
    BUSY: "rate_limit_error",
}
STOP_REASONS = {"length": "max_tokens", "context": "model_context_window_exceeded"}  # of ours
CHOICES = {"auto": "auto", "any": "required", "tool": "required", "none": "none"}  # of tools, and ours
PASSED_OVER = {"thinking", "redacted_thinking"}  # blocks that are no text, and nothing is missed without
UNSUPPORTED = ("container", "mcp_servers")
NO_SIGNATURE = "flashbulb"  # thinking is signed by nobody here, and clients want a text


def refusal(refused: RefusedError) -> Payload:
    """An error in Anthropic's form."""
    kind = ERROR_TYPES.get(refused.status, "invalid_request_error" if refused.status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": refused.message}}


# ---------------------------------------------------------------------------------------------------- requests
class Block(msgspec.Struct):
    """A block of a message: text, thinking, tool_use, or tool_result."""

    type: str = "text"
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Json | None = None
    tool_use_id: str | None = None
    content: "str | list[Block] | None" = None


class InputMessage(msgspec.Struct):
    """A message of a conversation."""

    role: str
    content: str | list[Block]


class Tool(msgspec.Struct):
    """A tool that may be called. type: `custom`, or one of Anthropic's own."""

    name: str
    description: str | None = None
    input_schema: Json | None = None
    type: str | None = None


class ToolChoice(msgspec.Struct):
    """The tool that is to be called: auto, any, none, or the one of a name."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class OutputConfig(msgspec.Struct):
    """The effort and the form of an answer."""

    effort: str | None = None
    format: Json | None = None


class CountRequest(msgspec.Struct, kw_only=True):
    """The body of a request to count."""

    model: str
    messages: list[InputMessage]
    system: str | list[Block] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None


class MessagesRequest(CountRequest, kw_only=True):
    """The body of a request."""

    max_tokens: int
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    container: Any = None
    mcp_servers: list[Any] | None = None


def asked(given: MessagesRequest, model: ServedModel) -> Asked:
    """The request as the engine takes it. Raises RefusedError, OptionError."""
    refuse_unsupported(given, UNSUPPORTED)
    options = options_of(
        max_tokens=given.max_tokens,
        stop=stops_of(given.stop_sequences),
        temperature=given.temperature,
        top_p=least(given.top_p, MIN_SHARE),
        top_k=given.top_k,
        **_told(given),
    )
    return Asked(model, messages_of(given), options, bool(given.stream))


def _told(given: CountRequest) -> Json:
    """The options that are part of the prompt."""
    effort = given.output_config.effort if given.output_config else None
    thinking = given.thinking or Thinking()
    return {
        "tools": tuple(_tools(given)),
        **thinking_of(effort, thinks(thinking.type), thinking.budget_tokens),
        **schema_of(given.output_config.format if given.output_config else None),
        **_choice(given.tool_choice),
    }


def _choice(given: ToolChoice | None) -> Json:
    """The options that a choice of tools is. Raises RefusedError."""
    if given is None:
        return {}
    if given.type not in CHOICES:
        raise RefusedError(BAD, f"There is no tool_choice {given.type[:40]!r}.", param="tool_choice")
    named = {"allowed_tools": (given.name or "",)} if given.type == "tool" else {}
    return {"tool_choice": CHOICES[given.type], "parallel_calls": not given.disable_parallel_tool_use, **named}


def _tools(given: CountRequest) -> Iterator[Json]:
    for tool in given.tools or ():
        if tool.type not in (None, "custom"):
            raise RefusedError(BAD, f"The tool {tool.type[:60]!r} runs at Anthropic's, and is not here.", param="tools")
        function = {"name": tool.name, "description": tool.description or "", "parameters": tool.input_schema or {}}
        yield {"type": "function", "function": function}


def messages_of(given: CountRequest) -> list[Message]:
    """The conversation as templates know it. Raises RefusedError."""
    if not given.messages:
        raise RefusedError(BAD, "There are no messages.", param="messages")
    system = text_of(given.system) if given.system else ""
    first: list[Message] = [{"role": "system", "content": system}] if system else []
    return first + [message for each in given.messages for message in _messages(each)]


def _messages(given: InputMessage) -> list[Message]:
    """A message, after the results of tools that stand in it."""
    if given.role not in ("user", "assistant", "system"):
        raise RefusedError(BAD, f"There is no role {given.role[:40]!r}.", param="messages")
    if isinstance(given.content, str):
        return [{"role": given.role, "content": given.content}]
    results = [_result(block) for block in given.content if block.type == "tool_result"]
    said = [block for block in given.content if block.type != "tool_result"]
    return results + ([_said(given.role, said)] if said or not results else [])


def _result(block: Block) -> Message:
    return {"role": "tool", "tool_call_id": block.tool_use_id, "content": text_of(block.content or "")}


def _said(role: str, blocks: list[Block]) -> Message:
    message: Message = {"role": role, "content": text_of([block for block in blocks if block.type != "tool_use"])}
    if thoughts := TURN_SEPARATOR.join(block.thinking for block in blocks if block.thinking):
        message["reasoning_content"] = thoughts
    if calls := [
        tool_call(block.name or "", block.input or {}, block.id) for block in blocks if block.type == "tool_use"
    ]:
        message["tool_calls"] = calls
    return message


def text_of(content: str | list[Block]) -> str:
    """The text of blocks. Raises RefusedError for those that are none."""
    if isinstance(content, str):
        return content
    for block in content:
        if block.type != "text" and block.type not in PASSED_OVER:
            raise RefusedError(BAD, f"This model reads text, and cannot take a block of type {block.type[:40]!r}.")
    return TURN_SEPARATOR.join(block.text for block in content if block.text)


# ----------------------------------------------------------------------------------------------------- answers
class MessagesReply:
    """The answer as Anthropic's messages tell it."""

    framing = NAMED_EVENTS

    def __init__(self, given: MessagesRequest, model: ServedModel):
        del given
        self._head = {"id": new_id("msg_"), "type": "message", "role": "assistant", "model": model.name}
        self._open: Kind | None = None  # the kind of the block that is being told
        self._index = -1  # its place

    def begin(self) -> Iterable[Payload]:
        """The message, as yet empty."""
        empty: Json = {"content": [], "stop_reason": None, "stop_sequence": None}
        usage = {"input_tokens": 0, "output_tokens": 0}
        yield {"type": "message_start", "message": {**self._head, **empty, "usage": usage}}

    def add(self, delta: Delta) -> Iterable[Payload]:
        """A delta, in its block."""
        if delta.call is not None:
            yield from self._call(delta.call)
        elif delta.kind is Kind.REASONING:
            yield from self._enter(Kind.REASONING, {"type": "thinking", "thinking": "", "signature": ""})
            yield self._delta({"type": "thinking_delta", "thinking": delta.text})
        else:
            yield from self._enter(Kind.TEXT, {"type": "text", "text": ""})
            yield self._delta({"type": "text_delta", "text": delta.text})

    def _call(self, call: Call) -> Iterable[Payload]:
        yield from self._leave()
        yield from self._enter(Kind.CALL, {"type": "tool_use", "id": call.id, "name": call.name, "input": {}})
        yield self._delta({"type": "input_json_delta", "partial_json": call.arguments})

    def end(self, ended: Ended) -> Iterable[Payload]:
        """The reason of the end, and the usage."""
        yield from self._leave()
        usage = usage_of(ended.summary)
        yield {"type": "message_delta", "delta": stop_of(ended), "usage": usage}
        yield {"type": "message_stop", VENDOR: ended.receipt}

    def whole(self, ended: Ended) -> Payload:
        """The whole answer."""
        said = ended.said
        content: list[Json] = []
        if said.reasoning:
            content.append({"type": "thinking", "thinking": said.reasoning, "signature": NO_SIGNATURE})
        if said.text or not said.calls:
            content.append({"type": "text", "text": said.text})
        content += [{"type": "tool_use", "id": c.id, "name": c.name, "input": c.given} for c in said.calls]
        usage = usage_of(ended.summary)
        return {**self._head, "content": content, **stop_of(ended), "usage": usage, VENDOR: ended.receipt}

    def refusal(self, refused: RefusedError) -> Payload:
        """An error."""
        return refusal(refused)

    def _enter(self, kind: Kind, block: Json) -> Iterable[Payload]:
        """Begin a block, unless one of its kind is open."""
        if self._open is not kind:
            yield from self._leave()
            self._open, self._index = kind, self._index + 1
            yield {"type": "content_block_start", "index": self._index, "content_block": block}

    def _leave(self) -> Iterable[Payload]:
        """End the block that is open."""
        if self._open is Kind.REASONING:
            yield self._delta({"type": "signature_delta", "signature": NO_SIGNATURE})
        if self._open is not None:
            yield {"type": "content_block_stop", "index": self._index}
        self._open = None

    def _delta(self, delta: Json) -> Json:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}


def usage_of(summary: Summary) -> Json:
    """The tokens of an answer; those of the prompt that were in memory already are told apart."""
    return {
        "input_tokens": summary.prompt_tokens - summary.cached_tokens,
        "cache_read_input_tokens": summary.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": len(summary.tokens),
    }


def stop_of(ended: Ended) -> Json:
    """The reason for which an answer ended, in Anthropic's words, and the stop text where it is that."""
    reason = STOP_REASONS.get(ended.summary.finish_reason) or ("tool_use" if ended.said.calls else "end_turn")
    if reason == "end_turn" and (text := ended.summary.stop_text):
        return {"stop_reason": "stop_sequence", "stop_sequence": text}
    return {"stop_reason": reason, "stop_sequence": None}


# ------------------------------------------------------------------------------------------------------ routes
async def _messages_endpoint(desk: Desk, http: Request) -> Response:
    return await desk.answer(http, MessagesRequest, asked, MessagesReply)


async def _count(tokenizers: Tokenizers, http: Request) -> Response:
    given = await read(http, CountRequest)
    model, options = await found(given.model), options_of(**_told(given))
    counted: Any = await asyncio.to_thread(tokenizers.count, model, messages_of(given), options)
    return json_response({"input_tokens": counted})


def routes(desk: Desk) -> list[Route]:
    """The protocol's routes."""
    return [
        route("/v1/messages", "POST", partial(_messages_endpoint, desk), refusal),
        route("/v1/messages/count_tokens", "POST", partial(_count, desk.tokenizers), refusal),
    ]
