"""JSON schemas that answers are held to, and answers that a grammar allows, chosen at random."""

import json
import random
from collections.abc import Iterable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from llguidance import LLMatcher

from engine.tokens.tokenizer import Tokenizer

NAMES = ("name", "age", "π", 'a "b"', "tags", "const", "properties")
MOST_SCALAR_BYTES = 6 * 6 + 2  # of those below at most: six characters, each of them escaped
MOST_BYTES = 350  # of an answer to a schema that is drawn, so that its tokens fit a small context
SCALARS: tuple[Any, ...] = (
    {"type": "boolean"},
    {"type": "null"},
    {"type": "integer", "minimum": -20, "maximum": 300},
    {"type": "string", "maxLength": 6},
    {"type": "string", "minLength": 2, "maxLength": 3, "title": "some", "description": "two or three"},
    {"type": "string", "pattern": "^[a-c]{1,4}$"},
    {"type": "string", "format": "date"},
    {"enum": ["red", "grün", 3, None, {"deep": [1]}]},
    {"const": {"é": "</tool_call>\n"}},
    {"type": ["integer", "null"], "minimum": 0, "maximum": 9},
)


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def of(properties: dict[str, Any], required: set[str]) -> dict[str, Any]:
        known = sorted(required & properties.keys())
        return {"type": "object", "properties": properties, "required": known, "additionalProperties": False}

    return st.builds(of, st.dictionaries(st.sampled_from(NAMES), inner, max_size=3), st.sets(st.sampled_from(NAMES)))


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    arrays = st.builds(lambda items: {"type": "array", "items": items, "minItems": 1, "maxItems": 3}, inner)
    tuples = st.builds(
        lambda a, b: {"type": "array", "prefixItems": [a, b], "minItems": 1, "items": False}, inner, inner
    )
    either = st.builds(lambda a, b: {"anyOf": [a, b]}, inner, inner)
    return st.one_of(_objects(inner), arrays, tuples, either, st.sampled_from(SCALARS).map(_named))


def _named(schema: Any) -> Any:
    """A schema that refers to another one by its name."""
    it = {"$ref": "#/$defs/a"}
    return {"$defs": {"a": schema}, "type": "object", "properties": {"it": it}, "required": ["it"],
            "additionalProperties": False}  # fmt: skip


def _without_refs(schema: Any) -> Any:
    """A schema that may stand within another: references are of the whole."""
    text = schema if isinstance(schema, dict) else {}
    if "$defs" in text:
        return {**{k: v for k, v in text.items() if k != "$defs"}, "properties": {"it": text["$defs"]["a"]}}
    return schema


def most_bytes(schema: Any, named: Any = None) -> int:
    """The bytes of the longest answer to a schema that is drawn here, in one line of JSON. named: what `$ref` is."""
    match schema:
        case {"$ref": _}:
            return most_bytes(named)
        case {"$defs": {"a": defined}}:
            return most_bytes({key: value for key, value in schema.items() if key != "$defs"}, defined)
        case {"anyOf": either}:
            return max(most_bytes(each, named) for each in either)
        case {"prefixItems": items}:
            return _listed(most_bytes(each, named) for each in items)
        case {"items": item, "maxItems": count}:
            return _listed([most_bytes(item, named)] * count)
        case {"type": "object", "properties": properties}:
            return _listed(len(json.dumps(name)) + 2 + most_bytes(each, named) for name, each in properties.items())
    return MOST_SCALAR_BYTES


def _listed(parts: Iterable[int]) -> int:
    return 2 + sum(part + 2 for part in parts)  # with brackets, commas and spaces


schemas = st.recursive(
    st.sampled_from(SCALARS), lambda inner: _containers(inner.map(_without_refs)), max_leaves=6
).filter(lambda schema: most_bytes(schema) <= MOST_BYTES)


def walk(tokenizer: Tokenizer, rules: str, seed: int, most: int = 400) -> list[int] | None:
    """Tokens that rules allow, each chosen at random among those of plain letters and those that close something; None
    where there are too many."""
    chance, written = random.Random(seed), tokenizer.vocabulary.tokens
    matcher = LLMatcher(tokenizer.vocabulary.matching, LLMatcher.grammar_from_lark(rules))
    chosen: list[int] = []
    while not matcher.is_stopped() and len(chosen) < most:
        assert not matcher.is_error(), matcher.get_error()
        forced = matcher.compute_ff_tokens()
        if forced:
            matcher.consume_tokens(forced)
            chosen += forced
            continue
        if matcher.is_accepting() and chance.random() < 0.5:
            return chosen
        token = _some(chance, tokenizer, matcher, written)
        if token in tokenizer.eos_token_ids:
            return chosen
        matcher.consume_token(token)
        chosen.append(token)
    return chosen if matcher.is_stopped() and not matcher.is_error() else None


def _some(chance: random.Random, tokenizer: Tokenizer, matcher: LLMatcher, written: Any) -> int:
    bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little")
    allowed = [int(i) for i in np.flatnonzero(bits[: len(written)])]
    closing = [i for i in allowed if written[i][:1] in (b"<", b"\n", b"'", b'"', b"}") or i in tokenizer.steering]
    plain = [i for i in allowed if all(32 <= byte < 127 for byte in written[i])]
    return chance.choice((closing if chance.random() < 0.3 else plain) or plain or allowed)
