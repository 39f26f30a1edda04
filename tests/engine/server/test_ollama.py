"""Ollama's protocol, as its own client asks and understands it."""

import math
from datetime import UTC, datetime
from pathlib import Path

import ollama
import pytest

from engine.errors import NoRoomError
from engine.server.answering import InMemory
from engine.settings import ANY_OBJECT
from tests.helpers.answering import REASONED, SAID, TEXT, ScriptedAnswering, noted

HELLO = [{"role": "user", "content": "Hello!"}]
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("get_weather", "get_time")]
CALLED = [("get_weather", {"city": "Zürich", "days": 2}), ("get_time", {})]


@pytest.fixture
def client(serve, connect):
    return lambda answering: connect(ollama.Client, host=serve(answering).address)


def asked(client, **request):
    """The request that the engine is given."""
    answering = ScriptedAnswering()
    client(answering).chat(**{"model": "starter", "messages": HELLO, **request})
    return answering.requests[0]


def calls_of(message):
    return [(call.function.name, dict(call.function.arguments)) for call in message.tool_calls or ()]


def test_a_whole_answer(client):
    answer = client(ScriptedAnswering()).chat("starter", messages=HELLO, tools=TOOLS)
    assert (answer.message.content, answer.message.thinking) == (TEXT, REASONED)
    assert calls_of(answer.message) == CALLED
    assert (answer.done, answer.done_reason) == (True, "stop")
    assert (answer.prompt_eval_count, answer.eval_count) == (10, len(SAID))
    assert answer.total_duration > 0


def test_a_streamed_answer_is_the_same_in_parts(client):
    parts = list(client(ScriptedAnswering()).chat("starter:latest", messages=HELLO, tools=TOOLS, stream=True))
    assert "".join(part.message.content for part in parts) == TEXT
    assert "".join(part.message.thinking or "" for part in parts) == REASONED
    assert [call for part in parts for call in calls_of(part.message)] == CALLED
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].eval_count == len(SAID)


def test_a_prompt_is_answered_whole_and_streamed(client):
    answering = ScriptedAnswering(SAID[:3])
    asks = client(answering)
    answer = asks.generate("starter", prompt="Hello!", system="Be kind.")
    assert (answer.response, answer.thinking) == (TEXT, REASONED)
    parts = list(asks.generate("starter", prompt="I play the", raw=True, stream=True))
    assert "".join(part.response for part in parts) == TEXT
    chat, raw = (request.prompt for request in answering.requests)
    assert chat == [{"role": "system", "content": "Be kind."}, HELLO[0]]
    assert raw == "I play the"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None), ("", None), (0, 0), ("0", 0), ("0s", 0), (90, 90), (1.5, 1.5), ("90", 90), ("5m", 300),
        ("1h30m", 5400), ("1.5h", 5400), ("250ms", 0.25), ("+2s", 2), (-1, math.inf), ("-1", math.inf),
        ("-1m", math.inf), ("-0s", 0), (1e300, 1e300),
    ],
)  # fmt: skip
def test_a_request_says_how_long_the_model_stays(ask, serve, said, seconds):
    answering = ScriptedAnswering()
    server = serve(answering)
    for path, more in (("/api/chat", {"messages": HELLO}), ("/api/generate", {"prompt": "Hello!"})):
        assert ask(server, "POST", path, {"model": "starter", "keep_alive": said, **more}).status == 200
    assert [request.rest_s for request in answering.requests] == [seconds, seconds]


@pytest.mark.parametrize("said", ["soon", "5 m", "5x", "m", "1e3", "5m!", "1.2.3s", "٣m", "1h" * 100, [], {}, True])
def test_what_is_no_duration_is_said(ask, serve, said):
    reply = ask(serve(ScriptedAnswering()), "POST", "/api/generate", {"model": "starter", "keep_alive": said})
    assert reply.status == 400
    assert "keep_alive" in reply.body["error"]


