"""Ollama's protocol: /api/chat, /api/generate, /api/tags, /api/show, /api/ps, /api/version."""

import asyncio
import math
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine.server.answering import Answering, InMemory, Prompt
from engine.server.counting import Tokenizers
from engine.server.deltas import Call, Delta, Kind
from engine.server.desk import Desk, found, json_response, read, route
from engine.server.exchange import Asked, Ended
from engine.server.framing import LINES, Payload
from engine.server.models import ServedModel, at, served
from engine.server.openai import (
    VENDOR,
    Json,
    least,
    logprob_of,
    options_of,
    penalised_of,
    refuse_unsupported,
    role_of,
    stops_of,
    tool_call,
    tool_of,
)
from engine.server.refusals import BAD, NOT_HERE, RefusedError
from engine.settings import ANY_OBJECT, MIN_SHARE, GenerationOptions
from engine.tokens.forms import Message

if TYPE_CHECKING:  # which takes MLX to import
    from engine.inference.logprobs import Logprobs

NANOSECONDS = 10**9  # of a second
GREETING = "Ollama is running"  # which programs look for
DONE_REASONS = {"length": "length", "context": "length", "load": "load", "unload": "unload"}  # of ours
DURATION = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h))+", re.ASCII)
PART = re.compile(r"([\d.]+)([a-zµ]+)")  # of a duration: number and unit
UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
MAX_DURATION_CHARACTERS = 100  # characters
NEVER = datetime(2318, 1, 1, tzinfo=UTC)  # when a model is unloaded that stays: Ollama's word for it
UNSUPPORTED = ("template", "images", "context")
UNSUPPORTED_OPTIONS = {"mirostat": 0, "tfs_z": 1, "typical_p": 1}  # and the value with which each does nothing
EFFORTS = {"low", "medium", "high", "max"}
OPTIONS = {  # Ollama's names, and those of GenerationOptions
    "temperature": "temperature",
    "min_p": "min_p",
    "repeat_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}


def refusal(refused: RefusedError) -> Payload:
    """An error in Ollama's form."""
    return {"error": refused.message}


# ---------------------------------------------------------------------------------------------------- requests
class Options(msgspec.Struct):
    """The options of an answer; others of Ollama's are about how it runs a model."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_last_n: int | None = None
    mirostat: Any = None
    tfs_z: Any = None
    typical_p: Any = None
    seed: int | None = None
    num_predict: int | None = None
    num_ctx: int | None = None
    stop: str | list[str] | None = None


class FunctionCall(msgspec.Struct):
    """A function that was called."""

    name: str
    arguments: Json | None = None


class ToolCall(msgspec.Struct):
    """A call of a tool in an earlier answer."""

    function: FunctionCall
    id: str | None = None


class ChatMessage(msgspec.Struct):
    """A message of a conversation."""

    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[Any] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class Base(msgspec.Struct, kw_only=True):
    """The part that requests of answers share."""

    model: str
    stream: bool | None = None
    think: bool | str | None = None
    format: str | Json | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    options: Options | None = None
    truncate: bool | None = None
    keep_alive: float | str | None = None


class ChatRequest(Base, kw_only=True):
    """The body of a request to chat."""

    messages: list[ChatMessage] | None = None
    tools: list[Json] | None = None


class GenerateRequest(Base, kw_only=True):
    """The body of a request to answer a prompt."""

    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    raw: bool | None = None
    images: list[Any] | None = None
    context: list[Any] | None = None


class ShowRequest(msgspec.Struct):
    """The body of a request to describe a model."""

    model: str = ""
    name: str = ""


def asked_chat(given: ChatRequest, model: ServedModel) -> Asked:
    """The request as the engine takes it. Raises RefusedError, OptionError."""
    messages = [_message(message) for message in given.messages or ()]
    return _asked(given, model, messages, tuple(tool_of(tool.get("function")) for tool in given.tools or ()))


def asked_generate(given: GenerateRequest, model: ServedModel) -> Asked:
    """The request as the engine takes it. Raises RefusedError, OptionError."""
    refuse_unsupported(given, UNSUPPORTED)
    said = given.prompt or ""
    if given.suffix:
        options = replace(_options(given, ()), suffix=given.suffix)
        return Asked(model, said, options, given.stream is not False, rest_of(given.keep_alive))
    if given.raw:
        return _asked(given, model, said)
    system = [{"role": "system", "content": given.system}] if given.system else []
    return _asked(given, model, [*system, {"role": "user", "content": said}] if said else "")


def _asked(given: Base, model: ServedModel, prompt: Prompt, tools: tuple[Json, ...] = ()) -> Asked:
    """Nothing to answer means that the model is to be loaded."""
    return Asked(model, prompt or None, _options(given, tools), given.stream is not False, rest_of(given.keep_alive))


def rest_of(said: float | str | None) -> float | None:
    """Seconds without a request after which a model is unloaded, as Ollama's programs say them: a number of them, or
    `10m`; below 0 for never. None where nothing is said. Raises RefusedError."""
    if said is None or said == "":
        return None
    seconds = _seconds(said) if isinstance(said, str) else said
    return seconds if seconds >= 0 else math.inf


def _seconds(said: str) -> float:
    if re.fullmatch(r"[+-]?\d{1,18}", said, re.ASCII):
        return float(said)
    if len(said) > MAX_DURATION_CHARACTERS or not DURATION.fullmatch(said):
        words = f"keep_alive is a number of seconds, or a duration such as 10m, not {said[:40]!r}."
        raise RefusedError(BAD, words, param="keep_alive")
    return (-1 if said[0] == "-" else 1) * sum(float(number) * UNIT_S[unit] for number, unit in PART.findall(said))


def _options(given: Base, tools: tuple[Json, ...]) -> GenerationOptions:
    chosen = given.options or Options()
    refuse_unsupported(chosen, UNSUPPORTED_OPTIONS, UNSUPPORTED_OPTIONS)
    limit, seed = chosen.num_predict, chosen.seed
    return options_of(
        max_tokens=limit if limit is not None and limit > 0 else None,
        seed=seed if seed is not None and seed >= 0 else None,
        top_p=least(chosen.top_p, MIN_SHARE),
        top_k=least(chosen.top_k, 0),
        penalised_tokens=penalised_of(chosen.repeat_last_n),
        stop=stops_of(chosen.stop),
        context=chosen.num_ctx if chosen.num_ctx and chosen.num_ctx > 0 else None,
        shorten=bool(given.truncate),
        shorten_to_context=given.truncate is not False,
        tools=tools,
        **{ours: getattr(chosen, theirs) for theirs, ours in OPTIONS.items()},
        **_thinking(given.think),
        **_form(given.format),
        logprobs=(given.top_logprobs or 0) if given.logprobs else None,
    )


def _form(said: str | Json | None) -> Json:
    """The option that the form of an answer is: `json`, or a schema. Raises RefusedError."""
    if not said or isinstance(said, dict):
        return {"schema": said} if said else {}
    if said != "json":
        raise RefusedError(BAD, f"format is json or a schema, not {said[:40]!r}.", param="format")
    return {"schema": ANY_OBJECT}


def _thinking(said: bool | str | None) -> Json:
    if isinstance(said, bool):
        return {"enable_thinking": said}
    if said and said not in EFFORTS:
        raise RefusedError(BAD, f"think is true, false, low, medium or high, not {said[:40]!r}.", param="think")
    return {"enable_thinking": True, "reasoning_effort": said} if said else {}


def _message(given: ChatMessage) -> Message:
    if given.images:
        raise RefusedError(BAD, "This model reads text, and cannot take images.", param="messages")
    message: Message = {"role": role_of(given.role), "content": given.content or ""}
    if given.tool_calls:
        message["tool_calls"] = [tool_call(c.function.name, c.function.arguments, c.id) for c in given.tool_calls]
    others = {"name": given.tool_name, "tool_call_id": given.tool_call_id, "reasoning_content": given.thinking}
    return message | {key: value for key, value in others.items() if value}


# ----------------------------------------------------------------------------------------------------- answers
class _Reply:
    """The answer as Ollama tells it: objects that each have a part, the last one with the figures."""

    framing = LINES

    def __init__(self, given: Base, model: ServedModel):
        self._model, self._began = given.model or model.name, time.monotonic()

    def begin(self) -> Iterable[Payload]:
        """Nothing."""
        return ()

    def add(self, delta: Delta) -> Iterable[Payload]:
        """A part."""
        yield self._object(self._part(delta), done=False) | _logprobs(delta.logprobs)

    def end(self, ended: Ended) -> Iterable[Payload]:
        """The figures."""
        yield self._object(self._parts("", "", []), done=True) | self._figures(ended)

    def whole(self, ended: Ended) -> Payload:
        """The whole answer."""
        said = ended.said
        parts = self._parts(said.text, said.reasoning, said.calls)
        return self._object(parts, done=True) | _logprobs(said.logprobs) | self._figures(ended)

    def refusal(self, refused: RefusedError) -> Payload:
        """An error."""
        return refusal(refused)

    def _part(self, delta: Delta) -> Json:
        thinks = delta.kind is Kind.REASONING
        calls = [delta.call] if delta.call else []
        return self._parts("" if thinks else delta.text, delta.text if thinks else "", calls)

    def _parts(self, text: str, thinking: str, calls: list[Call]) -> Json:
        raise NotImplementedError

    def _object(self, parts: Json, done: bool) -> Json:
        moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        return {"model": self._model, "created_at": moment, **parts, "done": done}

    def _figures(self, ended: Ended) -> Json:
        summary = ended.summary
        total, tokens = time.monotonic() - self._began, len(summary.tokens)
        decode = (tokens - 1) / summary.tokens_per_second if summary.tokens_per_second else 0.0
        return {
            "done_reason": DONE_REASONS.get(summary.finish_reason, "stop"),
            "total_duration": round(NANOSECONDS * total),
            "load_duration": round(NANOSECONDS * max(0.0, total - summary.prefill_seconds - decode)),
            "prompt_eval_count": summary.prompt_tokens,
            "prompt_eval_duration": round(NANOSECONDS * summary.prefill_seconds),
            "eval_count": tokens,
            "eval_duration": round(NANOSECONDS * decode),
            VENDOR: ended.receipt,
        }


def _logprobs(noted: "Sequence[Logprobs]") -> Json:
    return {"logprobs": list(map(logprob_of, noted))} if noted else {}


class ChatReply(_Reply):
    """The answer of a chat."""

    def _parts(self, text: str, thinking: str, calls: list[Call]) -> Json:
        message: Json = {"role": "assistant", "content": text}
        if thinking:
            message["thinking"] = thinking
        if calls:
            message["tool_calls"] = [{"id": c.id, "function": {"name": c.name, "arguments": c.given}} for c in calls]
        return {"message": message}


class GenerateReply(_Reply):
    """The answer to a prompt."""

    def _parts(self, text: str, thinking: str, calls: list[Call]) -> Json:
        written = text + "".join(call.arguments for call in calls)
        return {"response": written} | ({"thinking": thinking} if thinking else {})


# ------------------------------------------------------------------------------------------------------ models
def _listed(model: ServedModel) -> Json:
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": datetime.fromtimestamp(model.modified, UTC).isoformat(),
        "size": model.bytes,
        "digest": "",
        "details": _details(model),
    }


def _details(model: ServedModel) -> Json:
    config = model.config
    family = str(config.get("model_type", ""))
    quantization = config.get("quantization")
    bits = quantization.get("bits") if isinstance(quantization, dict) else None
    return {
        "parent_model": "",
        "format": "safetensors",
        "family": family,
        "families": [family],
        "parameter_size": "",
        "quantization_level": f"{bits}-bit" if bits else "",
    }


def _in_memory(present: InMemory | None) -> list[Json]:
    if present is None:
        return []
    model = _listed(at(present.folder))
    del model["modified_at"]
    held = {"size": present.bytes, "size_vram": present.bytes, "context_length": present.context}
    return [model | held | {"expires_at": _end_of(present.rest_s).isoformat()}]


def _end_of(rest_s: float | None) -> datetime:
    """The moment at which a rest ends."""
    now = datetime.now(UTC)
    return NEVER if rest_s is None or rest_s > (NEVER - now).total_seconds() else now + timedelta(seconds=rest_s)


def _shown(tokenizers: Tokenizers, model: ServedModel) -> Json:
    family, config = _details(model)["family"], model.config
    context = config.get("max_position_embeddings")
    information = {"general.architecture": family, "general.basename": model.name}
    return {
        "modelfile": f"FROM {model.name}",
        "parameters": "",
        "template": "",
        "details": _details(model),
        "model_info": information | ({f"{family}.context_length": context} if context else {}),
        "capabilities": tokenizers.capabilities(model),
        "modified_at": datetime.fromtimestamp(model.modified, UTC).isoformat(),
    }


async def _tags(_: Request) -> Response:
    models = await asyncio.to_thread(lambda: [_listed(model) for model in served()])
    return json_response({"models": models})


async def _ps(answering: Answering, _: Request) -> Response:
    return json_response({"models": await asyncio.to_thread(_in_memory, answering.in_memory)})


async def _show(tokenizers: Tokenizers, http: Request) -> Response:
    given = await read(http, ShowRequest)
    model = await found(given.model or given.name)
    return json_response(await asyncio.to_thread(_shown, tokenizers, model))


async def _version(_: Request) -> Response:
    return json_response({"version": version("flashbulb")})


async def _greet(_: Request) -> Response:
    return PlainTextResponse(GREETING)


async def _embed(_: Request) -> Response:
    raise RefusedError(NOT_HERE, "Flashbulb makes no embeddings: its models write text.")


# ------------------------------------------------------------------------------------------------------ routes
async def _chat(desk: Desk, http: Request) -> Response:
    return await desk.answer(http, ChatRequest, asked_chat, ChatReply)


async def _generate(desk: Desk, http: Request) -> Response:
    return await desk.answer(http, GenerateRequest, asked_generate, GenerateReply)


def routes(desk: Desk) -> list[Route]:
    """The protocol's routes."""
    listed: list[tuple[str, str, Callable[[Request], Any]]] = [
        ("/api/chat", "POST", partial(_chat, desk)),
        ("/api/generate", "POST", partial(_generate, desk)),
        ("/api/show", "POST", partial(_show, desk.tokenizers)),
        ("/api/tags", "GET", _tags),
        ("/api/ps", "GET", partial(_ps, desk.answering)),
        ("/api/version", "GET", _version),
        ("/api/embed", "POST", _embed),
        ("/api/embeddings", "POST", _embed),
        ("/", "GET", _greet),
    ]
    return [route(path, method, handler, refusal) for path, method, handler in listed]
