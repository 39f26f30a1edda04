"""The form of a call: how a model writes calls of tools, read off what its chat template writes of a few.

So a call can be asked for in the words that a model was trained on, whatever its family's marks are: JSON between them,
or one argument after the other. A model whose template writes no calls, or none that its own parser understands, is
asked for the form of most others.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

from engine.errors import FlashbulbError, SchemaError
from engine.settings import GenerationOptions, function_of, name_of
from engine.text import shown
from engine.tokens.arguments import Arguments, JsonArguments, Kind, NamedArguments
from engine.tokens.channels import Channels
from engine.tokens.forms import Message
from engine.tokens.marks import Marks, literal
from engine.tokens.prompt import Conversation
from engine.tokens.tokenizer import Tokenizer
from engine.tokens.tool_calls import USUAL as FORMAT

ASKED: Message = {"role": "user", "content": "first question"}
FIRST, SECOND = "first_tool", "second_tool"
GIVEN: Mapping[str, Any] = {"alpha": "one", "beta": 22, "gamma": "three"}  # in any order that templates may have
CALLABLE = re.compile(r"[\w.:/-]{1,128}")  # names that mean the same in every form
Calls = Sequence[tuple[str, Mapping[str, Any]]]


class _UnclearError(Exception):
    """A template's text from which no form can be told."""


@dataclass(frozen=True)
class CallForm:
    """The texts around calls. before: of the first one's name. next: between the arguments of one call and the name of
    the next; None where there is one at most. own: it is the model's, and not that of most others."""

    before: str
    arguments: Arguments
    next: str | None
    own: bool = True


USUAL = CallForm(  # without line breaks, with which some models end their turns
    f'{FORMAT.start}{{"name": "',
    JsonArguments('", "arguments": ', f"}}{FORMAT.end}"),
    f'}}{FORMAT.end}{FORMAT.start}{{"name": "',
    own=False,
)


def form_of(tokenizer: Tokenizer) -> CallForm:
    """The form in which a model calls tools."""
    try:
        return _Template(tokenizer).form()
    except (_UnclearError, FlashbulbError):
        return USUAL


def rules_of(form: CallForm, marks: Marks, tools: Sequence[Mapping[str, Any]], several: bool) -> list[str]:
    """Rules of the name `calls` for calls of these tools, in this form. Raises SchemaError."""
    for tool in tools:
        if not CALLABLE.fullmatch(name_of(tool)):
            raise SchemaError("A tool of the name {name} cannot be called by force.", name=shown(name_of(tool)))
    more = f"({marks.expression(form.next)} call)*" if several and form.next is not None else ""
    rules = [f"calls: {marks.expression(form.before)} call {more} {marks.expression(form.arguments.after)}"]
    rules.append(f"call: {' | '.join(f'{literal(name_of(tool))} call_{i}' for i, tool in enumerate(tools))}")
    for i, tool in enumerate(tools):
        found, lenient = function_of(tool).get("parameters"), not function_of(tool).get("strict")
        parameters = {"type": "object", **found} if isinstance(found, Mapping) else {"type": "object"}
        rules += form.arguments.rules(f"call_{i}", marks, parameters, lenient)
    return rules


