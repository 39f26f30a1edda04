import pytest

from app.chat.message import receipt
from engine.statistics import Summary, means
from tests.app.fake_engine import token_statistics

COST = {"bytes_read": 201e6, "hit_rate": 0.96}


def text(summary, selection="predictor"):
    return receipt(summary, selection).replace("\u00a0", " ")


def summary(**changes):
    fields = {"tokens": [1] * 12, "tokens_per_second": 3.31, "time_to_first_token_s": 1.8, "per_token": COST}
    return Summary(**{**fields, "finish_reason": "stop", **changes})


def test_receipt():
    assert text(summary()) == "3.3 tok/s · first token 1.8 s · 201 MB from flash a token · 96 % hits · predicted"


def test_receipt_says_how_neurons_were_selected():
    assert text(summary(), "exact").endswith("exact")
    assert text(summary(), "dense").endswith("all neurons")


@pytest.mark.parametrize(
    ("reason", "words"),
    [("cancelled", "stopped"), ("length", "cut off after 12 tokens"), ("context", "cut off, the context is full")],
)
def test_receipt_says_why_an_answer_is_not_complete(reason, words):
    assert text(summary(finish_reason=reason)).endswith(f" · {words}")


def test_receipt_says_that_the_window_did_not_fit():
    assert text(summary(left_early=12)).endswith("the window did not fit the neuron pool")


def test_receipt_leaves_out_what_was_not_measured():
    one_token = summary(tokens=[1], tokens_per_second=0.0, per_token={})
    assert text(one_token) == "first token 1.8 s"
    assert text(Summary(finish_reason="cancelled")) == "stopped"


def test_receipt_takes_the_engine_s_own_means():
    cost = means([token_statistics(1), token_statistics(2)])
    assert "from flash a token" in text(summary(per_token=cost))
