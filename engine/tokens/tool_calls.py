"""Calls of tools as families of models write them that mlx-lm has no parser for, and which parser a model needs.

A parser is given what stands between the marks, and returns mappings with `name` and `arguments`, or raises whatever it
likes.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import mlx_lm.tool_parsers
from mlx_lm.tokenizer_utils import _infer_tool_parser
from mlx_lm.tool_parsers import mistral, pythonic, qwen3_coder

Found = Mapping[str, Any] | Sequence[Mapping[str, Any]]
Parser = Callable[[str, Any], Found]

DEEPSEEK_CALL = re.compile("<｜tool▁call▁begin｜>(.*?)<｜tool▁call▁end｜>", re.DOTALL)
DEEPSEEK_FENCED = re.compile(r"\s*(\S+)\s*```json\s*(.*?)\s*```\s*", re.DOTALL)  # a name, and its arguments
DSML_CALL = re.compile(r'<｜DSML｜invoke name="([^"]*)">(.*?)</｜DSML｜invoke>', re.DOTALL)
DSML_ARGUMENT = re.compile(
    r'<｜DSML｜parameter name="([^"]*)" string="(true|false)">(.*?)</｜DSML｜parameter>', re.DOTALL
)
CALL_ID = re.compile(r"\[CALL_ID\][^\[]*")  # between a name and its arguments
PYTHON_CALL = re.compile(r"\s*([\w.]+?)(?:\.call)?(\(.*\))\s*", re.DOTALL)  # of a tool that Llama knows by itself


@dataclass(frozen=True)
class CallFormat:
    """Marks around calls of tools, and what parses them. end: "" where only the answer's end ends them.

    bare: a call may come without marks, as the whole answer.
    """

    start: str
    end: str
    parse: Parser
    bare: bool = False


# ---------------------------------------------------------------------------------------------------- parsers
def _deepseek(text: str, _tools: Any) -> Found:
    """Of DeepSeek V3 and R1 (`function`, the name, a block of JSON), and of V3.1 (the name, JSON)."""
    return [_deepseek_call(*call.split("<｜tool▁sep｜>", 1)) for call in DEEPSEEK_CALL.findall(text)]


def _deepseek_call(before: str, after: str) -> Mapping[str, Any]:
    name, arguments = found.groups() if (found := DEEPSEEK_FENCED.fullmatch(after)) else (before, after)
    return {"name": name.strip(), "arguments": json.loads(arguments)}


def _dsml(text: str, _tools: Any) -> Found:
    """Of DeepSeek V3.2."""
    return [{"name": name, "arguments": dict(_dsml_arguments(inner))} for name, inner in DSML_CALL.findall(text)]


def _dsml_arguments(text: str) -> Iterator[tuple[str, Any]]:
    for name, is_text, value in DSML_ARGUMENT.findall(text):
        yield name, value if is_text == "true" else json.loads(value)


def _json(text: str, _tools: Any) -> Found:
    """JSON objects, in a list or one after another."""
    decoder, found, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        found += value if isinstance(value, list) else [value]
        rest = rest[end:].lstrip(" \n;,")
    return found


def _llama(text: str, tools: Any) -> Found:
    """JSON, or a Python call of a tool that the model knows by itself."""
    if found := PYTHON_CALL.fullmatch(text):
        calls: Found = pythonic.parse_tool_call(f"[{found[1]}{found[2]}]", tools)
        return calls
    return _json(text, tools)


def _mistral(text: str, tools: Any) -> Found:
    found: Found = mistral.parse_tool_call(CALL_ID.sub("", text), tools)
    return found


# ----------------------------------------------------------------------------------------------- which one it is
FORMATS = (
    CallFormat("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", _deepseek),
    CallFormat("<｜DSML｜function_calls>", "</｜DSML｜function_calls>", _dsml),
    CallFormat("<TOOLCALL>", "</TOOLCALL>", _json),  # Nemotron
    CallFormat("<|tool_call|>", "<|/tool_call|>", _json),  # Phi
    CallFormat("<|tool_call|>", "", _json),  # Granite
    CallFormat("<|START_ACTION|>", "<|END_ACTION|>", _json),  # Command
    CallFormat("<seed:tool_call>", "</seed:tool_call>", qwen3_coder.parse_tool_call),  # Seed
    CallFormat("[TOOL_CALLS]", "", _mistral),
    CallFormat("<|python_tag|>", "", _llama, bare=True),
    USUAL := CallFormat("<tool_call>", "</tool_call>", _json),  # Hermes, and many since
)
PREFERRED_STARTS = ("[TOOL_CALLS]",)  # starts of ours that are preferred to mlx-lm's of the same marks


def call_format(tokenizer: Any, settings: Mapping[str, Any]) -> CallFormat | None:
    """The format of a model's calls: the one that its config names, or its template and its tokens show.

    tokenizer: of transformers. settings: its tokenizer_config.json. None for a model that calls nothing.
    """
    known = {module.name for module in iter_modules(mlx_lm.tool_parsers.__path__)}
    name = settings.get("tool_parser_type") or _infer_tool_parser(tokenizer)
    theirs = _theirs(name) if name in known else None
    if theirs is not None and theirs.start not in PREFERRED_STARTS:
        return theirs
    written = tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else ""
    return _ours(written, tokenizer.get_vocab()) or theirs


def _theirs(name: str) -> CallFormat:
    module = import_module(f"mlx_lm.tool_parsers.{name}")
    return CallFormat(module.tool_call_start, module.tool_call_end, module.parse_tool_call)


def _ours(written: str, vocabulary: Collection[str]) -> CallFormat | None:
    def used(mark: str) -> bool:
        return mark in written or mark in vocabulary or ("｜DSML｜" in mark and "｜DSML｜" in vocabulary)

    found = (ours for ours in FORMATS if used(ours.start) and used(ours.end))
    return next(found, None)
