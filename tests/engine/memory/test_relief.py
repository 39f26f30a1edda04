"""Memory that was given to a system that is short of it comes back once it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.memory.relief import CALM_S, STEP_SHARE, Relief


def test_pressure_takes_steps_and_calm_gives_them_back():
    relief = Relief()
    relief.give()
    relief.give()
    assert relief.share == 1 - 2 * STEP_SHARE
    relief.give_half()
    assert relief.share == pytest.approx((1 - 2 * STEP_SHARE) / 2 - STEP_SHARE)
    for second in range(int(CALM_S)):
        relief.take(100.0 + second)
        assert relief.share < 0.5, "not at once: the system may be short again"
    for second in range(20):
        relief.take(100.0 + CALM_S + second)
    assert relief.share == 1.0


def test_pressure_that_comes_again_is_waited_out_again():
    relief = Relief()
    relief.give()
    relief.take(0.0)
    relief.give()
    relief.take(CALM_S)
    assert relief.share == 1 - 2 * STEP_SHARE
    relief.take(2 * CALM_S)
    assert relief.share == 1 - STEP_SHARE


@given(st.lists(st.sampled_from(["give", "half", "take"]), max_size=60))
def test_a_share_stays_one(steps):
    relief = Relief()
    for now, step in enumerate(steps):
        before = relief.share
        if step == "take":
            relief.take(float(now))
            assert before <= relief.share <= 1
        else:
            (relief.give if step == "give" else relief.give_half)()
            assert 0 <= relief.share <= before
