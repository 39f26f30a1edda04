"""OpenAI's chats, as its own client asks and understands them."""

import json

import openai
import pytest

from engine.errors import NoRoomError, OptionError
from engine.server.answering import BusyError
from engine.settings import ANY_OBJECT
from tests.helpers.answering import REASONED, SAID, TEXT, ScriptedAnswering, noted

HELLO = [{"role": "user", "content": "Hello!"}]
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("get_weather", "get_time")]
CALLED = [("get_weather", {"city": "Zürich", "days": 2}), ("get_time", {})]


@pytest.fixture
def client(serve, connect):
    def of(answering):
        return connect(openai.OpenAI, base_url=f"{serve(answering).address}/v1", api_key="none", max_retries=0)

    return of


def asked(client, **request):
    """The request that the engine is given."""
    answering = ScriptedAnswering()
    client(answering).chat.completions.create(**{"model": "starter", "messages": HELLO, **request})
    return answering.requests[0]


def test_a_whole_answer(client):
    answer = client(ScriptedAnswering()).chat.completions.create(model="starter", messages=HELLO, tools=TOOLS)
    (choice,) = answer.choices
    assert choice.message.content == TEXT
    assert choice.message.reasoning_content == REASONED
    calls = choice.message.tool_calls
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == CALLED
    assert len({call.id for call in calls}) == 2
    assert choice.finish_reason == "tool_calls"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (10, len(SAID))
    assert answer.usage.prompt_tokens_details.cached_tokens == 4
    assert answer.usage.completion_tokens_details.reasoning_tokens == 2
    assert answer.flashbulb["cached_tokens"] == 4


def test_a_streamed_answer_is_the_same_in_parts(client):
    request = {"model": "starter", "messages": HELLO, "tools": TOOLS, "stream_options": {"include_usage": True}}
    with client(ScriptedAnswering()).chat.completions.stream(**request) as stream:
        chunks = [event.chunk for event in stream if event.type == "chunk"]
        answer = stream.get_final_completion()
    (choice,) = answer.choices
    assert choice.message.content == TEXT
    found = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls]
    assert found == CALLED
    assert choice.finish_reason == "tool_calls"
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(getattr(delta, "reasoning_content", "") for delta in deltas) == REASONED
    assert deltas[0].role == "assistant"
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens == 4
    assert chunks[-1].flashbulb["tokens"] == len(SAID)
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_the_last_chunk_has_the_receipt_without_usage_too(client):
    *_, last = client(ScriptedAnswering()).chat.completions.create(model="starter", messages=HELLO, stream=True)
    assert last.choices[0].finish_reason == "tool_calls"
    assert last.flashbulb["model"] == "starter"


@pytest.mark.parametrize(("reason", "told"), [("stop", "stop"), ("length", "length"), ("context", "length")])
def test_the_reason_of_the_end(client, reason, told):
    answering = ScriptedAnswering(SAID[:3], finish_reason=reason)
    answer = client(answering).chat.completions.create(model="starter", messages=HELLO)
    assert answer.choices[0].finish_reason == told


def test_options_reach_the_engine_and_nulls_choose_nothing(client):
    request = {"temperature": 0.5, "top_p": 0, "seed": -1, "stop": "END", "presence_penalty": 0.2}
    body = {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1, "chat_template_kwargs": {"day": "Monday"}}
    limits = {"max_completion_tokens": 9, "max_tokens": 3, "frequency_penalty": None}
    options = asked(client, **request, **limits, extra_body=body | {"unheard_of": {"x": 1}}).options
    assert (options.temperature, options.top_k, options.min_p) == (0.5, 5, 0.1)
    assert 0 < options.top_p < 0.001
    assert (options.seed, options.stop, options.max_tokens) == (2**64 - 1, ("END",), 9)
    assert (options.presence_penalty, options.frequency_penalty) == (0.2, None)
    assert options.chat_template_kwargs == {"day": "Monday"}
    assert not options.shorten


def test_no_limit_means_until_the_context_is_full(client):
    assert asked(client).options.max_tokens > 10**9


@pytest.mark.parametrize(("effort", "thinks"), [("none", False), ("high", None)])
def test_an_effort_of_reasoning(client, effort, thinks):
    options = asked(client, reasoning_effort=effort).options
    assert options.enable_thinking is thinks
    assert options.reasoning_effort == (None if effort == "none" else effort)


