"""Overlap is kept where it is found to be faster."""

import pytest

from engine.overlap import EVERY, Overlap


def run(overlap: Overlap, tokens: int, seconds: dict[bool, float]) -> list[bool]:
    chosen = []
    for _ in range(tokens):
        overlap.begin()
        overlap.end(seconds[overlap.active])
        chosen.append(overlap.active)
    return chosen


@pytest.mark.parametrize("faster", [True, False])
def test_the_faster_way_is_chosen_and_the_other_tried_again_now_and_then(faster):
    overlap = Overlap(True)
    chosen = run(overlap, 3 * EVERY, {faster: 1.0, not faster: 1.5})[8:]
    assert chosen.count(not faster) == 3


def test_a_drive_that_becomes_slow_is_noticed():
    overlap = Overlap(True)
    assert run(overlap, 20, {True: 1.5, False: 1.0})[-1] is False
    assert run(overlap, 3 * EVERY, {True: 1.5, False: 9.0})[-1] is True


def test_what_is_not_wanted_is_not_tried():
    assert run(Overlap(False), 30, {False: 1.0}) == [False] * 30
