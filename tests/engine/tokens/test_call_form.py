"""Forms of calls: of each family the one that its own parser understands, whatever is chosen within its rules."""

from itertools import islice, product

import jsonschema
import pytest

from engine.errors import SchemaError
from engine.settings import GenerationOptions, name_of
from engine.tokens.call_form import form_of
from engine.tokens.channels import Channels, state_at
from engine.tokens.grammar import grammar_of
from tests.helpers.families import GRAINS, NAMES, Family, of_grain
from tests.helpers.schemas import walk

TEXT = {"type": "string", "maxLength": 8}
DIGITS = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 1, "maxItems": 3}
OTHERS = {"smollm3"}  # families whose templates write calls that their own parsers do not understand


def tool(name, required=(), **properties):
    parameters = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = (
    tool("get_weather", ["city"], city=TEXT, days={"type": "integer", "minimum": 0, "maximum": 99},
         unit={"enum": ["C", "F"]}),
    tool("do_nothing"),
    tool("set_flags", ["on"], share={"type": "number", "minimum": 0, "maximum": 1}, on={"type": "boolean"},
         note={"type": ["string", "null"], "maxLength": 5}),
    tool("count", ["digits"], before={"type": "integer", "enum": [1, 2, 3]}, digits=DIGITS, last={"const": "so"}),
)  # fmt: skip
PARAMETERS = {name_of(each): each["function"]["parameters"] for each in TOOLS}


@pytest.fixture(scope="module", params=[pair for pair in product(NAMES, GRAINS) if of_grain(*pair)], ids="-".join)
def family(request, tmp_path_factory):
    name, grain = request.param
    return Family(name, grain, tmp_path_factory.mktemp("families") / name)


def calls_of(family, options, seed):
    """The calls of an answer that is chosen at random among those that the options allow; None for a long one."""
    tokenizer, prompt = family.tokenizer, family.prompt("answer")
    grammar = grammar_of(tokenizer, options, state_at(tokenizer, prompt))
    tokens = walk(tokenizer, grammar.rules, seed)
    if tokens is None:
        return None
    channels = Channels(tokenizer, prompt, (), tools=options.tools, calls=grammar.calls)
    events = [event for token in tokens for event in channels.add(token)] + channels.finish()
    return [call for event in events for call in event.calls]


def test_calls_that_must_be_made_are_understood_and_satisfy_their_schemas(family):
    options = GenerationOptions(tools=TOOLS, tool_choice="required", enable_thinking=False)
    answers = list(islice((calls for seed in range(20) if (calls := calls_of(family, options, seed)) is not None), 3))
    assert len(answers) == 3
    for calls in answers:
        assert calls
        for call in calls:
            jsonschema.validate(dict(call.arguments), PARAMETERS[call.name])


def test_one_call_of_one_tool_is_all_that_is_made_where_that_is_wished(family):
    options = GenerationOptions(
        tools=TOOLS, tool_choice="required", allowed_tools=("do_nothing",), parallel_calls=False, enable_thinking=False
    )
    for seed in range(2):
        calls = calls_of(family, options, seed)
        assert calls is None or [(call.name, dict(call.arguments)) for call in calls] == [("do_nothing", {})]


@pytest.mark.parametrize("name", NAMES)
def test_the_form_is_the_models_own(name, tmp_path):
    form = form_of(Family(name, "words", tmp_path).tokenizer)
    assert form.own == (name not in OTHERS)


@pytest.mark.parametrize("parameters", [{"type": "object", "properties": {"a": {"type": 3}}}, {"$ref": "#/nowhere"}])
def test_parameters_that_are_no_schema_are_refused(parameters, tmp_path):
    broken = {"type": "function", "function": {"name": "broken", "parameters": parameters}}
    family = Family("qwen3", "words", tmp_path)
    with pytest.raises(SchemaError):
        calls_of(family, GenerationOptions(tools=(broken,), tool_choice="required"), 0)


def test_an_unusual_name_cannot_be_called_by_force(tmp_path):
    odd = tool('say "hi"\n')
    with pytest.raises(SchemaError, match="name"):
        calls_of(Family("qwen3", "words", tmp_path), GenerationOptions(tools=(odd,), tool_choice="required"), 0)
