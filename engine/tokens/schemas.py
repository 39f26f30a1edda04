"""JSON schemas as a grammar has them: cleaned, within limits, and checked in a helper process before they are used.

A schema is written by a stranger, as a template is: a small one can take hours to be made a grammar of.
"""

import atexit
import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import SchemaError
from engine.system.helper import Helper
from engine.text import Text, shown

MAX_SCHEMA_BYTES = 400_000  # of JSON, all schemas of a request together
MAX_SCHEMA_DEPTH = 100  # lists and objects within each other
WRITING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}  # one line, as Python writes it
OPTIONS_KEY = "x-guidance"  # of llguidance's own options within a schema
CHECKED_FORMATS = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri")
)  # other formats are remarks, as the standard has it
OF_SCHEMAS_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
OF_SCHEMAS = ("anyOf", "allOf", "oneOf", "prefixItems", "items", "additionalProperties", "not", "contains")
VALUES = ("const", "default")  # null is one of them
FAULTS: Mapping[str, str] = {
    "time": Text("it takes too long to be understood"),
    "memory": Text("it takes too much memory"),
}


def written(schema: Mapping[str, Any] | bool, lenient: bool = False) -> str:
    """A schema as JSON, for a grammar. lenient: what is not supported of it is passed over, and not refused.

    Nulls in place of keywords are as if they were not there. Raises SchemaError for what is no schema, or too large.
    """
    _check_depth(schema)
    cleaned = {} if schema is True else _cleaned(schema)
    if not isinstance(cleaned, dict):
        raise SchemaError("A schema is an object of JSON, not {value}.", value=shown(schema))
    options = WRITING | ({"lenient": True} if lenient else {})
    try:
        text = json.dumps(cleaned | {OPTIONS_KEY: options}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise _refused(str(error)) from None
    if len(text) > MAX_SCHEMA_BYTES:
        raise SchemaError(
            "The schema has {count} bytes; answers are held to one of at most {most}.",
            count=len(text),
            most=MAX_SCHEMA_BYTES,
        )
    return text


def check(schemas: Sequence[str]) -> None:
    """Raise SchemaError for a schema, as it is written, that answers cannot be held to: of bounded time and memory."""
    reply = checker.ask({"schemas": list(schemas)})
    if "fault" in reply:
        raise _refused(FAULTS.get(reply["fault"]) or str(reply["reason"]))


def _refused(reason: str) -> SchemaError:
    return SchemaError("Answers cannot be held to this schema: {reason}.", reason=reason)


def _check_depth(schema: object) -> None:
    level = [schema]
    for _ in range(MAX_SCHEMA_DEPTH):
        level = [inner for value in level for inner in _within(value)]
        if not level:
            return
        if len(level) > MAX_SCHEMA_BYTES:
            break
    raise _refused(Text("it is nested too deeply, or too large"))


def _within(value: object) -> Sequence[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list | tuple) else ()


def _cleaned(schema: Any) -> Any:
    """A schema without keywords that are null, formats that nobody checks, and options of llguidance."""
    if isinstance(schema, list | tuple):
        return [_cleaned(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept = {key: value for key, value in schema.items() if value is not None or key in VALUES}
    kept.pop(OPTIONS_KEY, None)
    if kept.get("format") not in CHECKED_FORMATS:
        kept.pop("format", None)
    if "discriminator" in kept and "oneOf" in kept and "anyOf" not in kept:  # which says that one of them holds
        kept["anyOf"] = kept.pop("oneOf")
    return {key: _cleaned_value(key, value) for key, value in kept.items()}


def _cleaned_value(key: str, value: Any) -> Any:
    if key in OF_SCHEMAS_BY_NAME and isinstance(value, Mapping):
        return {name: _cleaned(each) for name, each in value.items() if each is not None}
    return _cleaned(value) if key in OF_SCHEMAS else value


checker = Helper("engine.tokens.schema_check")
atexit.register(checker.close)
