"""The choices that a user has, and what is refused."""

import pytest

from engine.errors import OptionError
from engine.settings import GenerationOptions, ToolChoice


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("max_tokens", [0, -1, 1.5, True, "12"]),
        ("temperature", [-0.1, float("nan"), float("inf"), 1e9, "warm"]),
        ("top_p", [0, -1, 1.01, float("nan")]),
        ("seed", [-1, 2**64, 10**5000, 0.5, False]),
        ("top_k", [-1, 0.5, 2**31]),
        ("repetition_penalty", [0, -1, float("nan"), float("inf"), 1e-45]),
        ("min_p", [-0.1, 1.1, float("nan")]),
        ("presence_penalty", [float("nan"), float("-inf"), 1e9]),
        ("frequency_penalty", [float("nan"), float("inf"), -1e9]),
        ("stop", ["text", [3], [None]]),
        ("tool_choice", ["any", "get_weather", None, 3]),
        ("logprobs", [-1, 21, 1.5, True]),
        ("penalised_tokens", [-1, 2**31, 1.5, True]),
        ("logit_bias", [{3: 101}, {3: -100.1}, {3: float("nan")}, {3: None}, {3: "5"}, {3: True}, {4: 1, 5: 1e9}]),
    ],
)
def test_an_option_out_of_range_is_refused_by_its_name(name, values):
    for value in values:
        with pytest.raises(OptionError, match=f"^{name} is ") as caught:
            GenerationOptions(**{name: value})
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("token", [-1, "3", 1.0, True, None])
def test_a_bias_is_of_the_id_of_a_token(token):
    with pytest.raises(OptionError, match=r"^logit_bias names tokens by their ids"):
        GenerationOptions(logit_bias={2: 0.5, token: 1.0})


def test_texts_that_end_an_answer_are_not_books():
    GenerationOptions(stop=["a" * 50_000, "b" * 50_000])
    with pytest.raises(OptionError, match=r"^stop has more than 100000 characters"):
        GenerationOptions(stop=["a" * 50_000, "b" * 50_001])


def test_options_at_the_ends_of_their_ranges_are_taken():
    GenerationOptions(
        max_tokens=1, temperature=0, top_p=1, seed=2**64 - 1, top_k=0, repetition_penalty=100, min_p=1, stop=["a"]
    )


def test_a_template_is_told_of_thinking_only_where_it_was_chosen():
    assert GenerationOptions().template_variables == {}
    told = GenerationOptions(enable_thinking=False, reasoning_effort="low").template_variables
    off = {"enable_thinking": False, "thinking": False, "thinking_budget": 0}
    assert told == off | {"reasoning_effort": "low", "thinking_effort": "low"}
    assert GenerationOptions(enable_thinking=True).template_variables == {"enable_thinking": True, "thinking": True}


WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}


def test_only_a_tool_that_is_described_can_be_asked_for():
    options = GenerationOptions(tools=(WEATHER,), tool_choice="required", allowed_tools=("get_weather",))
    assert options.tool_choice is ToolChoice.REQUIRED
    with pytest.raises(OptionError, match="no tool 'get_time' among"):
        GenerationOptions(tools=(WEATHER,), allowed_tools=("get_time",))
    with pytest.raises(OptionError, match="none was described"):
        GenerationOptions(tool_choice="required")


def test_a_template_is_told_what_it_is_to_be_told_and_no_more():
    told = GenerationOptions(enable_thinking=True, chat_template_kwargs={"enable_thinking": False, "day": "Monday"})
    assert told.template_variables == {"enable_thinking": False, "thinking": True, "day": "Monday"}
    for name in ("messages", "tools", "add_generation_prompt", "most", "cancelled", "self"):
        with pytest.raises(OptionError, match=f"chat_template_kwargs cannot have {name}"):
            GenerationOptions(chat_template_kwargs={name: []})
