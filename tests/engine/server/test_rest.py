"""Rest, on a clock of the test's own."""

import math

import pytest

from engine.server.rest import Rest


class Clock:
    now = 5.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_it_lasts_the_usual_time_and_begins_anew_with_each_request(clock):
    rest = Rest(600.0, clock)
    clock.now += 599.0
    assert (rest.left_s, rest.is_over) == (1.0, False)
    rest.begin()
    clock.now += 600.0
    assert (rest.left_s, rest.is_over) == (0.0, True)
    clock.now += 1.0
    assert rest.left_s == 0.0


def test_what_a_request_says_holds_for_those_that_say_nothing(clock):
    rest = Rest(600.0, clock)
    rest.begin(30.0)
    clock.now += 10.0
    rest.begin()
    assert rest.left_s == 30.0
    rest.begin(0.0)
    assert rest.is_over


@pytest.mark.parametrize("seconds", [math.inf, 1e300, 1e12])
def test_for_good_and_as_good_as_that_is_no_number_to_wait(clock, seconds):
    rest = Rest(600.0, clock)
    rest.begin(seconds)
    assert rest.left_s is None
    assert not rest.is_over
