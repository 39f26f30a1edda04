"""The forms that OpenAI's protocols share: errors, models, messages, tools, sampling, usage."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.server.desk import json_response, route
from engine.server.framing import Payload
from engine.server.models import ServedModel, find, served
from engine.server.refusals import BAD, BROKEN, BUSY, FORBIDDEN, NOT_FOUND, NOT_HERE, UNAUTHORIZED, RefusedError
from engine.settings import ANY_OBJECT, MIN_SHARE, OPTION_RANGES, GenerationOptions, ToolChoice, name_of
from engine.statistics import Summary
from engine.tokens.forms import TURN_SEPARATOR, Message

if TYPE_CHECKING:  # which takes MLX to import
    from engine.inference.logprobs import Logprob, Logprobs

ERROR_TYPES = {
    UNAUTHORIZED: "authentication_error",
    FORBIDDEN: "permission_error",
    NOT_FOUND: "not_found_error",
    BUSY: "rate_limit_error",
    BROKEN: "server_error",
}
VENDOR = "flashbulb"  # the field of our receipt
UNLIMITED_TOKENS = int(OPTION_RANGES["max_tokens"][2])  # until the answer or the context ends
ROLES = {"developer": "system", "function": "tool"}  # roles under other names
KNOWN_ROLES = {"system", "user", "assistant", "tool"}
TEXT_PARTS = {"text", "input_text", "output_text", "refusal", "summary_text", "reasoning_text"}
NO_THINKING = "none"  # an effort
THINKING = {"enabled": True, "adaptive": True, "auto": None, "disabled": False}  # kinds, and whether each is any

ALL = -1  # tokens, in numbers of them
INSTEAD = {  # of what is not supported
    "functions": "Describe them as tools.",
    "max_tool_calls": "With parallel_tool_calls false there is one.",
    "num_ctx": "The context is as long as the memory budget has room for.",
    "stop_token_ids": "Give the texts in stop.",
    "verbosity": "Say in the conversation how long an answer is to be.",
    **dict.fromkeys(("guided_json", "json_schema", "structured_outputs"), "Give the schema in response_format."),
    **dict.fromkeys(
        ("previous_response_id", "conversation", "background", "context"),
        "Nothing is kept here: send the whole conversation.",
    ),
}

Json = dict[str, Any]
Number = TypeVar("Number", int, float)


# ----------------------------------------------------------------------------------------------- errors, models
def refusal(refused: RefusedError) -> Payload:
    """An error in OpenAI's form."""
    kind = ERROR_TYPES.get(refused.status, "invalid_request_error")
    return {"error": {"message": refused.message, "type": kind, "param": refused.param, "code": refused.code}}


def model_object(model: ServedModel) -> Json:
    """A model, as OpenAI and Anthropic list it: in one object, as their addresses are the same."""
    moment = msgspec.to_builtins(_moment(model.modified))
    return {
        "id": model.name,
        "object": "model",
        "created": model.modified,
        "owned_by": model.name.rpartition("/")[0] or VENDOR,
        "type": "model",
        "display_name": model.name,
        "created_at": moment,
    }


def _moment(seconds: int) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC)


async def _models(_: Request) -> Response:
    data = [model_object(model) for model in await asyncio.to_thread(served)]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]}
    return json_response({"object": "list", "data": data, "has_more": False, **ends})


async def _model(http: Request) -> Response:
    return json_response(model_object(await asyncio.to_thread(find, http.path_params["name"])))


async def _embeddings(_: Request) -> Response:
    raise RefusedError(NOT_HERE, "Flashbulb makes no embeddings: its models write text.", code="unsupported")


def routes() -> list[Route]:
    """The routes that need no engine."""
    return [
        route("/v1/models", "GET", _models, refusal),
        route("/v1/models/{name:path}", "GET", _model, refusal),
        route("/v1/embeddings", "POST", _embeddings, refusal),
    ]


