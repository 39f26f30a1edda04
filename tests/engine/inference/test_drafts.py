"""Drafts: what is proposed, and what becomes known of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.inference.drafts import MAX_MATCH, Drafts, PromptLookup
from engine.inference.pace import MAX_DRAFTS


def looked_up(known, count=4):
    lookup = PromptLookup()
    kind = lookup.kind_after(known)
    return None if kind is None else (kind, lookup.draft(known, count))


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ([1, 2, 3, 4, 5, 6, 1, 2], (2, [3, 4, 5, 6])),
        ([1, 2, 3, 9, 7, 1, 2, 8, 9, 1, 2], (2, [8, 9, 1, 2])),  # of two places the later one
        ([0, 1, 2, 3, 9, 7, 1, 2, 8, 9, 0, 1, 2], (3, [3, 9, 7, 1])),  # but the one with more before it
        ([5, 5, 5], (2, [5, 5, 5, 5])),
        ([7, 1, 2, 1, 2], (2, [1, 2, 1, 2])),  # in a circle
        ([1, 2, 3], None),
        ([1], None),
        ([], None),
    ],
)
def test_what_followed_the_last_tokens_before(known, found):
    assert looked_up(known) == found


@given(st.lists(st.integers(0, 3), max_size=60))
def test_a_lookup_that_grows_with_the_text_finds_what_a_search_does(text):
    lookup = PromptLookup()
    for end in range(len(text) + 1):
        known = text[:end]
        kind = lookup.kind_after(known)
        assert kind == longest_match(known)
        if kind:
            drafts = lookup.draft(known, 5)
            places = [p for p in range(1, end) if known[max(0, p - kind) : p] == known[-kind:]]
            assert any(drafts == [(known + drafts)[p + i] for i in range(5)] for p in places)


def longest_match(known):
    """The most tokens before any of the latest places after the same two that are the same, else None."""
    places = [p for p in range(2, len(known)) if known[p - 2 : p] == known[-2:]][-16:]
    lengths = [max(n for n in range(2, MAX_MATCH + 1) if n <= p and known[p - n : p] == known[-n:]) for p in places]
    return max(lengths, default=None)


def test_another_answer_begins_with_nothing_known():
    lookup = PromptLookup()
    assert lookup.kind_after([1, 2, 3, 1, 2]) == 2
    lookup.begin()
    assert lookup.kind_after([1, 2]) is None


class Counting:
    """Drafts of tokens that count on, each of which takes some time to be made."""

    def __init__(self, drafting_s=0.0, kind="counting", step=1):
        self.drafting_s, self._kind, self._step = drafting_s, kind, step

    name = "counting"
    room_share = 0.0

    def begin(self, answer):
        pass

    def catching_up_s(self, known):
        return 0.0

    def kind_after(self, known):
        return self._kind

    def draft(self, known, count):
        return [known[-1] + self._step + i for i in range(count)]


def known_to_pay(drafts):
    drafts.after([0], 0)
    for tokens in (1, *range(1, MAX_DRAFTS + 2)):
        drafts.verified(tokens, list(range(1, tokens + 1)), 1 + 0.2 * tokens, 0.0)


def test_the_first_drafter_that_has_something_is_asked():
    drafts = Drafts([Counting(kind=None), Counting()])
    known_to_pay(drafts)
    assert list(drafts.after([5], 2)) == [6, 7]
    assert list(Drafts([]).after([5], 2)) == []


def test_drafts_that_cost_nothing_are_compared_even_where_none_is_verified():
    drafts = Drafts([Counting()])
    known_to_pay(drafts)
    for _ in range(50):
        drafts.after([1], 0)
        drafts.verified(1, [9], 1.2, 0.0)
    assert list(drafts.after([1], 4)) == []
    for _ in range(50):
        drafts.after([1], 0)
        drafts.verified(1, [2], 1.2, 0.0)
    assert drafts.after([1], 4)


class Slow(Counting):
    """The same, by a drafter of another name that has much to take in first."""

    name = "slow"

    def __init__(self, drafting_s=0.01, catching_up_s=0.0):
        super().__init__(drafting_s)
        self._catching_up_s, self.caught_up = catching_up_s, []

    def catching_up_s(self, known):
        return 0.0 if self.caught_up else self._catching_up_s

    def catch_up(self, known):
        self.caught_up.append(len(known))


@pytest.mark.parametrize(("text_is_right", "source"), [(True, "counting"), (False, "slow")])
def test_the_drafter_is_asked_that_brings_most_by_what_was_measured(text_is_right, source):
    """A drafter that costs nothing is judged whoever is asked."""
    drafts = Drafts([Counting(step=1 if text_is_right else 2), Slow()])
    known_to_pay(drafts)
    for _ in range(60):
        passed = 1 + len(drafts.after([5], 3))
        decided = [6, 7, 8, 9][:passed] if text_is_right == (drafts.source == "counting") or passed == 1 else [6]
        drafts.verified(passed, decided, 1 + 0.2 * passed, 0.0)
    drafts.after([5], 3)
    assert drafts.source == source


def test_what_is_to_be_taken_in_first_must_be_little_beside_what_is_to_come():
    quick, slow = Slow(catching_up_s=1.0), Slow(catching_up_s=100.0)
    for drafter, asked in ((quick, True), (slow, False)):
        drafts = Drafts([drafter])
        known_to_pay(drafts)
        assert bool(drafts.after([5], 100)) == asked
        assert drafter.caught_up == ([1] if asked else [])
    drafts = Drafts([Slow(catching_up_s=1.0)])
    known_to_pay(drafts)
    assert not drafts.after([5], 3)  # an answer that ends soon


def test_a_slow_drafter_makes_no_draft_that_is_not_verified():
    slow = Slow(drafting_s=10.0)
    drafts = Drafts([slow])
    known_to_pay(drafts)
    assert list(drafts.after([5], 4)) == []


def test_a_drafter_that_holds_memory_pays_until_what_that_costs_was_lost():
    """A tenth of what a pass reads, of passes that only wait for flash."""
    text, model = Counting(), Slow(drafting_s=10.0)
    model.room_share = 0.1
    drafts = Drafts([text, model])
    for _ in range(2):
        drafts.verified(1, [0], 1.0, 0.0, 1.0)
    assert drafts.pays(model)
    for _ in range(10):
        drafts.after([5], 0)
        drafts.verified(1, [9], 1.0, 0.0, 1.0)
    assert not drafts.pays(model)
    assert drafts.pays(text)  # which holds none


def test_memory_that_no_pass_waits_for_costs_nothing():
    model = Slow(drafting_s=10.0)
    model.room_share = 0.1
    drafts = Drafts([model])
    for _ in range(200):
        drafts.verified(1, [9], 1.0, 0.0, 0.001)
    assert drafts.pays(model)