class _Template:
    """A model's template, and what can be told from what it writes of a few calls."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        self._marks = Marks(tokenizer)
        self._options = GenerationOptions(tools=(_tool(FIRST), _tool(SECOND)))
        self._prompt = Conversation(tokenizer, [ASKED], self._options).prompt_text([ASKED])

    def form(self) -> CallForm:
        """The form. Raises _UnclearError, or what rendering a template does."""
        text = self._said([(FIRST, GIVEN)])
        if not self._understands(text, [(FIRST, GIVEN)]):
            raise _UnclearError
        before, found, rest = text.partition(FIRST)
        if not found:
            raise _UnclearError
        arguments = _json_arguments(rest) or self._named_arguments(before)
        return CallForm(before, arguments, self._next(before, arguments))

    def _next(self, before: str, arguments: Arguments) -> str | None:
        """The text between two calls, where it is the same whatever stands before it."""
        text = self._said([(FIRST, GIVEN), (SECOND, GIVEN)])
        given = arguments.example(GIVEN)
        start, found, rest = text.partition(SECOND)
        head = before + FIRST + given.removesuffix(arguments.after)
        alike = found and start.startswith(head) and rest == given
        alike = alike and self._understands(text, [(FIRST, GIVEN), (SECOND, GIVEN)])
        return start[len(head) :] if alike else None

    def _named_arguments(self, before: str) -> NamedArguments:
        """The form of arguments that are written one after the other: strings, and others."""
        parts = [str(part) for argument in GIVEN.items() for part in argument]
        between, of_text, more_of_text, of_value, more_of_value, again, end = _split(self._rest(before, GIVEN), *parts)
        between_too, of_value_too, end_of_value = _split(self._rest(before, {"beta": GIVEN["beta"]}), *parts[2:4])
        text = Kind.of(self._marks, of_text, more_of_text, end)
        value = Kind.of(self._marks, of_value, more_of_value, end_of_value)
        alike = (between, of_text, of_value) == (between_too, again, of_value_too)
        if not alike or text.end != value.end or not text.close:
            raise _UnclearError
        return NamedArguments(between, text, value, self._rest(before, {}))

    def _rest(self, before: str, arguments: Mapping[str, Any]) -> str:
        """The text of a call behind its name."""
        head, found, rest = self._said([(FIRST, arguments)]).partition(FIRST)
        if head != before or not found or not self._understands(before + FIRST + rest, [(FIRST, arguments)]):
            raise _UnclearError
        return rest

    def _said(self, calls: Calls) -> str:
        """The text that the model writes itself: from the mark of calls, or from where the prompt ends."""
        message: Message = {"role": "assistant", "content": "", "tool_calls": [_call(*each) for each in calls]}
        whole = Conversation(self._tokenizer, [ASKED, message], self._options).whole_text([ASKED, message])
        said = whole[len(commonprefix([whole, self._prompt])) :]  # noqa: RUF071 (of texts, not of paths)
        start, end = self._tokenizer.wrapper.tool_call_start, self._tokenizer.wrapper.tool_call_end
        before = whole.rpartition(ASKED["content"])[2].partition(FIRST)[0]
        if start and start in before:
            said = whole[whole.index(start, whole.rindex(ASKED["content"])) :]
        names = [self._tokenizer.name_of(token) for token in self._tokenizer.eos_token_ids]
        said = said[: min((said.find(name) for name in names if name and name in said), default=len(said))]
        return said[: said.rindex(end) + len(end)] if end and end in said else said

    def _understands(self, text: str, calls: Calls) -> bool:
        """True where the model's own parser finds these calls in a text."""
        prompt = self._tokenizer.encode_marked(self._prompt)
        channels = Channels(self._tokenizer, prompt, (), tools=self._options.tools)
        events = [event for token in self._tokenizer.encode_marked(text) for event in channels.add(token)]
        found = [call for event in (*events, *channels.finish()) for call in event.calls]
        return [(call.name, dict(call.arguments)) for call in found] == [(name, dict(given)) for name, given in calls]


def _json_arguments(rest: str) -> JsonArguments | None:
    """The form of arguments that are one object of JSON, behind a name; None where there is none."""
    decoder = json.JSONDecoder()
    for place in (i for i, letter in enumerate(rest) if letter == "{"):
        try:
            value, end = decoder.raw_decode(rest, place)
        except ValueError:
            continue
        if value == GIVEN:
            return JsonArguments(rest[:place], rest[end:])
    return None


def _split(text: str, *parts: str) -> list[str]:
    """The texts before, between and after parts that follow each other. Raises _UnclearError where they do not."""
    found = []
    for part in parts:
        before, is_there, text = text.partition(part)
        if not is_there:
            raise _UnclearError
        found.append(before)
    return [*found, text]


def _tool(name: str) -> dict[str, Any]:
    properties = {key: {"type": "string" if isinstance(value, str) else "integer"} for key, value in GIVEN.items()}
    parameters = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "description": "", "parameters": parameters}}


def _call(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": dict(arguments)}}
