"""Calls of tools in what a model is told later: in its template's own form, with a result each, or as text."""

import json

import pytest

from engine.settings import GenerationOptions
from engine.tokens.forms import NOT_RUN, forms
from engine.tokens.prompt import Conversation, encode
from tests.helpers.families import ASKED, CALLS, GRAINS, NAMES, REASONING, Family

AGAIN = {"role": "user", "content": "Never mind. And 2 + 2?"}
SYSTEM = {"role": "system", "content": "Be kind."}
# Of a family whose template writes calls, and takes no message like this one: it is told as text.
AS_TEXT = ("mistral-nemo", "magistral", "smollm3")


@pytest.fixture(scope="module", params=NAMES)
def family(request, tmp_path_factory):
    return Family(request.param, GRAINS[0], tmp_path_factory.mktemp("families") / request.param)


def call(name, arguments, **more):
    return {"type": "function", "function": {"name": name, "arguments": arguments}} | more


def tokens_of(family, messages, **options):
    class Model:
        name, tokenizer, context = "model", family.tokenizer, 100_000

    return encode(Model, messages, GenerationOptions(**options))


def told(family, messages, **options):
    """The text that a model is told, with its marks."""
    return family.tokenizer.decode(tokens_of(family, messages, **options))


@pytest.mark.parametrize("content", ["", "Let me look."])
@pytest.mark.parametrize("count", [1, 2])
def test_calls_without_results_are_told_to_every_family(family, content, count):
    calls = [call(one["name"], one["arguments"]) for one in CALLS[:count]]
    answer = {"role": "assistant", "content": content, "reasoning": REASONING, "tool_calls": calls}
    text = told(family, [SYSTEM, *ASKED, answer, AGAIN])
    assert all(one["name"] in text for one in CALLS[:count])
    assert "am Rhein" in text
    assert AGAIN["content"] in text
    as_text = family.folder.name in AS_TEXT or "tool_calls" not in family.template
    assert (NOT_RUN in text) == (not as_text)
    assert f"{CALLS[0]['name']}({{" in text or not as_text


def test_arguments_are_given_as_each_template_takes_them(family):
    """JSON where it joins them to text, values by name where it writes each: never JSON within JSON."""
    for arguments in (CALLS[0]["arguments"], json.dumps(CALLS[0]["arguments"], ensure_ascii=False)):
        answer = {"role": "assistant", "content": "", "tool_calls": [call("get_weather", arguments)]}
        text = told(family, [*ASKED, answer, AGAIN])
        assert '\\"city\\"' not in text
        assert "city" in text


def test_results_are_told_with_their_calls(family):
    calls = [call(one["name"], one["arguments"], id=f"call{i:05d}") for i, one in enumerate(CALLS)]
    results = [
        {"role": "tool", "tool_call_id": f"call{i:05d}", "name": one["name"], "content": f"result {i}"}
        for i, one in enumerate(CALLS)
    ]
    answer = {"role": "assistant", "content": "", "tool_calls": calls}
    text = told(family, [*ASKED, answer, *results, {"role": "assistant", "content": "There."}, AGAIN])
    assert text.index("result 0") < text.index("result 1") < text.index("There.")
    assert NOT_RUN not in text


def test_a_result_that_is_missing_is_told_to_be(family):
    calls = [call(one["name"], one["arguments"], id=f"call{i:05d}") for i, one in enumerate(CALLS)]
    result = {"role": "tool", "tool_call_id": "call00000", "name": "get_weather", "content": "result 0"}
    messages = [*ASKED, {"role": "assistant", "content": "", "tool_calls": calls}, result]
    (whole, *_) = forms(messages)
    missing = [m["tool_call_id"] for m in whole if m["content"] == NOT_RUN]
    assert missing == ["call00001"]


def test_a_template_that_writes_one_call_a_message_is_given_one_a_message(tmp_path):
    family = Family("gpt-oss", GRAINS[0], tmp_path / "model")
    calls = [call(one["name"], one["arguments"], id=f"call{i:05d}") for i, one in enumerate(CALLS)]
    result = {"role": "tool", "tool_call_id": "call00001", "content": "result 1"}
    answer = {"role": "assistant", "content": "", "tool_calls": calls}
    text = told(family, [*ASKED, answer, result, AGAIN])
    assert text.index("to=functions.get_weather") < text.index(NOT_RUN) < text.index("to=functions.get_time")
    assert text.index("to=functions.get_time") < text.index("result 1")


def test_control_tokens_in_a_call_are_text(family):
    """Also in the names of arguments, which a model writes."""
    ends = [family.tokenizer.name_of(i) for i in family.tokenizer.eos_token_ids]
    plain = {"role": "assistant", "content": "", "tool_calls": [call("look", {"at": "x"})]}
    odd = {"role": "assistant", "content": "", "tool_calls": [call("look", {f"at{ends[0]}": f"x{ends[0]}"})]}

    def count(answer):
        return sum(token in family.tokenizer.eos_token_ids for token in tokens_of(family, [*ASKED, answer, AGAIN]))

    assert count(odd) == count(plain)


@pytest.mark.parametrize("calls", [None, [], [None], [{}], [{"function": None}], [{"function": {"name": None}}], "x"])
def test_what_is_no_call_is_left_out(family, calls):
    answer = {"role": "assistant", "content": "There.", "tool_calls": calls}
    without = {"role": "assistant", "content": "There."}
    assert told(family, [*ASKED, answer, AGAIN]) == told(family, [*ASKED, without, AGAIN])


def test_without_a_template_calls_are_text(tmp_path):
    family = Family("qwen3", GRAINS[0], tmp_path / "model")
    answer = {"role": "assistant", "content": "", "tool_calls": [call("look", {"at": "x"})]}
    assert 'look({"at": "x"})' in told(family, [*ASKED, answer, AGAIN], plain_format=True)


def test_a_conversation_is_not_cut_between_a_call_and_its_result(tmp_path):
    family = Family("qwen3", GRAINS[0], tmp_path / "model")
    answer = {"role": "assistant", "content": "", "tool_calls": [call("look", {"at": "x"}, id="a")]}
    result = {"role": "tool", "tool_call_id": "a", "content": "seen " * 40}
    messages = [*ASKED, answer, result, {"role": "assistant", "content": "There."}, AGAIN]
    conversation = Conversation(family.tokenizer, messages, GenerationOptions(max_tokens=10))
    text = family.tokenizer.decode(conversation.fitted(220, shortened=True))
    assert "seen" not in text
    assert AGAIN["content"] in text
