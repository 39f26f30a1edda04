"""From scores to the next token."""

import json
import math
from dataclasses import replace

import mlx.core as mx
import pytest

from engine.inference.sampling import Sampling, advised_sampling, chosen, sampler
from engine.settings import NEUTRAL_SAMPLING, OUR_SAMPLING, GenerationOptions

SCORES = [1.0, 3.0, 2.5, -1.0, 9.0]


def sampled(options, before=(), ids=range(4), times=60):
    mx.random.seed(7)
    sample = sampler(chosen(GenerationOptions(**options), Sampling(**OUR_SAMPLING)), len(SCORES), frozenset(ids))
    return {sample(mx.array([SCORES]), list(before)) for _ in range(times)}


def test_rows_without_a_token_are_never_sampled():
    assert sampled({"temperature": 0}) == {1}
    assert 4 not in sampled({"temperature": 5.0, "top_p": 1.0}, times=300)
    assert sampled({"temperature": 0}, ids=range(5)) == {4}


@pytest.mark.parametrize("temperature", [1e-45, 1e-9, 0.0])
def test_the_lowest_temperatures_take_the_likeliest(temperature):
    assert sampled({"temperature": temperature}) == {1}


def test_min_p_leaves_what_has_a_share_of_the_likeliest():
    assert sampled({"temperature": 3.0, "top_p": 1.0, "min_p": 0.5}, times=200) <= {1, 2}
    share = math.exp(2.5 - 3.0)
    assert sampled({"temperature": 3.0, "top_p": 1.0, "min_p": share + 0.01}, times=100) == {1}


@pytest.mark.parametrize(
    ("options", "before", "token"),
    [
        ({"presence_penalty": 1.0}, [1], 2),
        ({"presence_penalty": 0.4}, [1, 1, 1], 1),
        ({"frequency_penalty": 0.4}, [1, 1, 1], 2),
        ({"repetition_penalty": 2.0}, [1], 2),
        ({"presence_penalty": -5.0}, [0], 0),
    ],
)
def test_penalties_are_taken_from_what_was_said(options, before, token):
    assert sampled({"temperature": 0} | options, before) == {token}
    assert sampled({"temperature": 0} | options) == {1}


@pytest.mark.parametrize(
    ("content", "advised"),
    [
        ({}, OUR_SAMPLING),
        ({"do_sample": False, "eos_token_id": 2}, OUR_SAMPLING),
        ({"do_sample": True}, NEUTRAL_SAMPLING),
        (
            {"temperature": 0.6, "top_p": 0.95, "top_k": 20},
            {**NEUTRAL_SAMPLING, "temperature": 0.6, "top_p": 0.95, "top_k": 20},
        ),
        ({"min_p": 0.1}, {**OUR_SAMPLING, "min_p": 0.1}),
        ({"do_sample": True, "presence_penalty": 1.5, "top_k": 64.5}, {**NEUTRAL_SAMPLING, "presence_penalty": 1.5}),
        ({"temperature": -1, "top_p": "all", "repetition_penalty": None}, OUR_SAMPLING),
    ],
)
def test_what_is_not_chosen_is_as_the_makers_advise(tmp_path, content, advised):
    (tmp_path / "generation_config.json").write_text(json.dumps(content))
    named = frozenset(name for name in OUR_SAMPLING if content.get(name) == advised[name])
    expected = Sampling(**advised, advised=named)
    assert advised_sampling(tmp_path) == expected
    assert chosen(GenerationOptions(top_p=0.5), expected) == replace(expected, top_p=0.5)


def test_without_advice_the_sampling_is_ours(tmp_path):
    assert advised_sampling(tmp_path) == Sampling(**OUR_SAMPLING)