@pytest.mark.parametrize(
    ("said", "limit", "thinks"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, 1024, True),
        ({"thinking": {"type": "disabled"}}, None, False),
        ({"thinking": {"type": "auto"}}, None, None),
        ({"thinking_budget": 0}, 0, False),
        ({"thinking_budget": -1, "enable_thinking": True}, None, True),
        ({"thinking_budget_tokens": 9}, 9, None),
        ({"thinking_token_budget": 9}, 9, None),
        ({"reasoning_budget": 9}, 9, None),
        ({"reasoning": {"max_tokens": 9}}, 9, None),
        ({"reasoning": {"enabled": False}}, None, False),
        ({"enable_thinking": False}, None, False),
        ({}, None, None),
    ],
)
def test_a_limit_of_reasoning_and_the_choice_to_reason_under_their_names(client, said, limit, thinks):
    options = asked(client, extra_body=said).options
    assert (options.reasoning_tokens, options.enable_thinking) == (limit, thinks)


def test_another_choice_to_reason_is_refused(ask, serve):
    request = {"model": "starter", "messages": HELLO, "thinking": {"type": "sometimes"}}
    reply = ask(serve(ScriptedAnswering()), "POST", "/v1/chat/completions", request)
    assert (reply.status, reply.body["error"]["param"]) == (400, "thinking")


def test_an_answer_may_have_to_be_long(client):
    assert asked(client, extra_body={"min_tokens": 5}).options.min_tokens == 5
    assert asked(client, extra_body={"min_tokens": -1, "ignore_eos": False}).options.min_tokens == 0
    assert asked(client, extra_body={"ignore_eos": True}).options.min_tokens > 10**9


def test_values_that_ask_for_nothing_are_taken(client):
    """As SillyTavern, LangChain and others send them with each request."""
    neutral = {"typical_p": 1.0, "typical": 1, "tfs": 1, "top_a": 0, "mirostat_mode": 0, "mirostat_tau": 5.0,
               "xtc_probability": 0, "dry_multiplier": 0.0, "dynatemp_range": 0, "add_generation_prompt": True,
               "use_beam_search": False, "length_penalty": 1.0, "stop_token_ids": [], "bad_words": [],
               "include_stop_str_in_output": False, "prompt_logprobs": None, "skip_special_tokens": True,
               "verbosity": "medium", "store": True, "metadata": {"a": "b"}, "user": "me", "service_tier": "auto",
               "prompt_cache_key": "x", "safety_identifier": "y", "prediction": {"type": "content", "content": "x"},
               "stream_options": None, "ignore_eos": False, "max_tool_calls": None}  # fmt: skip
    assert asked(client, extra_body=neutral).prompt == HELLO


SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}


@pytest.mark.parametrize(
    ("form", "schema"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, ANY_OBJECT),
        ({"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}, SCHEMA),
    ],
)
def test_the_form_of_an_answer(client, form, schema):
    assert asked(client, response_format=form).options.schema == schema


@pytest.mark.parametrize(
    ("choice", "kind", "allowed"),
    [
        ("none", "none", ()),
        ("required", "required", ()),
        ({"type": "function", "function": {"name": "get_time"}}, "required", ("get_time",)),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOLS[1]]}}, "auto", ("get_time",)),
    ],
)
def test_a_choice_of_tools(client, choice, kind, allowed):
    options = asked(client, tools=TOOLS, tool_choice=choice, parallel_tool_calls=False).options
    assert (options.tool_choice, options.allowed_tools, options.parallel_calls) == (kind, allowed, False)
    assert [tool["function"]["name"] for tool in options.tools] == ["get_weather", "get_time"]


