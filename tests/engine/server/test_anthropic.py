"""Anthropic's messages, as its own client asks and understands them."""

import anthropic
import pytest

from engine.errors import NoRoomError
from engine.server.answering import BusyError
from tests.helpers.answering import REASONED, SAID, TEXT, ScriptedAnswering

HELLO = [{"role": "user", "content": "Hello!"}]
TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ("get_weather", "get_time")]
CALLED = [("get_weather", {"city": "Zürich", "days": 2}), ("get_time", {})]
REQUEST = {"model": "starter", "max_tokens": 99, "messages": HELLO}


@pytest.fixture
def client(serve, connect):
    def of(answering):
        return connect(anthropic.Anthropic, base_url=serve(answering).address, api_key="none", max_retries=0)

    return of


def asked(client, **request):
    """The request that the engine is given."""
    answering = ScriptedAnswering()
    client(answering).messages.create(**{**REQUEST, **request})
    return answering.requests[0]


def check(message):
    thinking, text, *calls = message.content
    assert (thinking.type, thinking.thinking) == ("thinking", REASONED)
    assert (text.type, text.text) == ("text", TEXT)
    assert [(call.name, call.input) for call in calls] == CALLED
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (6, 4)
    assert message.usage.output_tokens == len(SAID)


def test_a_whole_answer(client):
    message = client(ScriptedAnswering()).messages.create(**REQUEST, tools=TOOLS)
    check(message)
    assert message.flashbulb["tokens"] == len(SAID)


def test_a_streamed_answer_is_the_same_in_parts(client):
    with client(ScriptedAnswering()).messages.stream(**REQUEST, tools=TOOLS) as stream:
        events = list(stream)
        check(stream.get_final_message())
    starts = [event.index for event in events if event.type == "content_block_start"]
    assert starts == [event.index for event in events if event.type == "content_block_stop"] == [0, 1, 2, 3]


def test_the_last_event_has_the_receipt(client):
    *_, last = client(ScriptedAnswering()).messages.create(**REQUEST, stream=True)
    assert last.type == "message_stop"
    assert last.flashbulb["model"] == "starter"


@pytest.mark.parametrize(
    ("reason", "told"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("context", "model_context_window_exceeded")],
)
def test_the_reason_of_the_end(client, reason, told):
    assert client(ScriptedAnswering(SAID[:3], finish_reason=reason)).messages.create(**REQUEST).stop_reason == told


@pytest.mark.parametrize(
    ("said", "reason", "told"),
    [
        (SAID[:3], "stop", ("stop_sequence", "END")),
        (SAID[:3], "length", ("max_tokens", None)),
        (SAID, "stop", ("tool_use", None)),
    ],
)
def test_a_stop_text_is_told_where_it_is_the_reason(client, said, reason, told):
    answering = ScriptedAnswering(said, finish_reason=reason)
    answering.summary.stop_text = "END"
    asks = client(answering)
    with asks.messages.stream(**REQUEST) as stream:
        streamed = stream.get_final_message()
    for message in (asks.messages.create(**REQUEST), streamed):
        assert (message.stop_reason, message.stop_sequence) == told


def test_options_reach_the_engine(client):
    given = {"temperature": 0.5, "top_k": 3, "top_p": 0.9, "stop_sequences": ["END"]}
    options = asked(client, extra_body=given, thinking={"type": "enabled", "budget_tokens": 1024}).options
    assert (options.temperature, options.top_k, options.top_p, options.stop) == (0.5, 3, 0.9, ("END",))
    assert (options.max_tokens, options.enable_thinking, options.shorten) == (99, True, False)
    assert options.reasoning_tokens == 1024
    schema = {"type": "object"}
    config = {"effort": "low", "format": {"type": "json_schema", "schema": schema}}
    options = asked(client, output_config=config, thinking={"type": "disabled"}).options
    assert (options.reasoning_effort, options.schema, options.enable_thinking) == ("low", schema, False)


@pytest.mark.parametrize(
    ("choice", "kind", "allowed"),
    [
        ({"type": "auto", "disable_parallel_tool_use": True}, "auto", ()),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", ()),
        ({"type": "tool", "name": "get_time", "disable_parallel_tool_use": True}, "required", ("get_time",)),
    ],
)
def test_a_choice_of_tools(client, choice, kind, allowed):
    options = asked(client, tools=TOOLS, tool_choice=choice).options
    assert (options.tool_choice, options.allowed_tools, options.parallel_calls) == (kind, allowed, False)


def test_messages_become_those_that_templates_know(client):
    thoughts = {"type": "thinking", "thinking": "Hm.", "signature": "x"}
    use = {"type": "tool_use", "id": "abc", "name": "get_time", "input": {"zone": "UTC"}}
    result = {"type": "tool_result", "tool_use_id": "abc", "content": [{"type": "text", "text": "12:00"}]}
    system = [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]
    prompt = asked(client, system=system, messages=[
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": [thoughts, {"type": "text", "text": "Let me look."}, use]},
        {"role": "user", "content": [result, {"type": "text", "text": "Well?"}]},
    ]).prompt  # fmt: skip
    call = {"type": "function", "function": {"name": "get_time", "arguments": {"zone": "UTC"}}, "id": "abc"}
    assert prompt == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": "Let me look.", "reasoning_content": "Hm.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "abc", "content": "12:00"},
        {"role": "user", "content": "Well?"},
    ]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"messages": []}, "no messages"),
        ({"messages": [{"role": "judge", "content": "x"}]}, "no role 'judge'"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, "a block of type 'image'"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "runs at Anthropic's"),
        ({"tools": TOOLS, "tool_choice": {"type": "some"}}, "no tool_choice 'some'"),
        ({"extra_body": {"temperature": -1}}, "temperature is a number"),
        ({"extra_body": {"mcp_servers": [{"type": "url", "url": "x"}]}}, "mcp_servers is not supported"),
    ],
)
def test_what_is_wrong_is_said_in_anthropics_form(client, wrong, words):
    with pytest.raises(anthropic.BadRequestError, match=words) as caught:
        client(ScriptedAnswering()).messages.create(**{**REQUEST, **wrong})
    assert caught.value.body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("answering", "raised", "kind"),
    [
        ({"error": NoRoomError("No room.", 12)}, anthropic.BadRequestError, "invalid_request_error"),
        ({"refusal": BusyError("Many wait.", 7)}, anthropic.RateLimitError, "rate_limit_error"),
        ({"error": KeyError("x")}, anthropic.InternalServerError, "api_error"),
    ],
)
def test_errors_of_the_engine(client, streamed, answering, raised, kind):
    with pytest.raises(raised) as caught:
        client(ScriptedAnswering(**answering)).messages.create(**REQUEST, stream=streamed)
    assert caught.value.body["error"]["type"] == kind


def test_tokens_are_counted_without_the_engine(client):
    answering = ScriptedAnswering()
    asks = client(answering)
    count = asks.messages.count_tokens(model="starter", messages=HELLO).input_tokens
    longer = asks.messages.count_tokens(model="starter", messages=[{"role": "user", "content": "Hello! " * 50}])
    assert 0 < count < longer.input_tokens
    assert answering.requests == []


def test_an_unknown_model_names_those_there_are(client):
    with pytest.raises(anthropic.NotFoundError, match=r"no model 'nope' here. There are: .*starter"):
        client(ScriptedAnswering()).messages.create(**{**REQUEST, "model": "nope"})


def test_models_are_listed(client):
    asks = client(ScriptedAnswering())
    assert "starter" in [model.id for model in asks.models.list()]
    assert asks.models.retrieve("starter").display_name == "starter"