def test_the_model_in_memory_is_told_with_the_end_of_its_rest(client):
    answering = ScriptedAnswering()
    asks = client(answering)
    assert asks.ps().models == []
    answering.in_memory = InMemory(Path("starter"), 5_000_000, 512, 300.0)
    (model,) = asks.ps().models
    assert (model.name, model.size, model.size_vram, model.context_length) == ("starter", 5_000_000, 5_000_000, 512)
    assert model.details.family == "opt"
    assert 290 < (model.expires_at - datetime.now(UTC)).total_seconds() <= 300


@pytest.mark.parametrize("rest_s", [None, 9e9, 1e15])
def test_a_model_that_stays_is_told_and_so_is_one_that_is_not_listed(client, rest_s, tmp_path):
    answering = ScriptedAnswering()
    answering.in_memory = InMemory(tmp_path / "gone", 5, 512, rest_s)
    (model,) = client(answering).ps().models
    assert model.name == "gone"
    assert model.expires_at.year > 2300


def test_nothing_to_answer_loads_the_model(client):
    answering = ScriptedAnswering((), finish_reason="load")
    asks = client(answering)
    assert asks.generate("starter").done_reason == "load"
    assert asks.chat("starter", messages=[]).done_reason == "load"
    assert [request.prompt for request in answering.requests] == [None, None]


def test_options_reach_the_engine(client):
    given = {"temperature": 0.5, "top_k": 3, "top_p": 0.9, "repeat_penalty": 1.2, "num_predict": 7, "stop": ["END"],
             "seed": 3, "num_ctx": 4096, "num_gpu": 99}  # fmt: skip
    options = asked(client, options=given).options
    assert (options.temperature, options.top_k, options.top_p, options.repetition_penalty) == (0.5, 3, 0.9, 1.2)
    assert (options.max_tokens, options.stop, options.seed) == (7, ("END",), 3)
    unlimited = asked(client, options={"num_predict": -1, "seed": -1, "repeat_last_n": -1, "top_k": -1}).options
    assert min(unlimited.max_tokens, unlimited.penalised_tokens) > 10**9
    assert (unlimited.seed, unlimited.top_k) == (None, 0)
    assert asked(client, options={"repeat_last_n": 0, "mirostat": 0, "tfs_z": 1.0}).options.penalised_tokens == 0


@pytest.mark.parametrize("prompt", ["def add", ""])
def test_what_stands_behind_a_gap_reaches_the_engine(client, prompt):
    answering = ScriptedAnswering()
    client(answering).generate("starter", prompt=prompt, suffix="return", options={"num_predict": 3})
    assert (answering.requests[0].prompt, answering.requests[0].options.suffix) == (prompt, "return")
    assert answering.requests[0].options.max_tokens == 3


@pytest.mark.parametrize(("said", "context"), [(4096, 4096), (0, None), (-1, None), (None, None)])
def test_the_context_is_as_long_as_was_asked(client, said, context):
    options = asked(
        client, options={"num_ctx": said, "num_keep": 4, "num_batch": 512, "penalize_newline": True}
    ).options
    assert (options.context, options.shorten, options.shorten_to_context) == (context, False, True)


def test_a_conversation_that_may_not_be_shortened_is_not(ask, serve):
    answering = ScriptedAnswering()
    request = {"model": "starter", "messages": HELLO, "truncate": False, "options": {"num_ctx": 99}}
    assert ask(serve(answering), "POST", "/api/chat", request).status == 200
    options = answering.requests[0].options
    assert (options.context, options.shorten, options.shorten_to_context) == (99, False, False)


@pytest.mark.parametrize(("said", "shortened"), [({}, False), ({"truncate": False}, False), ({"truncate": True}, True)])
def test_a_conversation_is_shortened_where_that_is_asked(ask, serve, said, shortened):
    answering = ScriptedAnswering()
    request = {"model": "starter", "messages": HELLO, **said}
    assert ask(serve(answering), "POST", "/api/chat", request).status == 200
    assert answering.requests[0].options.shorten is shortened


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"template": "x"}, "template is not supported."),
        ({"images": ["eA=="]}, "images is not supported."),
        ({"context": [1, 2]}, "context is not supported. Nothing is kept here"),
        ({"options": {"mirostat": 2}}, "mirostat is not supported."),
        ({"options": {"typical_p": 0.5}}, "typical_p is not supported."),
    ],
)
def test_what_is_not_here_is_refused_by_its_name(ask, serve, wrong, words):
    reply = ask(serve(ScriptedAnswering()), "POST", "/api/generate", {"model": "starter", "prompt": "x", **wrong})
    assert reply.status == 400
    assert words in reply.body["error"]


