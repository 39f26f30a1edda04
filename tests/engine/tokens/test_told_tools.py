"""Tools for models whose templates know of none."""

import json

import pytest

from engine.inference.load import load
from engine.settings import GenerationOptions, Settings
from engine.tokens.prompt import encode
from engine.tokens.told_tools import are_told, telling
from tests.helpers.scripted import TEMPLATE, write_scripted

WORDS = {"type": "object", "properties": {"word": {"enum": ["🦙", "x"]}}, "required": ["word"]}
LOOK = {"name": "look", "description": "Looks “up” a word.", "parameters": WORDS | {"additionalProperties": False}}
TOOLS = ({"type": "function", "function": LOOK}, {"type": "function", "function": {"name": "half \ud83d"}})
HI = {"role": "user", "content": "Hi"}
CALL = '<tool_call>{"name": "look", "arguments": {"word": "🦙"}}</tool_call>'
CALLED = {"role": "assistant", "content": "", "tool_calls": [
    {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"word": "🦙"}'}},
]}  # fmt: skip
RESULT = {"role": "tool", "tool_call_id": "a", "content": "An animal."}


@pytest.fixture
def says(tmp_path):
    models = []

    def make(pieces, template=TEMPLATE):
        config = {"max_position_embeddings": 4096}
        folder = write_scripted(tmp_path / str(len(models)), pieces, template=template, config=config)
        models.append(load(folder, Settings(memory_budget=200_000_000)))
        return models[-1]

    yield make
    for model in models:
        model.close()


def answer(model, messages=(HI,), **options):
    generation = model.generate(list(messages), GenerationOptions(temperature=0.0, tools=TOOLS, **options))
    list(generation)
    return generation.summary


def prompt_of(model, messages=(HI,), **options):
    told = GenerationOptions(**{"tools": TOOLS} | options)
    return model.tokenizer.decode(encode(model, list(messages), told))


@pytest.mark.parametrize("streamed_in", [[CALL], ["<tool_", "call>", CALL[11:-12], "</tool", "_call>"]])
def test_a_model_is_told_of_tools_in_words_and_calls_them(says, streamed_in):
    model = says(["Wait. ", *streamed_in])
    summary = answer(model)
    assert (summary.text, summary.finish_reason) == ("Wait. ", "stop")
    assert summary.tool_calls == [{"name": "look", "arguments": {"word": "🦙"}}]
    prompt = prompt_of(model)
    assert json.dumps(LOOK, ensure_ascii=False) in prompt
    assert "half ?" in prompt
    assert prompt.count("<|im_start|>system") == 1


def test_what_was_called_before_is_said_as_it_is_to_be_said_again(says):
    prompt = prompt_of(says(["Yes."]), [{"role": "system", "content": "Be kind."}, HI, CALLED, RESULT])
    assert f"<|im_start|>assistant\n{CALL}<|im_end|>" in prompt
    assert "<|im_start|>user\n<tool_response>An animal.</tool_response><|im_end|>" in prompt
    assert "<|im_start|>system\nBe kind.\n\nYou may call" in prompt


@pytest.mark.parametrize(
    ("template", "options"),
    [
        (TEMPLATE + "{% if tools %}{% endif %}", {}),
        (TEMPLATE, {"tools": ()}),
        (TEMPLATE, {"tool_choice": "none"}),
    ],
)
def test_who_knows_of_tools_or_has_none_is_told_nothing(says, template, options):
    model = says(["Yes."], template)
    assert not are_told(model.tokenizer, GenerationOptions(**{"tools": TOOLS} | options))
    assert "You may call" not in prompt_of(model, **options)


def test_a_call_that_must_come_comes(says):
    must = {"tool_choice": "required", "allowed_tools": ("look",), "parallel_calls": False}
    (call,) = answer(says(["Yes."]), **must).tool_calls
    assert call["name"] == "look"
    assert call["arguments"]["word"] in ("🦙", "x")


def test_what_nobody_called_is_left_as_it_is():
    assert telling([HI], TOOLS)[1:] == [HI]
