"""Each way of overlapping is tried, and the fastest kept."""

from math import exp
from random import Random

import pytest

from engine.streaming.overlap import RETRY_TOKENS, TRIES_PER_WAY, Overlap, Way

TRIED = TRIES_PER_WAY * len(Way)


def run(overlap: Overlap, tokens: int, seconds: dict[Way, float]) -> list[Way]:
    chosen = []
    for _ in range(tokens):
        overlap.begin()
        overlap.end(seconds[overlap.way])
        chosen.append(overlap.way)
    return chosen


@pytest.mark.parametrize("fastest", list(Way))
def test_the_fastest_way_is_chosen_and_the_others_tried_again_now_and_then(fastest):
    chosen = run(Overlap(True), 4 * RETRY_TOKENS + 1, {way: 1.0 if way is fastest else 1.5 for way in Way})
    assert all(chosen[:TRIED].count(way) == TRIES_PER_WAY for way in Way)
    others = [way for way in chosen[TRIED:] if way is not fastest]
    assert len(others) == 4
    assert set(others) == set(Way) - {fastest}


def test_a_drive_that_becomes_slow_is_noticed():
    overlap = Overlap(True)
    assert run(overlap, 20, {Way.NONE: 1.0, Way.AHEAD: 1.5, Way.BESIDE: 2.0, Way.BOTH: 2.0})[-1] is Way.NONE
    assert (
        run(overlap, 6 * RETRY_TOKENS, {Way.NONE: 9.0, Way.AHEAD: 1.5, Way.BESIDE: 2.0, Way.BOTH: 2.0})[-2] is Way.AHEAD
    )


@pytest.mark.parametrize("slower", [0.4, 2.0, 5.0])
def test_what_makes_every_way_slower_decides_nothing(slower):
    """As a subject that changes, of which more has to be read, or a drive in a slow minute."""
    overlap, seconds = Overlap(True), {Way.NONE: 1.4, Way.AHEAD: 1.2, Way.BESIDE: 1.0, Way.BOTH: 1.1}
    assert run(overlap, TRIED + 3, seconds)[-1] is Way.BESIDE
    chosen = run(overlap, 10 * RETRY_TOKENS, {way: slower * each for way, each in seconds.items()})
    assert chosen.count(Way.BESIDE) >= 10 * RETRY_TOKENS - 12  # ten tries, and two to be sure


@pytest.mark.parametrize("fastest", list(Way))
def test_times_that_differ_more_than_the_ways_do_cost_little(fastest):
    """Tokens vary by a tenth, and by a fifth from second to second: of what the fastest way would have taken."""
    spent = best = 0.0
    for seed in range(40):
        random, overlap, level = Random(seed), Overlap(True), 0.0
        for token in range(160):
            level = 0.97 * level + random.gauss(0, 0.04)
            overlap.begin()
            share = 1.0 if overlap.way is fastest else 1.1 + 0.1 * overlap.way.value
            overlap.end(share * exp(level + random.gauss(0, 0.1)))
            spent, best = spent + share * (token >= TRIED), best + (token >= TRIED)
    assert spent < 1.045 * best


def test_tokens_that_something_else_held_up_do_not_decide():
    overlap = Overlap(True)
    seconds = {Way.NONE: 1.0, Way.AHEAD: 1.1, Way.BESIDE: 1.2, Way.BOTH: 1.2}
    for token in range(TRIED + 1):
        overlap.begin()
        overlap.end(seconds[overlap.way] + 8 * (token == 0))
    assert overlap.way is Way.NONE


def test_a_way_that_never_came_to_its_end_is_tried():
    overlap = Overlap(True)
    for _ in range(TRIED):
        overlap.begin()
        if overlap.way is not Way.BOTH:
            overlap.end(1.0)
    overlap.begin()
    assert overlap.way is Way.BOTH


def test_what_is_not_wanted_is_not_tried():
    assert run(Overlap(False), 30, {Way.NONE: 1.0}) == [Way.NONE] * 30


def test_each_way_does_what_it_is_called():
    overlap = Overlap(True)
    seen = {}
    for _ in range(TRIED):
        overlap.begin()
        seen[overlap.way] = (overlap.ahead, overlap.beside)
        overlap.end(1.0)
    assert seen == {
        Way.NONE: (False, False),
        Way.AHEAD: (True, False),
        Way.BESIDE: (False, True),
        Way.BOTH: (True, True),
    }


def test_it_is_said_which_way_is_the_fastest_once_each_was_tried():
    overlap = Overlap(True)
    run(overlap, TRIED - 1, seconds := {Way.NONE: 2.0, Way.AHEAD: 1.0, Way.BESIDE: 2.0, Way.BOTH: 3.0})
    assert overlap.found is None
    run(overlap, RETRY_TOKENS, seconds)
    assert overlap.found is Way.AHEAD
    run(unwanted := Overlap(), 2 * TRIED, seconds)
    assert unwanted.found is None
