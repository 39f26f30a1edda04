"""OpenAI's responses: POST /v1/responses. Nothing is kept: each request brings its whole conversation."""

import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.server.deltas import Call, Delta, Deltas, Kind, new_id
from engine.server.desk import Desk, route
from engine.server.exchange import Asked, Ended
from engine.server.framing import NAMED_EVENTS, Payload
from engine.server.models import ServedModel
from engine.server.openai import (
    USUAL,
    ChatMessage,
    Json,
    Part,
    Reasoning,
    Sampled,
    choice_of,
    limit_of,
    logprob_of,
    logprobs_of,
    message_of,
    options_of,
    refusal,
    refuse_unsupported,
    sampling_of,
    schema_of,
    text_of,
    thinking_of,
    tool_call,
    vendor,
)
from engine.server.refusals import BAD, RefusedError
from engine.statistics import Summary
from engine.tokens.forms import Message

LOGPROBS = "message.output_text.logprobs"  # as it is asked for
UNSUPPORTED = ("previous_response_id", "conversation", "background", "prompt")


# ---------------------------------------------------------------------------------------------------- requests
class Item(msgspec.Struct):
    """An item of the input: a message, a call, its output, or reasoning."""

    type: str = "message"
    role: str = "user"
    content: str | list[Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[Part] | None = None


class Tool(msgspec.Struct):
    """A tool that may be called."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: Json | None = None


class TextConfig(msgspec.Struct):
    """The form of an answer."""

    format: Json | None = None
    verbosity: str | None = None


class ResponseRequest(Sampled, kw_only=True):
    """The body of a request."""

    input: str | list[Item]
    instructions: str | None = None
    max_output_tokens: int | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Json | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    text: TextConfig | None = None
    previous_response_id: str | None = None
    conversation: str | Json | None = None
    background: bool | None = None
    prompt: Any = None
    metadata: Json | None = None
    truncation: str | None = None
    include: list[str] | None = None
    top_logprobs: int | None = None


def asked(given: ResponseRequest, model: ServedModel) -> Asked:
    """The request as the engine takes it. Raises RefusedError, OptionError."""
    refuse_unsupported(given, UNSUPPORTED)
    refuse_unsupported(given.text or TextConfig(), ("verbosity",), USUAL)
    options = options_of(
        max_tokens=limit_of(given.max_output_tokens),
        tools=_tools(given),
        shorten=given.truncation == "auto",
        **sampling_of(given),
        **_thinking(given.reasoning or Reasoning()),
        **schema_of(given.text.format if given.text else None),
        **choice_of(given.tool_choice, given.parallel_tool_calls),
        logprobs=logprobs_of(LOGPROBS in (given.include or ()) or bool(given.top_logprobs), given.top_logprobs),
    )
    return Asked(model, _messages(given), options, bool(given.stream))


def _thinking(given: Reasoning) -> Json:
    return thinking_of(given.effort, given.enabled, given.max_tokens)


def _tools(given: ResponseRequest) -> tuple[Json, ...]:
    for tool in given.tools or ():
        if tool.type != "function" or not tool.name:
            raise RefusedError(BAD, f"A tool is a function with a name, not {tool.type[:60]!r}.", param="tools")
    return tuple(map(_tool, given.tools or ()))


def _tool(tool: Tool) -> Json:
    described = {"name": tool.name, "description": tool.description or "", "parameters": tool.parameters or {}}
    return {"type": "function", "function": described}


def _messages(given: ResponseRequest) -> list[Message]:
    system = [{"role": "system", "content": given.instructions}] if given.instructions else []
    if isinstance(given.input, str):
        return [*system, {"role": "user", "content": given.input}]
    if not given.input:
        raise RefusedError(BAD, "The input is empty.", param="input")
    return system + _joined([_message(item) for item in given.input])


def _message(item: Item) -> Message:
    match item.type:
        case "message":
            return message_of(ChatMessage(item.role, item.content))
        case "function_call":
            call = tool_call(item.name or "", item.arguments, item.call_id)
            return {"role": "assistant", "content": "", "tool_calls": [call]}
        case "function_call_output":
            return {"role": "tool", "tool_call_id": item.call_id, "content": text_of(item.output)}
        case "reasoning":
            return {"role": "assistant", "content": "", "reasoning_content": text_of(item.content)}
    raise RefusedError(BAD, f"An item of type {item.type[:40]!r} is not supported.", param="input")


def _joined(messages: list[Message]) -> list[Message]:
    """Messages in which reasoning, words and calls of one answer are one message, as templates have them."""
    joined: list[Message] = []
    for message in messages:
        if joined and joined[-1]["role"] == message["role"] == "assistant" and not joined[-1]["content"]:
            calls = joined[-1].get("tool_calls", []) + message.get("tool_calls", [])
            joined[-1] = joined[-1] | message | ({"tool_calls": calls} if calls else {})
        elif joined and joined[-1]["role"] == "assistant" and message.get("tool_calls"):
            joined[-1]["tool_calls"] = joined[-1].get("tool_calls", []) + message["tool_calls"]
        else:
            joined.append(message)
    return joined


# ----------------------------------------------------------------------------------------------------- answers
class ResponseReply:
    """The answer as OpenAI's responses tell it: items, each begun, told and done."""

    framing = NAMED_EVENTS

    def __init__(self, given: ResponseRequest, model: ServedModel):
        self._head = _head(given, model)
        self._items: list[Json] = []  # those that are done
        self._open: Json | None = None  # the item that is being told
        self._text = ""  # of it, so far
        self._noted: list[Json] = []  # probabilities of its tokens
        self._count = 0  # events

    def begin(self) -> Iterable[Payload]:
        """The response, as yet empty."""
        for kind in ("response.created", "response.in_progress"):
            yield self._event(kind, response=self._response("in_progress"))

    def add(self, delta: Delta) -> Iterable[Payload]:
        """A delta, in its item."""
        if delta.call is not None:
            yield from self._call(delta.call)
            return
        kind = "reasoning" if delta.kind is Kind.REASONING else "message"
        if self._open is None or self._open["type"] != kind:
            yield from self._close()
            yield from self._begin_item(_reasoning("") if kind == "reasoning" else _words("", []))
        self._text += delta.text
        noted = [logprob_of(each) for each in delta.logprobs]
        self._noted += noted
        more: Json = {"logprobs": noted} if kind == "message" else {}
        yield self._part_event(f"response.{_NAMES[kind]}.delta", delta=delta.text, **more)

    def end(self, ended: Ended) -> Iterable[Payload]:
        """The response, complete."""
        yield from self._close()
        limited = ended.summary.finish_reason in ("length", "context")
        done = self._done(self._items, ended)
        yield self._event("response.incomplete" if limited else "response.completed", response=done)

    def whole(self, ended: Ended) -> Payload:
        """The whole response."""
        return self._done(_items(ended.said), ended)

    def refusal(self, refused: RefusedError) -> Payload:
        """An error: before the answer has begun as all of OpenAI's, then as an event of this protocol."""
        if not self._count:
            return refusal(refused)
        return self._event("error", code=refused.code, message=refused.message, param=refused.param)

    def _begin_item(self, item: Json) -> Iterable[Payload]:
        self._open, self._text, self._noted = item, "", []
        empty = item | {"status": "in_progress"} | ({"content": []} if "content" in item else {})
        yield self._event("response.output_item.added", output_index=len(self._items), item=empty)
        if item["type"] == "message":
            yield self._part_event("response.content_part.added", part=_part("", []))

    def _close(self) -> Iterable[Payload]:
        """End the item that is open."""
        if self._open is None:
            return
        item, text, noted = self._open, self._text, self._noted
        is_message = item["type"] == "message"
        more: Json = {"text": text, **({"logprobs": noted} if is_message else {})}
        yield self._part_event(f"response.{_NAMES[item['type']]}.done", **more)
        if is_message:
            yield self._part_event("response.content_part.done", part=_part(text, noted))
        self._open = None
        yield from self._end_item((_words(text, noted) if is_message else _reasoning(text)) | {"id": item["id"]})

    def _end_item(self, item: Json) -> Iterable[Payload]:
        yield self._event("response.output_item.done", output_index=len(self._items), item=item)
        self._items.append(item)

    def _call(self, call: Call) -> Iterable[Payload]:
        yield from self._close()
        item, place = _called(call), {"output_index": len(self._items)}
        empty = item | {"arguments": "", "status": "in_progress"}
        yield self._event("response.output_item.added", item=empty, **place)
        told = {"item_id": item["id"], **place}
        yield self._event("response.function_call_arguments.delta", delta=call.arguments, **told)
        yield self._event("response.function_call_arguments.done", arguments=call.arguments, name=call.name, **told)
        yield from self._end_item(item)

    def _part_event(self, kind: str, **more: Any) -> Json:
        assert self._open is not None
        place = {"item_id": self._open["id"], "output_index": len(self._items), "content_index": 0}
        return self._event(kind, **place, **more)

    def _event(self, kind: str, **more: Any) -> Json:
        self._count += 1
        return {"type": kind, "sequence_number": self._count - 1, **more}

    def _response(self, status: str) -> Json:
        return {**self._head, "status": status, "output": [], "usage": None}

    def _done(self, items: list[Json], ended: Ended) -> Json:
        limited = ended.summary.finish_reason in ("length", "context")
        end: Json = {"status": "incomplete" if limited else "completed", "completed_at": time.time()}
        end["incomplete_details"] = {"reason": "max_output_tokens"} if limited else None
        return {**self._head, **end, "output": items, "usage": usage_of(ended.summary), **vendor(ended.receipt)}


_NAMES = {"message": "output_text", "reasoning": "reasoning_text"}  # of an item's events


def _head(given: ResponseRequest, model: ServedModel) -> Json:
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": time.time(),
        "model": model.name,
        "error": None,
        "incomplete_details": None,
        "instructions": given.instructions,
        "max_output_tokens": given.max_output_tokens,
        "metadata": given.metadata or {},
        "parallel_tool_calls": given.parallel_tool_calls is not False,
        "previous_response_id": None,
        "store": False,
        "temperature": given.temperature,
        "top_p": given.top_p,
        "text": {"format": (given.text and given.text.format) or {"type": "text"}},
        "tool_choice": given.tool_choice or "auto",
        "tools": [{"type": "function", "strict": False, **msgspec.to_builtins(tool)} for tool in given.tools or ()],
        "truncation": given.truncation or "disabled",
    }


