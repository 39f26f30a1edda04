"""Schemas by strangers: what can be followed is, and everything else is one error, soon."""

import json
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import SchemaError
from engine.tokens.schemas import MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, check, written
from tests.helpers.families import Family
from tests.helpers.schemas import MOST_BYTES, most_bytes, schemas, walk


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return Family("qwen3", "bytes", tmp_path_factory.mktemp("family")).tokenizer


@given(schema=schemas, seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_no_answer_to_a_schema_that_is_drawn_is_longer_than_it_can_be(tokenizer, schema, seed):
    """Of tokens that are mostly a byte: what is counted as the longest is."""
    tokens = walk(tokenizer, f"start: %json {written(schema)}", seed, 2 * MOST_BYTES)
    assert tokens is not None
    assert len(b"".join(map(tokenizer.bytes_of, tokens))) <= most_bytes(schema) <= MOST_BYTES


def nested(times, outer, inner):
    return reduce(lambda schema, _: outer(schema), range(times), inner)


def lists(times):
    return nested(times, lambda items: {"type": "array", "items": items}, {"type": "string"})


HOSTILE = {
    "no schema": 3,
    "nothing": False,
    "deep": lists(MAX_SCHEMA_DEPTH),
    "very deep": lists(100_000),
    "large": {"enum": [f"value {i}" for i in range(MAX_SCHEMA_BYTES // 10)]},
    "wide": {"enum": list(range(MAX_SCHEMA_BYTES + 1))},
    "of itself": {"$ref": "#"},
    "of nothing": {"$ref": "#/$defs/a"},
    "of the web": {"$ref": "http://example.com/schema.json"},
    "of two of each other": {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    "a type that is none": {"type": "strin"},
    "a type that is a number": {"type": 5},
    "not supported": {"type": "array", "uniqueItems": True},
    "contradictory": {"type": "string", "minLength": 5, "maxLength": 3},
    "empty": {"enum": []},
    "a pattern that is none": {"type": "string", "pattern": "("},
    "a deep pattern": {"type": "string", "pattern": 5000 * "(" + "a" + 5000 * ")"},
    "a half of a character": {"const": "\ud800"},
    "a number that is none": {"const": float("nan")},
    "no JSON": {"const": {1, 2}},
    "a product": {"allOf": [{"anyOf": [{"type": "object", "properties": {f"{j} {i}": {"type": "string"}},
                                        "required": [f"{j} {i}"]} for i in range(10)]} for j in range(10)]},
    "a thousand that may be left out": {"type": "object", "additionalProperties": False, "properties":
                                        {f"{i}": {"anyOf": [{"type": "string"}, {"type": "integer"}]}
                                         for i in range(1000)}},
    "hours of patterns": {"allOf": [{"type": "string", "pattern": f".*a.{{{i},{i + 50}}}b"} for i in range(40)]},
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_schema_is_one_error_in_words(name):
    with pytest.raises(SchemaError) as caught:
        check([written(HOSTILE[name])])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


FOLLOWED = {
    "anything": True,
    "nested": lists(MAX_SCHEMA_DEPTH // 2),
    "references that double": {"$defs": {f"{i}": {"anyOf": 2 * [{"$ref": f"#/$defs/{i + 1}"}]} for i in range(30)}
                               | {"30": {"type": "null"}}, "$ref": "#/$defs/0"},
    "of itself within": {"type": "object", "properties": {"more": {"type": "array", "items": {"$ref": "#"}}}},
    "huge counts": {"type": "array", "minItems": 10**9, "items": {"type": "string", "minLength": 10**9}},
    "an unknown format": {"type": "string", "format": "int32"},
    "unknown words": {"type": "string", "nullable": True, "x-order": 3, "examples": ["a"]},
    "nulls": {"type": "object", "properties": {"a": {"type": "string", "description": None, "pattern": None}},
              "required": None, "additionalProperties": None, "$ref": None, "description": None},
    "a null that counts": {"const": None},
    "a discriminator": {"discriminator": {"propertyName": "kind"}, "oneOf": [{"type": "integer"}, {"type": "number"}]},
    "options of the library": {"type": "string", "x-guidance": {"whitespace_pattern": "(("}},
}  # fmt: skip


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_can_be_followed_is(name):
    check([written(FOLLOWED[name])])


def test_what_is_not_supported_is_passed_over_where_that_is_wished():
    check([written({"type": "array", "uniqueItems": True}, lenient=True)])


@given(schemas, st.randoms())
def test_nulls_in_place_of_keywords_change_nothing(schema, random):
    words = ("title", "description", "minItems", "pattern", "format", "items", "anyOf", "required")
    with_nulls = schema | {word: None for word in random.sample(words, 3) if word not in schema}
    assert json.loads(written(with_nulls)) == json.loads(written(schema))


def test_the_helper_that_was_ended_serves_again():
    with pytest.raises(SchemaError, match="too long"):
        check([written(HOSTILE["hours of patterns"])])
    check([written(FOLLOWED["nulls"])])