def test_messages_become_those_that_templates_know(client):
    call = {"id": "abc", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    prompt = asked(client, messages=[
        {"role": "developer", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "kind."}]},
        {"role": "user", "content": "What time is it?", "name": None},
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "Hm."},
        {"role": "tool", "tool_call_id": "abc", "content": "12:00"},
    ]).prompt  # fmt: skip
    assert prompt == [
        {"role": "system", "content": "Be\n\nkind."},
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": "", "tool_calls": [call | {"type": "function"}], "reasoning_content": "Hm."},
        {"role": "tool", "content": "12:00", "tool_call_id": "abc"},
    ]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"messages": []}, "no messages"),
        ({"messages": [{"role": "judge", "content": "x"}]}, "no role 'judge'"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "image_url"),
        ({"messages": "hello"}, r"Expected `array`, got `str` in messages"),
        ({"messages": [{"role": "user", "content": 3}]}, r"in messages\[0\].content"),
        ({"temperature": -1}, "temperature is a number from 0 to 100, not -1"),
        ({"n": 2}, "n is 1"),
        ({"tools": [{"type": "web_search"}]}, "a function with a name"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {}}}, "tool_choice is auto"),
        ({"tools": TOOLS, "tool_choice": "sometimes"}, "tool_choice is auto, none or required"),
        ({"tool_choice": "required"}, "none was described"),
        ({"response_format": {"type": "xml"}}, "no form of an answer 'xml'"),
        ({"response_format": {"type": "json_schema"}}, "has a schema"),
        ({"extra_body": {"chat_template_kwargs": {"messages": []}}}, "cannot have messages"),
        ({"model": ""}, "Name a model"),
    ],
)
def test_what_is_wrong_is_said_in_openais_form(client, wrong, words):
    answering = ScriptedAnswering()
    with pytest.raises(openai.BadRequestError, match=words) as caught:
        client(answering).chat.completions.create(**{"model": "starter", "messages": HELLO, **wrong})
    assert caught.value.type == "invalid_request_error"
    assert caught.value.param is None or caught.value.param.partition("[")[0] in {
        *wrong,
        "chat_template_kwargs",
        "tool_choice",
    }
    assert answering.requests == []


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("error", "raised", "words", "code"),
    [
        (
            NoRoomError("It has no room.", 1234),
            openai.BadRequestError,
            "1,234 tokens too long",
            "context_length_exceeded",
        ),
        (OptionError("seed is wrong."), openai.BadRequestError, "seed is wrong", None),
        (OptionError("logit_bias names token 7."), openai.BadRequestError, "token 7", None),
        (KeyError("a secret of the prompt"), openai.InternalServerError, "Something went wrong inside", None),
    ],
)
def test_errors_of_the_engine(client, streamed, error, raised, words, code, caplog):
    with pytest.raises(raised, match=words) as caught:
        client(ScriptedAnswering(error=error)).chat.completions.create(model="starter", messages=HELLO, stream=streamed)
    assert caught.value.code == code
    assert caught.value.param in (None, "messages", words.split()[0], "logit_bias")
    assert "secret" not in str(caught.value)
    assert "secret" not in caplog.text


def test_who_is_busy_says_when_to_come_again(client):
    with pytest.raises(openai.RateLimitError) as caught:
        client(ScriptedAnswering(refusal=BusyError("Many wait.", 7))).chat.completions.create(
            model="starter", messages=HELLO
        )
    assert caught.value.response.headers["retry-after"] == "7"


def test_an_unknown_model_names_those_there_are(client):
    with pytest.raises(openai.NotFoundError, match=r"no model 'gpt-9' here. There are: .*starter") as caught:
        client(ScriptedAnswering()).chat.completions.create(model="gpt-9", messages=HELLO)
    assert caught.value.code == "model_not_found"


def test_probabilities_whole_and_streamed(client):
    answering = ScriptedAnswering(SAID[2:3], logprobs=[noted(" ü".encode())])
    asks, request = client(answering), {"model": "starter", "messages": HELLO, "logprobs": True, "top_logprobs": 2}
    whole = asks.chat.completions.create(**request).choices[0].logprobs.content
    chunks = asks.chat.completions.create(**request, stream=True)
    streamed = [one for chunk in chunks if chunk.choices[0].logprobs for one in chunk.choices[0].logprobs.content]
    for (told,) in (whole, streamed):
        assert (told.token, bytes(told.bytes), told.logprob) == (" ü", " ü".encode(), -0.5)
        assert [(top.token, top.logprob) for top in told.top_logprobs] == [(" ü", -0.5), ("\ufffd", -2.0)]
    assert [each.options.logprobs for each in answering.requests] == [2, 2]
    assert asked(client).options.logprobs is None
    assert asked(client, logprobs=True).options.logprobs == 0
