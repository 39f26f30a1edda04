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