@pytest.mark.parametrize(
    ("think", "thinks", "effort"), [(None, None, None), (False, False, None), (True, True, None), ("low", True, "low")]
)
def test_thinking(client, think, thinks, effort):
    options = asked(client, think=think).options
    assert (options.enable_thinking, options.reasoning_effort) == (thinks, effort)


@pytest.mark.parametrize(("form", "schema"), [("", None), ("json", ANY_OBJECT), ({"type": "array"}, {"type": "array"})])
def test_the_form_of_an_answer(client, form, schema):
    assert asked(client, format=form).options.schema == schema


def test_messages_become_those_that_templates_know(client):
    call = {"function": {"name": "get_time", "arguments": {"zone": "UTC"}}}
    prompt = asked(client, messages=[
        {"role": "assistant", "content": "", "thinking": "Hm.", "tool_calls": [call]},
        {"role": "tool", "content": "12:00", "tool_name": "get_time"},
    ]).prompt  # fmt: skip
    assert prompt == [
        {"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls": [{"type": "function", **call}]},
        {"role": "tool", "content": "12:00", "name": "get_time"},
    ]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"think": "loudly"}, "not 'loudly'"),
        ({"format": "xml"}, "format is json or a schema"),
        ({"options": {"temperature": -1}}, "temperature is a number"),
        ({"messages": [{"role": "user", "content": "x", "images": ["eA=="]}]}, "cannot take images"),
    ],
)
def test_what_is_wrong_is_said_in_ollamas_form(ask, serve, wrong, words):
    server = serve(ScriptedAnswering())
    reply = ask(server, "POST", "/api/chat", {"model": "starter", "messages": HELLO, **wrong})
    assert reply.status == 400
    assert words in reply.body["error"]


@pytest.mark.parametrize("streamed", [False, True])
def test_errors_of_the_engine(client, streamed):
    asks = client(ScriptedAnswering(error=NoRoomError("No room.", 12)))
    with pytest.raises(ollama.ResponseError, match="12 tokens too long"):
        list(asks.chat("starter", messages=HELLO, stream=streamed))


def test_an_unknown_model_names_those_there_are(client):
    with pytest.raises(ollama.ResponseError, match=r"no model 'nope' here. There are: .*starter") as caught:
        client(ScriptedAnswering()).chat("nope", messages=HELLO)
    assert caught.value.status_code == 404


def test_models_are_listed_and_described(connect, ask, serve):
    server = serve(ScriptedAnswering())
    asks = connect(ollama.Client, host=server.address)
    model = next(model for model in asks.list().models if model.model == "starter")
    assert model.size > 1_000_000
    assert model.details.family == "opt"
    shown = asks.show("starter")
    assert shown.capabilities == ["completion"]
    assert shown.modelinfo["opt.context_length"] == 512
    assert ask(server, "GET", "/api/version").body["version"]
    assert ask(server, "GET", "/").content == b"Ollama is running"
    with pytest.raises(ollama.ResponseError, match="makes no embeddings"):
        asks.embed("starter", "x")


def test_probabilities_whole_and_streamed(client):
    answering = ScriptedAnswering(SAID[2:3], logprobs=[noted(b"It")])
    asks, request = client(answering), {"model": "starter", "messages": HELLO, "logprobs": True, "top_logprobs": 2}
    parts = [asks.chat(**request), *asks.chat(**request, stream=True)]
    told = [one for part in parts for one in part.logprobs or ()]
    assert [(one.token, one.logprob, len(one.top_logprobs)) for one in told] == [("It", -0.5, 2)] * 2
    assert answering.requests[0].options.logprobs == 2