# ---------------------------------------------------------------------------------------------------- requests
class Part(msgspec.Struct):
    """A part of a message."""

    type: str = "text"
    text: str | None = None
    refusal: str | None = None


class FunctionCall(msgspec.Struct):
    """A function that was called."""

    name: str
    arguments: str | Json | None = None


class Thinking(msgspec.Struct):
    """The choice to reason. budget_tokens: at most."""

    type: str | None = None
    budget_tokens: int | None = None


class Reasoning(msgspec.Struct):
    """The choice of how to reason. max_tokens: at most."""

    effort: str | None = None
    enabled: bool | None = None
    max_tokens: int | None = None


class ToolCall(msgspec.Struct):
    """A call of a tool in an earlier answer."""

    function: FunctionCall
    id: str | None = None


class ChatMessage(msgspec.Struct):
    """A message of a conversation."""

    role: str
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class Unsupported(msgspec.Struct, kw_only=True):
    """The parts of a request that ask for what is not here. Other parts that are unknown miss nothing."""

    add_generation_prompt: Any = None
    audio: Any = None
    bad_words: Any = None
    best_of: Any = None
    dry_multiplier: Any = None
    dynatemp_range: Any = None
    echo: Any = None
    function_call: Any = None
    functions: Any = None
    grammar: Any = None
    guided_choice: Any = None
    guided_grammar: Any = None
    guided_json: Any = None
    guided_regex: Any = None
    include_stop_str_in_output: Any = None
    json_schema: Any = None
    length_penalty: Any = None
    max_tool_calls: Any = None
    mirostat: Any = None
    mirostat_mode: Any = None
    modalities: Any = None
    num_ctx: Any = None
    prompt_logprobs: Any = None
    stop_token_ids: Any = None
    structured_outputs: Any = None
    tfs: Any = None
    tfs_z: Any = None
    top_a: Any = None
    typical_p: Any = None
    use_beam_search: Any = None
    verbosity: Any = None
    web_search_options: Any = None
    xtc_probability: Any = None


NOTHING: Mapping[str, Any] = {}
USUAL = {  # which ask for nothing
    "add_generation_prompt": True,
    "best_of": 1,
    "function_call": "none",
    "modalities": ["text"],
    "verbosity": "medium",
    **dict.fromkeys(("length_penalty", "tfs", "tfs_z", "typical_p"), 1),
}


class Sampled(Unsupported, kw_only=True):
    """The part of a request that says how an answer is sampled: OpenAI's names, and those that other servers with the
    same protocol have given to more."""

    model: str = ""
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[int, float] | None = None
    seed: int | None = None
    min_tokens: int | None = None
    ignore_eos: bool | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    chat_template_kwargs: Json | None = None


def text_of(content: str | Sequence[Part] | None) -> str:
    """The text of a message. Raises RefusedError for parts that are none."""
    if isinstance(content, str) or content is None:
        return content or ""
    for part in content:
        if part.type not in TEXT_PARTS:
            raise RefusedError(BAD, f"This model reads text, and cannot take a part of type {part.type[:40]!r}.")
    return TURN_SEPARATOR.join(part.text or part.refusal or "" for part in content)


def role_of(said: str) -> str:
    """The role that templates know. Raises RefusedError."""
    role = ROLES.get(said, said)
    if role not in KNOWN_ROLES:
        raise RefusedError(BAD, f"There is no role {said[:40]!r}.", param="messages")
    return role


def message_of(given: ChatMessage) -> Message:
    """A message as templates know it. Raises RefusedError."""
    message: Message = {"role": role_of(given.role), "content": text_of(given.content)}
    if given.tool_calls:
        message["tool_calls"] = [tool_call(c.function.name, c.function.arguments, c.id) for c in given.tool_calls]
    others = {
        "name": given.name,
        "tool_call_id": given.tool_call_id,
        "reasoning_content": given.reasoning_content or given.reasoning,
    }
    return message | {key: value for key, value in others.items() if value is not None}


