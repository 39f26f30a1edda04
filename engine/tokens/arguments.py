"""Arguments of a call, as rules of a grammar: one object of JSON, or one argument after the other."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from engine.tokens import schemas
from engine.tokens.marks import Marks, literal

QUOTES = ("'", '"')
MAX_COUNTED = 10_000  # characters of a string that stands as it is, whose length is held to its schema


class Arguments(Protocol):
    """A form of arguments."""

    @property
    def after(self) -> str:
        """The text behind them at the end of the last call."""

    def example(self, arguments: Mapping[str, Any]) -> str:
        """The text behind a call's name, as the template writes it, with `after`."""

    def rules(self, name: str, marks: Marks, parameters: Mapping[str, Any], lenient: bool) -> list[str]:
        """Rules of this name for what stands between a call's name and `after`. Raises SchemaError."""


@dataclass(frozen=True)
class JsonArguments:
    """Arguments that are one object of JSON. between: a name and them."""

    between: str
    after: str

    def example(self, arguments: Mapping[str, Any]) -> str:
        """The text behind a call's name."""
        return f"{self.between}{json.dumps(dict(arguments))}{self.after}"

    def rules(self, name: str, marks: Marks, parameters: Mapping[str, Any], lenient: bool) -> list[str]:
        """Rules of this name. Raises SchemaError."""
        schema = schemas.written(parameters, lenient)
        schemas.check([schema])
        return [f"{name}: {marks.expression(self.between)} %json {schema}"]


@dataclass(frozen=True)
class Kind:
    """The texts around an argument's value. before: between its name and it. close: right behind it, whatever follows.
    more: then, before the next name. end: then, where it was the last one."""

    before: str
    close: str
    more: str
    end: str

    @classmethod
    def of(cls, marks: Marks, before: str, more: str, end: str) -> Self:
        """The kind whose values are followed by one text or another."""
        close = _first_mark(marks.common(more, end))
        return cls(before, close, more[len(close) :], end[len(close) :])


def _first_mark(text: str) -> str:
    """A text up to the end of the first mark in it."""
    before, found, _ = text.partition(">")
    return before + found


@dataclass(frozen=True)
class NamedArguments:
    """Arguments one after the other. between: the call's name and the first argument's. text, value: of strings, which
    are written as they are, and of others, which are JSON. empty: all of what follows a name without arguments."""

    between: str
    text: Kind
    value: Kind
    empty: str

    @property
    def after(self) -> str:
        """The end of the last call."""
        return self.text.end

    def example(self, arguments: Mapping[str, Any]) -> str:
        """The text behind a call's name."""
        parts = [self.between]
        for place, (name, value) in enumerate(arguments.items()):
            kind = self.text if isinstance(value, str) else self.value
            last = place == len(arguments) - 1
            parts += [name, kind.before, str(value), kind.close, kind.end if last else kind.more]
        return "".join(parts)

    def rules(self, name: str, marks: Marks, parameters: Mapping[str, Any], lenient: bool) -> list[str]:
        """Rules of this name. Raises SchemaError."""
        return _NamedRules(self, name, marks, parameters, lenient).all()


class _NamedRules:
    """The rules of one tool's arguments: each at most once, in their order, none left out that is required."""

    def __init__(self, form: NamedArguments, name: str, marks: Marks, parameters: Mapping[str, Any], lenient: bool):
        self._form, self._name, self._marks, self._lenient = form, name, marks, lenient
        found = parameters.get("properties")
        self._properties = dict(found) if isinstance(found, Mapping) else {}
        self._required = set(parameters.get("required") or ())
        self._shared = {key: parameters[key] for key in ("$defs", "definitions") if parameters.get(key)}

    def all(self) -> list[str]:
        """All rules of the name."""
        rules = [rule for place in range(len(self._properties)) for rule in self._argument(place)]
        firsts = [f"{self._expression(self._form.between)} {self._name}_{i}" for i in self._following(0)]
        if not self._required & self._properties.keys():
            firsts.append(self._expression(self._form.empty.removesuffix(self._form.after)))
        return [f"{self._name}: {' | '.join(firsts)}", *rules]

    def _following(self, place: int) -> Sequence[int]:
        """The places of arguments that may be the next, from a place on: up to the first that is required."""
        names = list(self._properties)
        required = (i for i in range(place, len(names)) if names[i] in self._required)
        return range(place, next(required, len(names) - 1) + 1)

    def _argument(self, place: int) -> list[str]:
        """Rules for an argument and what follows it."""
        key, schema = list(self._properties.items())[place]
        rule, form = f"{self._name}_{place}", self._form
        kind, values = (form.text, self._text) if _is_text(schema) else (form.value, self._value)
        following = [f"{self._expression(kind.more)} {self._name}_{i}" for i in self._following(place + 1)]
        is_last = not set(list(self._properties)[place + 1 :]) & self._required
        tail = " | ".join([*following, *(['""'] if is_last else [])])
        head = f"{literal(key)} {self._expression(kind.before)} {rule}_value"
        return [f"{rule}: {head} ({tail})", *values(f"{rule}_value", schema)]

    def _text(self, rule: str, schema: Mapping[str, Any]) -> list[str]:
        """Rules of a string that stands as it is, and of what closes it."""
        close = self._form.text.close
        if isinstance(choices := schema.get("enum", [schema["const"]] if "const" in schema else None), list):
            return [f"{rule}: ({' | '.join(literal(str(each)) for each in choices)}) {self._expression(close)}"]
        if close[:1] in QUOTES:
            return [f"{rule}: /[^{close[0]}\\\\\\n]{_length(schema)}/ {self._expression(close)}"]
        return self._marks.until(rule, close, _length(schema))

    def _value(self, rule: str, schema: Mapping[str, Any]) -> list[str]:
        """Rules of a value as JSON."""
        whole = {**schema, **self._shared} if isinstance(schema, Mapping) else schema
        text = schemas.written(whole, self._lenient)
        schemas.check([text])
        return [f"{rule}: %json {text} {self._expression(self._form.value.close)}"]

    def _expression(self, text: str) -> str:
        return self._marks.expression(text) or '""'


def _length(schema: Mapping[str, Any]) -> str:
    """The number of characters that a string may have, as regular expressions have it."""
    least, most = (schema.get(key) for key in ("minLength", "maxLength"))
    return f"{{{least if _counts(least) else 0},{most if _counts(most) else ''}}}"


def _counts(number: object) -> bool:
    return type(number) is int and 0 <= number <= MAX_COUNTED


def _is_text(schema: Any) -> bool:
    """True for the schema of a string, or of a string or nothing."""
    if not isinstance(schema, Mapping):
        return False
    named = schema.get("type")
    types = named if isinstance(named, list) else [named]
    choices = schema.get("enum", [schema.get("const")])
    within = any(map(_is_text, schema["anyOf"])) if isinstance(schema.get("anyOf"), list) else False
    return "string" in types or within or all(isinstance(each, str) for each in choices)
