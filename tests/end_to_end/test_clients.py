"""The official clients against `flashbulb serve`: the starter, and a tiny mixture of experts whose experts stream."""

import json
import re
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from http.client import HTTPConnection

import anthropic
import httpx
import jsonschema
import ollama
import openai
import pytest

from tests.conftest import BUSY_OPTION
from tests.helpers.held import Held
from tests.helpers.programs import hello, let_programs_ask, right_answers
from tests.helpers.serving import Serving, write_talker

MODELS = ("starter", "tiny/moe")
CONTEXT = 2048
LONG = " ".join(f"I have {number} dogs, and we walk in the park every morning." for number in range(60))
PROGRAMS, MANY_REQUESTS = 8, 200
SETTLING_S = 2.0  # until what a process keeps for good is there
MAX_GROWTH_BYTES = 16_000_000
POOL_THREADS = 8  # that asyncio's pool may still start


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    home = tmp_path_factory.mktemp("serving")
    write_talker(home / "models" / "tiny--moe", max_position_embeddings=CONTEXT)
    serving = Serving(home)
    yield serving
    said = serving.end()
    assert "Traceback" not in said
    assert "dogs" not in said, "a prompt is in the log"


@pytest.fixture
def as_openai(serving):
    with openai.OpenAI(base_url=f"{serving.address}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def as_anthropic(serving):
    with anthropic.Anthropic(base_url=serving.address, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def as_ollama(serving):
    with closing(ollama.Client(host=serving.address)) as client:
        yield client


@pytest.fixture
def clients(as_openai, as_anthropic, as_ollama):
    return {"openai": as_openai, "anthropic": as_anthropic, "ollama": as_ollama}


@pytest.mark.parametrize("model", MODELS)
def test_every_client_chats_and_streams_the_same_answer(model, as_openai, as_anthropic, as_ollama):
    greedy = {"model": model, "messages": hello(), "temperature": 0, "max_tokens": 12}
    whole = as_openai.chat.completions.create(**greedy)
    text = whole.choices[0].message.content
    chunks = as_openai.chat.completions.create(**greedy, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == text
    assert whole.usage.completion_tokens <= 12
    assert whole.flashbulb["footprint_bytes"] > 0
    response = as_openai.responses.create(model=model, input=hello(), temperature=0, max_output_tokens=12)
    assert response.output_text == text
    request = {"model": model, "max_tokens": 12, "messages": hello(), "extra_body": {"temperature": 0}}
    assert as_anthropic.messages.create(**request).content[0].text == text
    with as_anthropic.messages.stream(**request) as stream:
        assert "".join(stream.text_stream) == text
    options = {"temperature": 0, "num_predict": 12}
    assert as_ollama.chat(model, messages=hello(), options=options).message.content == text
    parts = as_ollama.chat(model, messages=hello(), options=options, stream=True)
    assert "".join(part.message.content for part in parts) == text


@pytest.mark.parametrize("model", MODELS)
def test_a_seed_repeats_an_answer_and_a_stop_ends_it(model, as_openai):
    request = {"model": model, "messages": hello(), "seed": 7, "max_tokens": 16, "temperature": 1.0}
    text = as_openai.chat.completions.create(**request).choices[0].message.content
    assert as_openai.chat.completions.create(**request).choices[0].message.content == text
    stop = text[3:5]
    stopped = as_openai.chat.completions.create(**request, stop=[stop]).choices[0]
    assert stopped.message.content == text[: text.index(stop)]
    assert stopped.finish_reason == "stop"


@pytest.mark.parametrize("model", MODELS)
def test_the_stop_text_that_ended_an_answer_is_told(model, as_anthropic):
    request = {"model": model, "messages": hello(), "max_tokens": 12, "extra_body": {"temperature": 0}}
    text = as_anthropic.messages.create(**request).content[0].text
    stop = text[3:5]
    request["stop_sequences"] = ["§§", stop]
    with as_anthropic.messages.stream(**request) as stream:
        streamed = stream.get_final_message()
    for message in (as_anthropic.messages.create(**request), streamed):
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", stop)
        assert message.content[0].text == text[: text.index(stop)]


def test_a_prefix_that_was_read_is_not_read_again(serving, clients):
    """Of 400 tokens and more, whichever protocol it came by: each one's usage says so; of
    Ollama's, which has no word for it, the receipt."""
    system, asks = {"role": "system", "content": LONG}, {"model": "tiny/moe"}
    clients["openai"].chat.completions.create(messages=[system, *hello("I am Anna.")], max_tokens=2, **asks)
    chat = clients["openai"].chat.completions.create(messages=[system, *hello("I am Ben.")], max_tokens=2, **asks)
    response = clients["openai"].responses.create(
        instructions=LONG, input=hello("I am Dan."), max_output_tokens=2, **asks
    )
    message = clients["anthropic"].messages.create(system=LONG, messages=hello("I am Cem."), max_tokens=2, **asks)
    said = {"messages": [system, *hello("I am Eva.")], "options": {"num_predict": 2}, "stream": False}
    told = httpx.post(f"{serving.address}/api/chat", json=said | asks, timeout=60).json()
    for text in ("Fay", "Gus"):
        completion = clients["openai"].completions.create(prompt=f"{LONG} I am {text}.", max_tokens=2, **asks)
    cached = {
        "chat": (chat.usage.prompt_tokens, chat.usage.prompt_tokens_details.cached_tokens),
        "completion": (completion.usage.prompt_tokens, completion.usage.prompt_tokens_details.cached_tokens),
        "response": (response.usage.input_tokens, response.usage.input_tokens_details.cached_tokens),
        "message": (message.usage.input_tokens + message.usage.cache_read_input_tokens,
                    message.usage.cache_read_input_tokens),
        "ollama": (told["prompt_eval_count"], told["flashbulb"]["cached_tokens"]),
    }  # fmt: skip
    for protocol, (tokens, again) in cached.items():
        assert again > 400, protocol
        assert tokens - again < 100, protocol


PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"day": {"enum": ["today", "tomorrow"]}},
        "required": ["day"],
        "additionalProperties": False,
    },
}