def tool_call(name: str, arguments: str | Json | None, identity: str | None) -> Json:
    """A call of a tool as templates know it."""
    call = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return call | ({"id": identity} if identity else {})


def refuse_unsupported(given: msgspec.Struct, parts: Iterable[str], usual: Mapping[str, Any] = NOTHING) -> None:
    """Raise RefusedError for the first of these parts of a request that asks for something. usual: values that do not,
    beside those that are empty."""
    for name in parts:
        if (value := getattr(given, name)) not in (None, False, "", []) and value != usual.get(name):
            raise RefusedError(BAD, f"{name} is not supported. {INSTEAD.get(name, '')}".strip(), param=name)


def sampling_of(given: Sampled) -> Json:
    """The options of GenerationOptions that such a request chooses; numbers that others take mean what they do there.
    Raises RefusedError."""
    refuse_unsupported(given, Unsupported.__struct_fields__, USUAL)
    if given.n not in (None, 1):
        raise RefusedError(BAD, "Only one answer at a time is written: n is 1.", param="n")
    names = ("temperature", "min_p", "presence_penalty", "frequency_penalty", "logit_bias")
    again = given.repetition_penalty
    return {
        **{name: getattr(given, name) for name in names},
        "top_p": least(given.top_p, MIN_SHARE),
        "top_k": least(given.top_k, 0),
        "repetition_penalty": given.repeat_penalty if again is None else again,
        "penalised_tokens": penalised_of(given.repeat_last_n),
        "seed": given.seed if given.seed is None else given.seed % 2**64,
        "min_tokens": UNLIMITED_TOKENS if given.ignore_eos else least(given.min_tokens, 0),
        "stop": stops_of(given.stop),
        "chat_template_kwargs": given.chat_template_kwargs or {},
    }


def least(value: Number | None, limit: Number) -> Number | None:
    """A number that is chosen, and at least this: what others write below it means the same there."""
    return None if value is None else max(value, limit)


def penalised_of(said: int | None) -> int | None:
    """The last tokens whose repetition is penalised, of a number of which -1 means all."""
    return UNLIMITED_TOKENS if said == ALL else said


def limit_of(*said: int | None) -> int | None:
    """The greatest length of an answer, as the first that says one: tokens, of which -1 means no limit."""
    first = next((each for each in said if each is not None), None)
    return None if first == ALL else first


def stops_of(said: str | list[str] | None) -> tuple[str, ...]:
    """Texts that end an answer."""
    return (said,) if isinstance(said, str) else tuple(said or ())


def logprobs_of(wanted: bool | None, top: int | None) -> int | None:
    """The likeliest tokens that are told beside each token's own; None for nothing of the kind. Raises RefusedError."""
    if top and not wanted:
        raise RefusedError(BAD, "top_logprobs is told where logprobs is true.", param="top_logprobs")
    return (top or 0) if wanted else None


def schema_of(form: Mapping[str, Any] | None) -> Json:
    """The option that the form of an answer is: `{"type": "json_schema", "schema": …}` and its like, or in
    `json_schema`. Raises RefusedError."""
    kind = (form or {}).get("type", "text")
    if kind not in ("text", "json_object", "json_schema"):
        raise RefusedError(BAD, f"There is no form of an answer {str(kind)[:40]!r}.", param="response_format")
    if form is None or kind == "text":
        return {}
    if kind == "json_object":
        return {"schema": ANY_OBJECT}
    described = form["json_schema"] if isinstance(form.get("json_schema"), dict) else form
    if not isinstance(schema := described.get("schema"), dict | bool):
        raise RefusedError(BAD, "A form of type json_schema has a schema.", param="response_format")
    return {"schema": schema}


