"""Answers that are held to a schema, or to calls of tools: by models that write nonsense, and satisfy it."""

import json
import threading

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings

from engine.errors import SchemaError
from engine.inference.drafts import Drafts
from engine.inference.load import load
from engine.settings import ANY_OBJECT, GenerationOptions, Settings
from tests.helpers.mlx_models import write_moe
from tests.helpers.moe_configs import VOCABULARY
from tests.helpers.schemas import MOST_BYTES, schemas
from tests.helpers.tokenizers import tokenizer_of_kind, write_tokenizer_files

ASKED = [{"role": "user", "content": "Who are you?"}]
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 9}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
TOOLS = tuple(
    {"type": "function", "function": {"name": name, "parameters": parameters}}
    for name, parameters in (("get_person", PERSON), ("put_nothing", {"additionalProperties": False}))
)
UNBOUNDED = MOST_BYTES + 50  # tokens, more than any answer to these schemas has: each but the last has a byte


def _moe(folder):
    tokenizer = tokenizer_of_kind("sentencepiece")
    size = max(VOCABULARY, 4 * (tokenizer.get_vocab_size() // 4 + 1))
    write_moe(folder, vocab_size=size, max_position_embeddings=2048)
    return write_tokenizer_files(folder, tokenizer)


@pytest.fixture(scope="module", params=["starter", "moe"])
def model(request, tmp_path_factory):
    path = "starter" if request.param == "starter" else str(_moe(tmp_path_factory.mktemp("moe") / "tiny"))
    loaded = load(path, Settings(memory_budget=120_000_000))
    yield loaded
    loaded.close()


def answered(model, prompt=ASKED, **options):
    return generated(model, GenerationOptions(**{"max_tokens": UNBOUNDED} | options), prompt)


def generated(model, options, prompt=ASKED):
    generation = model.generate(prompt, options)
    list(generation)
    return generation.summary


@given(schema=schemas)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_answer_satisfies_its_schema(model, schema):
    summary = answered(model, schema=schema)
    assert summary.finish_reason == "stop"
    jsonschema.validate(json.loads(summary.text), schema, jsonschema.Draft202012Validator)


def test_an_answer_is_an_object_or_the_beginning_of_one(model):
    summary = answered(model, schema=ANY_OBJECT, max_tokens=20, seed=1)
    assert summary.text.lstrip().startswith("{")


def test_the_likeliest_answer_satisfies_its_schema_too(model):
    first, second = (answered(model, schema=PERSON, temperature=0.0) for _ in range(2))
    jsonschema.validate(json.loads(first.text), PERSON)
    assert first.tokens == second.tokens


def test_an_answer_that_goes_on_satisfies_its_schema_with_what_was_said(model):
    begun = '{"name": "A'
    summary = answered(model, [*ASKED, {"role": "assistant", "content": begun}], schema=PERSON)
    jsonschema.validate(json.loads(begun + summary.text), PERSON)
    with pytest.raises(SchemaError, match="begun cannot be held"):
        answered(model, [*ASKED, {"role": "assistant", "content": "Well, "}], schema=PERSON)


def test_a_text_that_is_no_chat_goes_on_with_what_satisfies_the_schema(model):
    jsonschema.validate(json.loads(answered(model, "Somebody: ", schema=PERSON).text), PERSON)


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_biases_hold_within_a_schema_and_it_is_satisfied_whatever_they_forbid(model, temperature):
    ids = model.tokenizer.ids
    digits = {token for token in ids if b"7" in model.tokenizer.bytes_of(token)}
    liked = answered(model, schema=PERSON, temperature=temperature, logit_bias=dict.fromkeys(digits, 100))
    assert "7" in liked.text
    without = answered(model, schema=PERSON, temperature=temperature, logit_bias=dict.fromkeys(digits, -100))
    assert "7" not in without.text
    nothing = answered(model, schema=PERSON, temperature=temperature, logit_bias=dict.fromkeys(ids, -100))
    for summary in (liked, without, nothing):
        jsonschema.validate(json.loads(summary.text), PERSON)


def test_a_tool_that_must_be_called_is_called(model):
    summary = answered(model, tools=TOOLS, tool_choice="required", allowed_tools=("get_person",), parallel_calls=False)
    (call,) = summary.tool_calls
    assert (call["name"], summary.text, summary.finish_reason) == ("get_person", "", "stop")
    jsonschema.validate(call["arguments"], PERSON)


def test_any_of_the_tools_may_be_the_one_that_must_be_called(model):
    names = set()
    for seed in range(16):
        options = GenerationOptions(
            tools=TOOLS, tool_choice="required", parallel_calls=False, seed=seed, temperature=9.0, top_p=1.0
        )
        (call,) = generated(model, options).tool_calls
        names.add(call["name"])
    assert names == {"get_person", "put_nothing"}


def test_an_answer_without_calls_is_one(model):
    summary = answered(model, tools=TOOLS, tool_choice="none", max_tokens=30)
    assert summary.tool_calls == []


def test_an_answer_of_a_schema_may_be_a_call_where_there_are_tools(model):
    for seed in range(3):
        summary = answered(model, tools=TOOLS, schema=PERSON, seed=seed)
        if summary.tool_calls:
            assert {call["name"] for call in summary.tool_calls} <= {"get_person", "put_nothing"}
        else:
            jsonschema.validate(json.loads(summary.text), PERSON)


def test_what_cannot_be_followed_is_refused_before_anything_is_computed(model):
    with pytest.raises(SchemaError, match="Answers cannot be held to this schema: Unimplemented keys"):
        model.generate(ASKED, GenerationOptions(schema={"not": {"type": "string"}}))


def test_a_cancelled_answer_leaves_the_next_one_whole(model):
    cancelled = threading.Event()
    generation = model.generate(ASKED, GenerationOptions(schema=PERSON), cancelled)
    next(iter(generation))
    cancelled.set()
    jsonschema.validate(json.loads(answered(model, schema=PERSON).text), PERSON)


def test_what_a_schema_leaves_no_choice_about_shares_a_pass(model):
    """And the answer is the one that has a pass for each token."""
    words = {"a_rather_long_name": {"enum": [1, 2]}, "another_rather_long_name": {"enum": [3, 4]}}
    schema = {"type": "object", "properties": words, "required": list(words), "additionalProperties": False}
    together = answered(model, schema=schema, seed=3)
    assert together.passes <= len(together.tokens) // 2
    jsonschema.validate(json.loads(together.text), schema)
    model.drafts, drafts = Drafts([]), model.drafts
    try:
        assert answered(model, schema=schema, seed=3).tokens == together.tokens
    finally:
        model.drafts = drafts


def test_an_answer_ends_with_the_last_token_that_its_schema_has(model):
    summary = answered(model, schema={"const": "and that is all that there is to be said of it"})
    assert (json.loads(summary.text), summary.finish_reason) == (
        "and that is all that there is to be said of it",
        "stop",
    )
