"""From scores to the next token."""

import json
import math
from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest

from engine.errors import OptionError
from engine.inference.sampling import Sampling, advised_sampling, check_bias, chosen, sampler
from engine.settings import NEUTRAL_SAMPLING, OUR_SAMPLING, GenerationOptions

SCORES = [1.0, 3.0, 2.5, -1.0, 9.0]


def sampled(options, before=(), ids=range(4), times=60):
    how = chosen(GenerationOptions(**options), Sampling(**OUR_SAMPLING))
    return {sampler(how, len(SCORES), frozenset(ids), i)(mx.array([SCORES]), list(before)) for i in range(times)}


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


def test_only_so_many_of_the_last_tokens_are_penalised():
    before = [1, 0, 0]
    for count, token in ((3, 2), (2, 1), (0, 1)):
        assert sampled({"temperature": 0, "presence_penalty": 1.0, "penalised_tokens": count}, before) == {token}


@pytest.mark.parametrize(
    ("bias", "tokens"),
    [
        ({1: -1.0}, {2}),
        ({0: 2.5, 1: 0.4}, {0}),
        ({1: -100}, {2}),
        ({1: -100, 2: -100}, {0}),
        ({0: -100, 1: -100, 2: -100, 3: -100}, {1}),
        ({3: 100}, {3}),
        ({3: 100, 4: 100}, {3}),
    ],
)
def test_biases_are_added_to_scores(bias, tokens):
    """Of tokens that stand for something; where all are forbidden, they are as likely as they were."""
    assert sampled({"temperature": 0, "logit_bias": bias}) == tokens
    assert sampled({"temperature": 1.0, "top_p": 0.3, "logit_bias": bias}) == tokens


def test_a_token_that_is_forbidden_never_comes():
    biased = {"temperature": 100.0, "top_p": 1.0, "logit_bias": {1: -100}}
    assert sampled(biased, times=400) == {0, 2, 3}
    assert sampled(biased | {"logit_bias": {1: 100, 2: 100}, "temperature": 3.0}, times=100) == {1, 2}


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32])
def test_of_tokens_with_the_greatest_bias_the_likelier_is_the_likelier(dtype):
    how = replace(FLAT, temperature=0.0, logit_bias={1: 100, 2: 100})
    for scores, token in (([0.0, 0.5, 0.25], 1), ([0.0, 0.25, 0.5], 2)):
        assert sampler(how, 3, range(3))(mx.array([scores], dtype), []) == token


def test_a_bias_has_the_last_word_after_penalties():
    options = {"temperature": 0, "repetition_penalty": 100.0, "logit_bias": {2: 100}}
    assert sampled(options, [2, 2, 2]) == {2}


def test_a_bias_of_a_token_that_there_is_not_is_refused():
    check_bias({0: 1.0, 3: 2.0}, range(4))
    with pytest.raises(OptionError, match=r"^logit_bias names token 4, and this model has none"):
        check_bias({0: 1.0, 4: 2.0}, range(4))


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


FLAT = Sampling(**NEUTRAL_SAMPLING)


def drawn(seed, places, scores=(0.0,) * 50):
    sample = sampler(FLAT, len(scores), range(len(scores)), seed)
    return [sample(mx.array([scores]), [0] * place) for place in places]


def test_a_place_of_a_text_is_drawn_alike_each_time_and_places_and_seeds_are_not():
    there, back = drawn(3, range(40)), drawn(3, reversed(range(40)))
    assert there == back[::-1]
    assert there != drawn(4, range(40)) != drawn(3, range(1, 41))
    assert drawn(None, range(40)) != drawn(None, range(40))


def test_other_scores_draw_the_same_as_often_as_they_can():
    """At least (1 - d) / (1 + d) of the times, where d is how far the distributions are apart; 1 - d at most."""
    first, second = (mx.random.normal((50,), key=mx.random.key(i)).tolist() for i in (1, 2))
    one, other = (np.array(mx.softmax(mx.array(scores))) for scores in (first, second))
    apart, times = 0.5 * np.abs(one - other).sum(), 2000
    pairs = zip(drawn(5, range(times), first), drawn(5, range(times), second), strict=True)
    share = sum(a == b for a, b in pairs) / times
    spread = 3.3 * (share * (1 - share) / times) ** 0.5
    assert (1 - apart) / (1 + apart) - spread <= share <= 1 - apart + spread


def test_what_is_drawn_has_the_distribution_of_the_scores():
    scores, times = (1.0, 0.0, 2.0, -1.0, 0.5), 4000
    expected = times * np.array(mx.softmax(mx.array(scores)))
    found = np.bincount(drawn(9, range(times), scores), minlength=5)
    assert ((found - expected) ** 2 / expected).sum() < 18.5  # the 99.9th percentile of 4 degrees of freedom
