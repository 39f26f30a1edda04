"""The number of drafts that a pass is given."""

import pytest

from engine.inference.pace import FORGOTTEN_PASSES, MAX_DRAFTS, Pace

KIND = "draft"


def measured(seconds, **changes):
    """A pace that has seen passes take `seconds(tokens)`, which decided as many tokens as they were given."""
    pace = Pace(**changes)
    for tokens in range(1, MAX_DRAFTS + 2):
        pace.took(tokens, seconds(tokens), tokens)
    return pace


def right(pace, share, times=200):
    for i in range(times):
        pace.judge(KIND, int(i * share) < int((i + 1) * share), 1)


def test_nothing_is_drafted_before_it_is_known_what_a_token_takes():
    assert Pace().tokens_of(KIND, MAX_DRAFTS) == 0


def test_a_pass_that_takes_the_same_for_any_tokens_is_given_all_that_are_right():
    pace = measured(lambda _: 1.0)
    right(pace, 1.0)
    assert pace.tokens_of(KIND, MAX_DRAFTS) == MAX_DRAFTS
    assert pace.tokens_of(KIND, 3) == 3


@pytest.mark.parametrize("share", [0.9, 0.5])
def test_a_pass_that_takes_as_much_as_its_tokens_alone_is_given_none(share):
    pace = measured(float)
    right(pace, share)
    assert pace.tokens_of(KIND, MAX_DRAFTS) == 0


def test_the_number_is_the_one_with_most_tokens_a_second():
    def seconds(tokens):
        return max(1.0, 0.25 * tokens)

    pace = measured(seconds)
    right(pace, 0.8)
    best = max(range(MAX_DRAFTS + 1), key=lambda n: sum(0.8**i for i in range(n + 1)) / seconds(n + 1))
    assert pace.tokens_of(KIND, MAX_DRAFTS) == best == 3


def test_drafts_that_are_seldom_right_are_given_up_and_taken_up_once_they_are():
    pace = measured(lambda tokens: 1 + 0.2 * tokens)
    right(pace, 0.0)
    assert pace.tokens_of(KIND, MAX_DRAFTS) == 0
    assert pace.tokens_of("another kind", MAX_DRAFTS) > 0
    right(pace, 1.0)
    assert pace.tokens_of(KIND, MAX_DRAFTS) > 0


def test_the_time_that_drafting_takes_counts():
    pace = measured(lambda _: 1.0)
    right(pace, 0.7)
    assert pace.tokens_of(KIND, MAX_DRAFTS, 0.1) < pace.tokens_of(KIND, MAX_DRAFTS)
    assert pace.tokens_of(KIND, MAX_DRAFTS, 1.0) == 0


def test_tokens_that_have_to_be_computed_again_count():
    once, again = (measured(lambda tokens: 1 + 0.02 * tokens, rolls_back=rolls_back) for rolls_back in (False, True))
    for pace in (once, again):
        right(pace, 0.6)
    assert 0 < again.tokens_of(KIND, MAX_DRAFTS) <= once.tokens_of(KIND, MAX_DRAFTS)
    right(again, 0.0)
    assert again.tokens_of(KIND, MAX_DRAFTS) == 0


def test_what_was_not_tried_lies_between_or_goes_on_as_it_was():
    pace = Pace()
    pace.took(1, 1.0, 1)
    pace.took(4, 1.6, 4)
    assert pace.seconds_of(3) == pytest.approx(1.4)
    assert pace.seconds_of(6) == pytest.approx(2.0)


def test_one_pass_that_something_else_held_up_does_not_decide():
    pace = measured(lambda _: 1.0)
    pace.took(4, 1.0, 4)
    pace.took(4, 50.0, 4)
    assert pace.seconds_of(4) == 1.0


def test_whatever_comes_drafts_lose_little():
    """Passes that always disappoint: twice the time of one, and drafts that are never right though others were."""
    pace, plain, taken, decided = Pace(), 1.0, 0.0, 0
    for turn in range(2000):
        drafts = pace.tokens_of(turn, MAX_DRAFTS)  # a kind of which nothing is known yet
        seconds = plain if drafts == 0 else 2 * plain
        pace.took(1 + drafts, seconds, 1)
        taken, decided = taken + seconds, decided + 1
    assert decided / taken > 0.97 / plain


def test_what_several_tokens_take_is_tried_again_after_a_while():
    pace = measured(lambda tokens: 1.0 if tokens == 1 else 0.9 * tokens)
    right(pace, 0.6)
    assert pace.tokens_of(KIND, MAX_DRAFTS) == 0
    for _ in range(FORGOTTEN_PASSES):
        pace.took(1, 1.0, 1)
    assert pace.tokens_of(KIND, MAX_DRAFTS) > 0


def test_a_pass_of_several_tokens_may_be_the_first():
    """Tokens that a grammar forces are computed together before any was alone."""
    pace = Pace()
    pace.took(4, 1.0, 4)
    assert pace.tokens_of(KIND, MAX_DRAFTS) == 0
    pace.took(1, 1.0, 1)
    right(pace, 1.0)
    assert pace.tokens_of(KIND, MAX_DRAFTS) == MAX_DRAFTS


def test_the_gain_is_the_times_as_many_tokens_a_second():
    pace = measured(lambda _: 1.0)
    right(pace, 1.0)
    drafts, gain = pace.best(KIND, 3)
    assert (drafts, round(gain)) == (3, 4)
    assert pace.best(KIND, 3, drafting_s=10.0) == (0, 1.0)


def test_what_is_done_once_may_take_a_part_of_what_is_to_come():
    pace = measured(lambda _: 1.0)
    assert pace.allows(0.0, KIND, 1.0, 0)
    assert pace.allows(1.0, KIND, 2.0, 100)
    assert not pace.allows(1.0, KIND, 2.0, 10)
    assert not pace.allows(100.0, KIND, 2.0, 10_000)  # answers are seldom so long


def test_it_may_take_half_of_what_is_saved_once_that_is_known():
    pace = measured(lambda _: 1.0)
    right(pace, 1.0)
    assert pace.allows(24.0, KIND, 2.0, 100)
    assert not pace.allows(26.0, KIND, 2.0, 100)
    assert not pace.allows(2.0, KIND, 1.02, 100)
