"""OpenAI's responses, as its own client asks and understands them."""

import json

import openai
import pytest

from engine.errors import NoRoomError
from tests.helpers.answering import REASONED, SAID, TEXT, ScriptedAnswering, noted

TOOLS = [{"type": "function", "name": name, "parameters": {}} for name in ("get_weather", "get_time")]
CALLED = [("get_weather", {"city": "Zürich", "days": 2}), ("get_time", {})]


@pytest.fixture
def client(serve, connect):
    def of(answering):
        return connect(openai.OpenAI, base_url=f"{serve(answering).address}/v1", api_key="none", max_retries=0)

    return of


def asked(client, **request):
    """The request that the engine is given."""
    answering = ScriptedAnswering()
    client(answering).responses.create(**{"model": "starter", "input": "Hello!", **request})
    return answering.requests[0]


def check(response):
    reasoning, message, *calls = response.output
    assert (reasoning.type, reasoning.content[0].text) == ("reasoning", REASONED)
    assert (message.type, response.output_text) == ("message", TEXT)
    assert [(call.name, json.loads(call.arguments)) for call in calls] == CALLED
    assert response.status == "completed"
    assert (response.usage.input_tokens, response.usage.input_tokens_details.cached_tokens) == (10, 4)
    assert response.usage.output_tokens == len(SAID)
    assert response.flashbulb["tokens"] == len(SAID)


def test_a_whole_answer(client):
    check(client(ScriptedAnswering()).responses.create(model="starter", input="Hello!", tools=TOOLS))


def test_a_streamed_answer_is_the_same_in_parts(client):
    with client(ScriptedAnswering()).responses.stream(model="starter", input="Hello!", tools=TOOLS) as stream:
        events = list(stream)
        check(stream.get_final_response())
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == TEXT
    done = [event for event in events if event.type == "response.output_item.done"]
    assert [event.output_index for event in done] == [0, 1, 2, 3]
    assert [event.item.id for event in done] == [item.id for item in events[-1].response.output]


def test_an_answer_that_was_cut_off(client):
    asks = client(ScriptedAnswering(SAID[:3], finish_reason="length"))
    response = asks.responses.create(model="starter", input="Hello!")
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    *_, last = asks.responses.create(model="starter", input="Hello!", stream=True)
    assert last.type == "response.incomplete"


def test_the_input_becomes_messages_that_templates_know(client):
    prompt = asked(client, instructions="Be kind.", input=[
        {"role": "user", "content": [{"type": "input_text", "text": "What time is it?"}]},
        {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
        {"type": "function_call", "call_id": "abc", "name": "get_time", "arguments": "{}"},
        {"type": "function_call", "call_id": "abd", "name": "get_time", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "abc", "output": "12:00"},
        {"type": "function_call_output", "call_id": "abd", "output": "13:00"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Noon."}]},
        {"role": "user", "content": "Thanks"},
    ]).prompt  # fmt: skip
    calls = [{"type": "function", "function": {"name": "get_time", "arguments": "{}"}, "id": i} for i in ("abc", "abd")]
    assert prompt == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "abc", "content": "12:00"},
        {"role": "tool", "tool_call_id": "abd", "content": "13:00"},
        {"role": "assistant", "content": "Noon."},
        {"role": "user", "content": "Thanks"},
    ]


def test_options_reach_the_engine(client):
    form = {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}
    choice = {"type": "function", "name": "get_time"}
    options = asked(client, tools=TOOLS, tool_choice=choice, text=form, max_output_tokens=9, truncation="auto",
                    reasoning={"effort": "low"}).options  # fmt: skip
    assert (options.schema, options.tool_choice, options.allowed_tools) == (
        {"type": "object"},
        "required",
        ("get_time",),
    )
    assert (options.max_tokens, options.shorten, options.reasoning_effort) == (9, True, "low")


def test_a_limit_of_reasoning(client):
    options = asked(client, extra_body={"reasoning": {"max_tokens": 9, "summary": "auto"}}).options
    assert (options.reasoning_tokens, options.enable_thinking) == (9, None)


def test_what_was_asked_is_told_again(client):
    more = {"metadata": {"run": "7"}, "parallel_tool_calls": False}
    answer = client(ScriptedAnswering()).responses.create(model="starter", input="Hello!", **more)
    assert (answer.metadata, answer.parallel_tool_calls) == ({"run": "7"}, False)


@pytest.mark.parametrize("more", [{"include": ["message.output_text.logprobs"]}, {"top_logprobs": 3}])
def test_probabilities_are_asked_for_in_two_ways(client, more):
    assert asked(client, **more).options.logprobs == more.get("top_logprobs", 0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"previous_response_id": "resp_1"}, "Nothing is kept here: send the whole conversation"),
        ({"background": True}, "Nothing is kept here: send the whole conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt is not supported"),
        ({"text": {"verbosity": "high"}}, "verbosity is not supported"),
        ({"max_tool_calls": 3}, "max_tool_calls is not supported"),
        ({"input": []}, "The input is empty"),
        ({"input": [{"type": "computer_call"}]}, "type 'computer_call' is not supported"),
        ({"tools": [{"type": "web_search"}]}, "not 'web_search'"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input_image"),
    ],
)
def test_what_is_wrong_is_said(client, wrong, words):
    with pytest.raises(openai.BadRequestError, match=words):
        client(ScriptedAnswering()).responses.create(**{"model": "starter", "input": "Hello!", **wrong})


@pytest.mark.parametrize("streamed", [False, True])
def test_errors_of_the_engine(client, streamed):
    asks = client(ScriptedAnswering(error=NoRoomError("No room.", 12)))
    with pytest.raises(openai.BadRequestError, match="12 tokens too long"):
        asks.responses.create(model="starter", input="Hello!", stream=streamed)


def test_probabilities_whole_and_streamed(client):
    asks = client(answering := ScriptedAnswering(SAID[2:3], logprobs=[noted(b"It")]))
    request = {"model": "starter", "input": "Hello!", "include": ["message.output_text.logprobs"], "top_logprobs": 2}
    with asks.responses.stream(**request) as stream:
        deltas = [event for event in stream if event.type == "response.output_text.delta"]
        streamed = stream.get_final_response()
    assert [one.token for event in deltas for one in event.logprobs] == ["It"]
    for response in (asks.responses.create(**request), streamed):
        (told,) = response.output[0].content[0].logprobs
        assert (told.token, told.logprob, len(told.top_logprobs)) == ("It", -0.5, 2)
    assert answering.requests[0].options.logprobs == 2
