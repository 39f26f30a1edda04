"""Tools for a model whose chat template knows of none: described in words, called and answered as most models do it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.settings import GenerationOptions, ToolChoice, function_of
from engine.tokens.forms import TURN_SEPARATOR, Message, text_of
from engine.tokens.markers import markers_of
from engine.tokens.tokenizer import Tokenizer
from engine.tokens.tool_calls import USUAL

HOW = """You may call these functions, each described in a line of JSON:
<tools>
{tools}
</tools>
To call one, write this instead of an answer, with its name and its arguments as JSON:
{start}{{"name": "...", "arguments": {{...}}}}{end}
You are then told what it returns."""


def are_told(tokenizer: Tokenizer, options: GenerationOptions) -> bool:
    """True where there are tools that a model may call, its template would not tell it, and no form of calls is its
    own."""
    known = tokenizer.template is not None and "tools" in tokenizer.template.written
    markers = markers_of(tokenizer)
    own = markers.has_tool_calling or markers.harmony or markers.bare
    return bool(options.tools) and options.tool_choice is not ToolChoice.NONE and not known and not own


def telling(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[Message]:
    """A conversation in which a system message describes tools, and calls and results are text."""
    lines = "\n".join(_json(function_of(tool)) for tool in tools)
    how = HOW.format(tools=lines, start=USUAL.start, end=USUAL.end)
    first, *rest = [_as_text(message) for message in messages]
    if first["role"] == "system":
        return [first | {"content": TURN_SEPARATOR.join((first["content"], how))}, *rest]
    return [{"role": "system", "content": how}, first, *rest]


def _as_text(message: Message) -> Message:
    """A message without calls of its own: they are a part of what it says; and the result of one, as a user's words."""
    if message["role"] == "tool":
        return {"role": "user", "content": f"<tool_response>{message['content']}</tool_response>"}
    if not message.get("tool_calls"):
        return message
    calls = [_call(call["function"]) for call in message["tool_calls"]]
    kept = {key: value for key, value in message.items() if key != "tool_calls"}
    return kept | {"content": "\n".join(filter(None, (message["content"], *calls)))}


def _call(function: Mapping[str, Any]) -> str:
    arguments = text_of(function.get("arguments"))
    return f'{USUAL.start}{{"name": {_json(function["name"])}, "arguments": {arguments}}}{USUAL.end}'


def _json(said: object) -> str:
    """JSON of whole characters."""
    return json.dumps(said, ensure_ascii=False, default=str).encode(errors="replace").decode()