@pytest.mark.parametrize("model", MODELS)
def test_json_satisfies_its_schema(model, as_openai, as_anthropic, as_ollama):
    messages, form = hello("Who are you?"), {"type": "json_schema", "schema": PERSON}
    openais = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
    chat = as_openai.chat.completions.create(model=model, messages=messages, response_format=openais, max_tokens=150)
    chunks = as_openai.chat.completions.create(
        model=model, messages=messages, response_format=openais, max_tokens=150, stream=True
    )
    response = as_openai.responses.create(
        model=model, input=messages, text={"format": {"name": "person", **form}}, max_output_tokens=150
    )
    message = as_anthropic.messages.create(
        model=model, messages=messages, max_tokens=150, output_config={"format": form}
    )
    said = as_ollama.chat(model, messages=messages, format=PERSON, options={"num_predict": 150})
    texts = [chat.choices[0].message.content, "".join(c.choices[0].delta.content or "" for c in chunks)]
    for text in (*texts, response.output_text, message.content[0].text, said.message.content):
        jsonschema.validate(json.loads(text), PERSON)
    anything = as_openai.chat.completions.create(
        model=model, messages=messages, response_format={"type": "json_object"}, max_tokens=5
    )
    assert anything.choices[0].message.content.lstrip().startswith("{")


