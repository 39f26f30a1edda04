"""The number of drafts that a pass is given, and what they may lose."""

from random import Random
from statistics import median

import pytest

from engine.inference.pace import FIRST_PASSES, FORGOTTEN_PASSES, KNOWN_PASSES, MAX_DRAFTS, Pace

KIND = "draft"
ROOM_SHARE = 0.06  # of a pass, that it takes longer while a draft model holds memory


def measured(seconds, **changes):
    """A pace that has seen passes take `seconds(tokens)`, which decided as many tokens as they were given."""
    pace = Pace(**changes)
    for tokens in (*[1] * FIRST_PASSES, *range(2, MAX_DRAFTS + 2)):
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


class Chat:
    """Answers of 48 tokens with a draft model that is held as long as it pays, in made time: by itself a pass of one
    token takes a second, more or less; each more, and each draft, a part of that."""

    def __init__(self, seed, token_s=0.1, drafting_s=0.08, loading_s=0.5):
        self._pace, self._random, self._token_s, self._drafting_s = Pace(), Random(seed), token_s, drafting_s
        self._loading_s, self.loads = loading_s, 1
        self.has_draft_model = True

    def times(self, share):
        """As many tokens a second as without, of an answer whose drafts are right so often."""
        self._pace.begin()
        said, seconds = 0, self._come_again()
        while said < 48:
            decided, took = self._passed(share, 47 - said)
            said, seconds = said + decided, seconds + took
        return 48 / seconds

    def _come_again(self):
        """The seconds that it takes, where it does."""
        if self.has_draft_model or not self._pace.allows_again(self._loading_s):
            return 0.0
        self._pace.forget(lambda kind: kind == KIND)
        self._pace.did_once(self._loading_s)
        self.has_draft_model, self.loads = True, self.loads + 1
        return self._loading_s

    def _passed(self, share, most):
        pace, random = self._pace, self._random
        count = pace.tokens_of(KIND, most, self._drafting_s) if self.has_draft_model else 0
        right = next((i for i in range(count) if random.random() >= share), count)
        seconds = (1 + self._token_s * count) * random.uniform(0.9, 1.1)
        room_s = seconds * ROOM_SHARE if self.has_draft_model else 0.0
        pace.judge(KIND, right, min(right + 1, count))
        pace.took(1 + count, seconds + room_s, 1 + right, count * self._drafting_s, room_s)
        self.has_draft_model = self.has_draft_model and not pace.is_overdrawn
        return 1 + right, seconds + room_s + count * self._drafting_s


@pytest.mark.parametrize("token_s", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.3, 0.5, 0.7])
def test_however_often_drafts_are_right_an_answer_is_nearly_as_fast_as_without(share, token_s):
    chats = [Chat(seed, token_s) for seed in range(60)]
    first, *others = ([chat.times(share) for chat in chats] for _ in range(4))
    assert median(first) > 0.97
    assert min(first) > 0.85  # the drafts of some are wrong more often
    assert all(median(times) > 0.97 for times in others)


@pytest.mark.parametrize("loading_s", [0.1, 2.0])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.3])
def test_a_draft_model_that_comes_again_and_again_costs_little(share, loading_s):
    """Two hundred answers, of none of which it is right often enough."""
    for seed in range(5):
        chat = Chat(seed, token_s=0.2, loading_s=loading_s)
        times = [chat.times(share) for _ in range(200)]
        assert len(times) / sum(1 / each for each in times) > 0.97
        assert chat.loads > 2


def test_a_draft_model_that_was_wrong_comes_again_for_what_it_is_right_about():
    for seed in range(20):
        chat = Chat(seed, token_s=0.05, drafting_s=0.03)
        for _ in range(3):
            chat.times(0.0)
        later = [chat.times(0.9) for _ in range(12)]
        assert max(later) > 1.5
        assert chat.has_draft_model


def test_what_would_take_long_does_not_come_again():
    pace = measured(lambda _: 1.0)
    assert pace.allows_again(2.5)
    assert not pace.allows_again(2.6)  # a fiftieth of what 128 tokens take
    pace.did_once(2.5)
    assert not pace.allows_again(0.1)  # before that is repaid
    for _ in range(300):
        pace.took(1, 1.0, 1)
    assert pace.allows_again(0.1)
    for _ in range(10):
        pace.took(1, 1.0, 1, room_s=0.5)
    assert not pace.allows_again(0.1)  # as all that drafts might lose is lost


def test_before_any_pass_it_comes_as_at_first():
    assert Pace().allows_again(1e3)


def test_drafts_that_are_mostly_right_are_kept_and_pay():
    chats = [Chat(seed) for seed in range(60)]
    times = [chat.times(0.7) for chat in chats for _ in range(4)]
    assert median(times) > 1.35
    assert sum(chat.has_draft_model for chat in chats) > 0.7 * len(chats)


def test_what_was_won_by_one_answer_is_not_lost_by_the_next():
    chats = [Chat(seed) for seed in range(60)]
    for chat in chats:
        for _ in range(3):
            chat.times(0.9)
    assert median(chat.times(0.0) for chat in chats) > 0.96


def test_no_more_is_risked_than_there_is():
    pace = Pace()
    for _ in range(FIRST_PASSES):
        pace.took(1, 1.0, 1)
    assert pace.tokens_of(KIND, MAX_DRAFTS) == 1
    assert pace.tokens_of(KIND, MAX_DRAFTS, drafting_s=0.05) == 1
    right(pace, 1.0)
    assert pace.tokens_of(KIND, MAX_DRAFTS, drafting_s=0.9) == 0
    assert pace.tokens_of(KIND, MAX_DRAFTS) == 1
    for _ in range(4):
        pace.took(2, 1.1, 2)
    assert pace.tokens_of(KIND, MAX_DRAFTS) > 5


def test_what_a_token_takes_alone_is_looked_at_again_however_much_drafts_bring():
    pace = measured(lambda _: 1.0)
    right(pace, 1.0)
    for _ in range(KNOWN_PASSES):
        pace.took(4, 1.0, 4)
    assert pace.tokens_of(KIND, MAX_DRAFTS) == 0
    pace.took(1, 1.0, 1)
    assert pace.tokens_of(KIND, MAX_DRAFTS) == MAX_DRAFTS


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
    for _ in range(FIRST_PASSES):
        pace.took(1, 1.0, 1)
    right(pace, 1.0)
    assert pace.tokens_of(KIND, MAX_DRAFTS) == MAX_DRAFTS


def test_the_gain_is_the_times_as_many_tokens_a_second():
    pace = measured(lambda _: 1.0)
    right(pace, 1.0)
    drafts, gain = pace.best(KIND, 3)
    assert drafts == 3
    assert gain == pytest.approx(3.4, abs=0.1)  # nine of ten are right, as far as is known
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