def tool_of(function: Any) -> Json:
    """A tool as templates know it, of its function. Raises RefusedError for what describes none."""
    named = isinstance(function, dict) and isinstance(function.get("name"), str) and function["name"]
    if not named or not isinstance(function.get("parameters"), dict | bool | None):
        raise RefusedError(BAD, "A tool is a function with a name, whose parameters are a schema.", param="tools")
    return {"type": "function", "function": function}


def choice_of(choice: str | Mapping[str, Any] | None, parallel: bool | None = None) -> Json:
    """The options that a choice of tools is: a word, one tool, or several that are allowed. Raises RefusedError."""
    options: Json = {} if parallel is None else {"parallel_calls": parallel}
    if choice is None or isinstance(choice, str):
        return options | ({"tool_choice": choice} if choice else {})
    if choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools", choice)
        if not isinstance(allowed, dict) or not isinstance(tools := allowed.get("tools", []), list):
            raise RefusedError(BAD, "allowed_tools has a list of tools.", param="tool_choice")
        names = [_named(tool) for tool in tools]
        return options | {"tool_choice": allowed.get("mode", ToolChoice.AUTO), "allowed_tools": tuple(names)}
    return options | {"tool_choice": ToolChoice.REQUIRED, "allowed_tools": (_named(choice),)}


def _named(tool: Any) -> str:
    name = name_of(tool) if isinstance(tool, dict) else ""
    if not name:
        raise RefusedError(BAD, "tool_choice is auto, none, required, or names a function.", param="tool_choice")
    return name


def thinking_of(effort: str | None, thinks: bool | None = None, *tokens: int | None) -> Json:
    """The options of reasoning: of an effort, of a choice to reason at all, and of the most tokens of it, which the
    first says that says any; -1 for no limit."""
    options: Json = {} if thinks is None else {"enable_thinking": thinks}
    if effort is not None:
        options |= {"enable_thinking": False} if effort == NO_THINKING else {"reasoning_effort": effort}
    limit = limit_of(*tokens)
    if limit is None:
        return options
    return options | {"reasoning_tokens": limit} | ({} if limit else {"enable_thinking": False})


def thinks(kind: str | None) -> bool | None:
    """The choice to reason, by its kind; None for none. Raises RefusedError."""
    if kind is not None and kind not in THINKING:
        raise RefusedError(BAD, f"There is no thinking {kind[:40]!r}.", param="thinking")
    return THINKING[kind] if kind else None


def options_of(**chosen: Any) -> GenerationOptions:
    """Options of an answer whose conversation is never shortened without a word. Raises OptionError."""
    given = {name: value for name, value in chosen.items() if value is not None}
    return GenerationOptions(**{"max_tokens": UNLIMITED_TOKENS, "shorten": False, **given})


# ----------------------------------------------------------------------------------------------------- answers
def usage_of(summary: Summary) -> Json:
    """The tokens of an answer, as chats and completions tell them."""
    return {
        "prompt_tokens": summary.prompt_tokens,
        "completion_tokens": len(summary.tokens),
        "total_tokens": summary.prompt_tokens + len(summary.tokens),
        "prompt_tokens_details": {"cached_tokens": summary.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": summary.reasoning_tokens},
    }


def logprob_of(noted: "Logprobs") -> Json:
    """The probability of a token, and those of the likeliest in its place."""
    return {**_logprob(noted.chosen), "top_logprobs": list(map(_logprob, noted.top))}


def _logprob(each: "Logprob") -> Json:
    return {"token": each.text.decode(errors="replace"), "bytes": list(each.text), "logprob": each.logprob}


def finish_reason(summary: Summary, called: bool) -> str:
    """The reason for which an answer ended, in OpenAI's words."""
    if summary.finish_reason in ("length", "context"):
        return "length"
    return "tool_calls" if called else "stop"


def vendor(receipt: Mapping[str, Any]) -> Json:
    """The field of our receipt."""
    return {VENDOR: receipt}