@pytest.mark.parametrize("model", MODELS)
def test_a_tool_is_called(model, as_openai, as_anthropic):
    messages, tools = hello("What is the weather?"), [{"type": "function", "function": WEATHER}]
    request = {"model": model, "messages": messages, "tools": tools, "tool_choice": "required", "max_tokens": 150}
    choice = as_openai.chat.completions.create(**request, parallel_tool_calls=False).choices[0]
    (call,) = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments)["day"] in ("today", "tomorrow")
    with as_openai.chat.completions.stream(**request, parallel_tool_calls=False) as stream:
        (streamed,) = stream.get_final_completion().choices[0].message.tool_calls
    assert json.loads(streamed.function.arguments)["day"] in ("today", "tomorrow")
    message = as_anthropic.messages.create(
        model=model,
        messages=messages,
        max_tokens=150,
        tools=[{"name": WEATHER["name"], "input_schema": WEATHER["parameters"]}],
        tool_choice={"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True},
    )
    assert message.stop_reason == "tool_use"
    assert message.content[-1].input["day"] in ("today", "tomorrow")
    result = {"role": "tool", "tool_call_id": call.id, "content": "Sunny."}
    again = [*messages, choice.message.model_dump(exclude_none=True), result]
    assert as_openai.chat.completions.create(model=model, messages=again, tools=tools, max_tokens=4).choices


def test_probabilities_of_tokens(as_openai):
    request = {"model": "tiny/moe", "messages": hello(), "max_tokens": 4, "logprobs": True, "top_logprobs": 3}
    content = as_openai.chat.completions.create(**request, temperature=0).choices[0].logprobs.content
    for token in content:
        assert token.logprob == max(top.logprob for top in token.top_logprobs) <= 0
        assert len(token.top_logprobs) == 3


@pytest.mark.parametrize("model", MODELS)
def test_a_bias_forbids_and_brings_about_tokens_and_probabilities_stay_the_models_own(model, as_openai):
    request = {"model": model, "messages": hello(), "max_tokens": 6, "temperature": 0, "logprobs": True}
    plain = as_openai.chat.completions.create(**request).choices[0].logprobs.content
    only = as_openai.chat.completions.create(**request, logit_bias={40: 100}).choices[0].logprobs.content
    assert len({token.token for token in only}) == 1
    assert len(only) == 6
    assert only[0].logprob < plain[0].logprob
    wrong = {"tokens": {10**6: 1}, "biases": {40: 101}}
    for bias in wrong.values():
        with pytest.raises(openai.BadRequestError) as caught:
            as_openai.chat.completions.create(**request, logit_bias=bias)
        assert caught.value.param == "logit_bias"


@pytest.mark.parametrize("schema", [{"type": "no such"}, {"$ref": "#/nowhere"}])
def test_a_schema_that_is_none_is_refused(as_openai, schema):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with pytest.raises(openai.BadRequestError):
        as_openai.chat.completions.create(model="tiny/moe", messages=hello(), response_format=form)


def test_errors_are_proper(as_openai, as_anthropic, as_ollama):
    with pytest.raises(openai.BadRequestError, match=r"has [\d]+ tokens.*It is [\d,]+ tokens? too long") as caught:
        as_openai.chat.completions.create(model="tiny/moe", messages=hello(5 * LONG))
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(anthropic.BadRequestError, match="too long"):
        as_anthropic.messages.create(model="tiny/moe", messages=hello(5 * LONG), max_tokens=5)
    with pytest.raises(openai.NotFoundError, match=r"There are: .*starter, .*tiny/moe"):
        as_openai.chat.completions.create(model="gpt-9", messages=hello())
    with pytest.raises(ollama.ResponseError, match="There are: "):
        as_ollama.chat("nobody", messages=hello())


@pytest.mark.parametrize(("name", "value"), [("Host", "evil.example:80"), ("Origin", "http://evil.example")])
def test_a_page_of_somebody_else_is_refused(serving, name, value):
    connection = HTTPConnection(serving.address.removeprefix("http://"), timeout=30)
    connection.request("GET", "/v1/models", headers={name: value})
    assert connection.getresponse().status == 403
    connection.close()


def openai_chat(clients, **more):
    return clients["openai"].chat.completions.create(messages=hello(), max_tokens=CONTEXT, **more)


def openai_completion(clients, **more):
    return clients["openai"].completions.create(prompt="I have two dogs", max_tokens=CONTEXT, **more)


def openai_response(clients, **more):
    return clients["openai"].responses.create(input=hello(), max_output_tokens=CONTEXT, **more)


def anthropic_message(clients, **more):
    return clients["anthropic"].messages.create(messages=hello(), max_tokens=CONTEXT, **more)


def ollama_chat(clients, **more):
    return clients["ollama"].chat(messages=hello(), **more)


def ollama_generate(clients, **more):
    return clients["ollama"].generate(prompt="I have two dogs", raw=True, **more)


WAYS = (openai_chat, openai_completion, openai_response, anthropic_message, ollama_chat, ollama_generate)
PROGRAM_NAMES = {"openai": "OpenAI/Python", "anthropic": "Anthropic/Python", "ollama": "ollama-python"}


def cancelled_by(serving, program):
    """The tokens that each cancelled answer of a program had."""
    return [int(tokens) for tokens in re.findall(rf"{program} had (\d+) tokens of .*: cancelled", serving.said())]


def leave(stream):
    """Hear the beginning of an answer, and go."""
    with closing(stream):
        next(iter(stream))


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_ends_when_its_client_leaves(serving, clients, as_openai, way):
    """Else the next one would wait until the context is full."""
    program = PROGRAM_NAMES[way.__name__.partition("_")[0]]
    before = len(cancelled_by(serving, program))
    for _ in range(4):
        leave(way(clients, model="tiny/moe", stream=True))
        as_openai.chat.completions.create(model="tiny/moe", messages=hello(), max_tokens=1)
    assert len(cancelled_by(serving, program)) > before


@pytest.mark.parametrize("way", [openai_chat, anthropic_message])
def test_a_whole_answer_ends_when_its_client_waits_no_longer(serving, clients, as_openai, way):
    program = PROGRAM_NAMES[way.__name__.partition("_")[0]]
    before = len(cancelled_by(serving, program))
    for _ in range(4):
        with suppress(openai.APITimeoutError, anthropic.APITimeoutError):
            way(clients, model="tiny/moe", timeout=0.1, extra_body={"temperature": 0})  # which does not end by itself
        as_openai.chat.completions.create(model="tiny/moe", messages=hello(), max_tokens=1)
    assert len(cancelled_by(serving, program)) > before


def test_ollamas_programs_say_how_long_a_model_stays(as_ollama):
    request = {"model": "tiny/moe", "prompt": "Hello!", "raw": True, "options": {"num_predict": 2}}
    as_ollama.generate(**request, keep_alive="1h")
    (model,) = as_ollama.ps().models
    assert model.name == "tiny/moe"
    assert model.size > 0
    assert 3500 < (model.expires_at - datetime.now(UTC)).total_seconds() <= 3600
    assert as_ollama.generate("tiny/moe", keep_alive=0).done_reason == "unload"
    assert as_ollama.ps().models == []
    as_ollama.generate(**request, keep_alive=0.1)
    end = time.monotonic() + 30
    while as_ollama.ps().models and time.monotonic() < end:
        time.sleep(0.05)
    assert as_ollama.ps().models == []


def test_programs_at_once_get_their_own_answers_and_leave_nothing_behind(serving, request):
    """Nor do 200 of their requests."""
    expected = right_answers(serving.address)
    let_programs_ask(serving.address, PROGRAMS, expected, SETTLING_S)
    right_answers(serving.address)
    before = Held.of(serving.process.pid)
    count, seconds = 0, request.config.getoption(BUSY_OPTION)
    while count < MANY_REQUESTS:
        programs = let_programs_ask(serving.address, PROGRAMS, expected, seconds)
        count += sum(program.answered + program.left for program in programs)
        assert sum(program.answered for program in programs) > 0
    right_answers(serving.address)
    assert before.left_of(serving.process.pid, MAX_GROWTH_BYTES, POOL_THREADS) == ""
