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
