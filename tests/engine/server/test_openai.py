"""Models and embeddings, as OpenAI's client asks for them."""

import openai
import pytest

from tests.helpers.answering import ScriptedAnswering


@pytest.fixture
def client(serve, connect):
    return connect(openai.OpenAI, base_url=f"{serve(ScriptedAnswering()).address}/v1", api_key="none", max_retries=0)


def test_models_are_listed_and_found_by_name(client):
    listed = {model.id: model for model in client.models.list()}
    assert listed["starter"].created > 0
    assert client.models.retrieve("STARTER").id == "starter"
    with pytest.raises(openai.NotFoundError, match=r"There are: .*starter"):
        client.models.retrieve("somebody/else")


def test_embeddings_are_refused_in_their_own_form_and_not_asked_for_again(client):
    with pytest.raises(openai.InternalServerError, match="makes no embeddings") as caught:
        client.embeddings.create(model="starter", input="x")
    assert caught.value.status_code == 501
    assert caught.value.response.headers["x-should-retry"] == "false"


HELLO = {"model": "starter", "messages": [{"role": "user", "content": "Hello!"}]}
ALLOWED = "allowed_tools has a list of tools"
TOOL = "A tool is a function with a name, whose parameters are a schema"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": allowed}}, ALLOWED)
        for allowed in (None, 5, [1], {"tools": 5}, {"tools": None})
    ]
    + [({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [1]}}}, "names a function")],
)
def test_a_choice_of_tools_that_is_none_is_refused(ask, serve, more, words):
    reply = ask(serve(ScriptedAnswering()), "POST", "/v1/chat/completions", HELLO | more)
    assert (reply.status, reply.body["error"]["param"]) == (400, "tool_choice")
    assert words in reply.body["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat"])
@pytest.mark.parametrize(
    "function", [None, {}, {"name": None}, {"name": 5}, {"name": ""}, {"name": "f", "parameters": 7}]
)
def test_a_tool_that_is_none_is_refused(ask, serve, path, function):
    reply = ask(serve(ScriptedAnswering()), "POST", path, HELLO | {"tools": [{"function": function}]})
    assert reply.status == 400
    assert TOOL in str(reply.body["error"])


PATHS = {
    "/v1/chat/completions": HELLO,
    "/v1/completions": {"model": "starter", "prompt": "Hello!"},
    "/v1/responses": {"model": "starter", "input": "Hello!"},
}
each_path = pytest.mark.parametrize("path", PATHS)


def options_of(ask, serve, path, more):
    """The options that the engine is given."""
    answering = ScriptedAnswering()
    reply = ask(serve(answering), "POST", path, PATHS[path] | more)
    assert reply.status == 200, reply.content
    return answering.requests[0].options


@each_path
@pytest.mark.parametrize(
    ("said", "option", "value"),
    [
        ({"logit_bias": {"50": -100, "7": 3.5}}, "logit_bias", {50: -100.0, 7: 3.5}),
        ({"logit_bias": None}, "logit_bias", {}),
        ({"logit_bias": {}}, "logit_bias", {}),
        ({"top_k": -1}, "top_k", 0),
        ({"top_p": 0}, "top_p", 1e-6),
        ({"repeat_penalty": 1.2}, "repetition_penalty", 1.2),
        ({"repeat_penalty": 1.2, "repetition_penalty": 1.1}, "repetition_penalty", 1.1),
        ({"repeat_last_n": 9}, "penalised_tokens", 9),
        ({"repeat_last_n": -1}, "penalised_tokens", 2**31 - 1),
        ({"max_tokens": -1, "max_completion_tokens": -1, "max_output_tokens": -1}, "max_tokens", 2**31 - 1),
        ({"functions": [], "modalities": ["text"], "best_of": 1, "echo": False}, "stop", ()),
    ],
)
def test_numbers_mean_what_they_do_elsewhere(ask, serve, path, said, option, value):
    assert getattr(options_of(ask, serve, path, said), option) == value


@each_path
@pytest.mark.parametrize(
    ("said", "words", "param"),
    [
        ({"logit_bias": {"7": 101}}, "logit_bias is a number from -100 to 100, not 101", "logit_bias"),
        ({"logit_bias": {"-7": 1}}, "logit_bias names tokens by their ids", "logit_bias"),
        ({"logit_bias": {"yes": 1}}, "Expected `int`, got `str` in a key of logit_bias", "logit_bias"),
        ({"logit_bias": {"7": "much"}}, "Expected `float`, got `str` in logit_bias", "logit_bias"),
        ({"logit_bias": [[7, 1]]}, "Expected `object | null`, got `array` in logit_bias", "logit_bias"),
        ({"functions": [{"name": "f"}]}, "functions is not supported. Describe them as tools.", "functions"),
        ({"modalities": ["text", "audio"]}, "modalities is not supported.", "modalities"),
        ({"web_search_options": {}}, "web_search_options is not supported.", "web_search_options"),
        ({"grammar": "root ::= x"}, "grammar is not supported.", "grammar"),
        ({"guided_json": {"type": "object"}}, "Give the schema in response_format.", "guided_json"),
        ({"best_of": 3}, "best_of is not supported.", "best_of"),
        ({"verbosity": "low"}, "verbosity is not supported. Say in the conversation", "verbosity"),
        ({"max_tool_calls": 2}, "max_tool_calls is not supported. With parallel_tool_calls", "max_tool_calls"),
        ({"num_ctx": 4096}, "num_ctx is not supported. The context is as long", "num_ctx"),
        ({"typical_p": 0.9}, "typical_p is not supported.", "typical_p"),
        ({"mirostat_mode": 2}, "mirostat_mode is not supported.", "mirostat_mode"),
        ({"stop_token_ids": [2]}, "stop_token_ids is not supported. Give the texts in stop.", "stop_token_ids"),
        ({"min_tokens": 2**40}, "min_tokens is a whole number from 0", "min_tokens"),
        ({"max_tokens": 0, "max_completion_tokens": 0, "max_output_tokens": 0}, "from 1 to", "max_tokens"),
        ({"n": 2}, "n is 1", "n"),
    ],
)
def test_what_is_wrong_or_not_here_is_refused_by_its_name(ask, serve, path, said, words, param):
    reply = ask(serve(ScriptedAnswering()), "POST", path, PATHS[path] | said)
    assert (reply.status, reply.body["error"]["param"].partition("[")[0]) == (400, param)
    assert words in reply.body["error"]["message"]


def test_probabilities_of_others_are_told_beside_a_tokens_own(ask, serve):
    server = serve(ScriptedAnswering())
    reply = ask(server, "POST", "/v1/chat/completions", HELLO | {"top_logprobs": 2})
    assert (reply.status, reply.body["error"]["param"]) == (400, "top_logprobs")
    for said in ({"top_logprobs": 0}, {"logprobs": False, "top_logprobs": None}):
        assert options_of(ask, serve, "/v1/chat/completions", said).logprobs is None