def _items(said: Deltas) -> list[Json]:
    reasoning = [_reasoning(said.reasoning)] if said.reasoning else []
    words = [_words(said.text, [logprob_of(each) for each in said.logprobs])] if said.text or not said.calls else []
    return [*reasoning, *words, *map(_called, said.calls)]


def _reasoning(text: str) -> Json:
    content = [{"type": "reasoning_text", "text": text}]
    return {"id": new_id("rs_"), "type": "reasoning", "status": "completed", "summary": [], "content": content}


def _words(text: str, noted: list[Json]) -> Json:
    shared = {"id": new_id("msg_"), "type": "message", "status": "completed", "role": "assistant"}
    return {**shared, "content": [_part(text, noted)]}


def _part(text: str, noted: list[Json]) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": noted}


def _called(call: Call) -> Json:
    told = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
    return {"id": f"fc_{call.id}", "type": "function_call", "status": "completed", **told}


def usage_of(summary: Summary) -> Json:
    """The tokens of an answer."""
    return {
        "input_tokens": summary.prompt_tokens,
        "input_tokens_details": {"cached_tokens": summary.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": len(summary.tokens),
        "output_tokens_details": {"reasoning_tokens": summary.reasoning_tokens},
        "total_tokens": summary.prompt_tokens + len(summary.tokens),
    }


# ------------------------------------------------------------------------------------------------------ routes
async def _respond(desk: Desk, http: Request) -> Response:
    return await desk.answer(http, ResponseRequest, asked, ResponseReply)


def routes(desk: Desk) -> list[Route]:
    """The protocol's routes."""
    return [route("/v1/responses", "POST", partial(_respond, desk), refusal)]
