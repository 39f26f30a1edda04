"""OpenAI's completions, as its own client asks and understands them."""

import openai
import pytest

from tests.helpers.answering import SAID, TEXT, ScriptedAnswering, noted


@pytest.fixture
def client(serve, connect):
    def of(answering):
        return connect(openai.OpenAI, base_url=f"{serve(answering).address}/v1", api_key="none", max_retries=0)

    return of


def test_a_text_is_gone_on_with_whole_and_streamed(client):
    asks = client(ScriptedAnswering(SAID[2:3]))
    answer = asks.completions.create(model="starter", prompt="I say")
    assert answer.choices[0].text == TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens_details.cached_tokens == 4
    chunks = list(
        asks.completions.create(model="starter", prompt="I say", stream=True, stream_options={"include_usage": True})
    )
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == TEXT
    assert chunks[-1].usage.completion_tokens == 1
    assert chunks[-1].flashbulb["tokens"] == 1


@pytest.mark.parametrize(
    ("prompt", "given"), [("text", "text"), (["text"], "text"), ([3, 4], [3, 4]), ([[3, 4]], [3, 4])]
)
def test_prompts_of_every_kind(client, prompt, given):
    answering = ScriptedAnswering()
    client(answering).completions.create(model="starter", prompt=prompt)
    assert answering.requests[0].prompt == given
    assert answering.requests[0].options.max_tokens == 16


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"prompt": ["a", "b"]}, "One prompt at a time"),
        ({"prompt": [1, 2], "suffix": "x"}, "A suffix stands behind a prompt that is a text"),
        ({"echo": True}, "echo is"),
    ],
)
def test_what_is_wrong_is_said(client, wrong, words):
    with pytest.raises(openai.BadRequestError, match=words):
        client(ScriptedAnswering()).completions.create(**{"model": "starter", "prompt": "x", **wrong})


@pytest.mark.parametrize("prompt", ["def add", ""])
def test_what_stands_behind_a_gap_reaches_the_engine(client, prompt):
    answering = ScriptedAnswering()
    client(answering).completions.create(model="starter", prompt=prompt, suffix="return a + b")
    assert (answering.requests[0].prompt, answering.requests[0].options.suffix) == (prompt, "return a + b")


def test_probabilities_whole_and_streamed(client):
    answering = ScriptedAnswering(SAID[2:3] + SAID[2:3], logprobs=[noted(b"It"), noted(b" is")])
    asks = client(answering)
    told = asks.completions.create(model="starter", prompt="x", logprobs=2).choices[0].logprobs
    assert (told.tokens, told.token_logprobs, told.text_offset) == (["It", " is"], [-0.5, -0.5], [0, 2])
    assert told.top_logprobs[1] == {" is": -0.5, "\ufffd": -2.0}
    chunks = asks.completions.create(model="starter", prompt="x", logprobs=2, stream=True)
    assert [c.choices[0].logprobs.tokens for c in chunks if c.choices[0].logprobs] == [["It"], [" is"]]
    assert answering.requests[0].options.logprobs == 2
