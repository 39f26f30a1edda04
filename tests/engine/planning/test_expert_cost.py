"""The cost of a token whose experts stay on flash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.planning.expert_cost import FINEST, ExpertLayer, ModelCost, expected_hits, hit_rate, predict_experts
from tests.engine.planning.test_cost import profile

QWEN = [ExpertLayer(count=256, bytes=1_769_472, reads=9, chosen=8)] * 40  # Qwen3.5-35B-A3B in 4 bits


@pytest.mark.parametrize(("share", "published"), [(0.06, 0.56), (0.25, 0.74), (0.35, 0.84), (0.47, 0.92), (1.0, 1.0)])
def test_hits_are_those_that_were_published(share, published):
    assert hit_rate(share) == pytest.approx(published)


shares = st.floats(0, 1)


@given(shares, shares, st.floats(0.01, 1))
def test_more_in_memory_never_misses_more(share, other, chosen):
    low, high = sorted((share, other))
    assert 0 <= hit_rate(low, chosen) <= hit_rate(high, chosen) <= 1


@given(st.floats(FINEST, 0.9))
def test_room_for_just_a_token_is_as_good_for_few_experts_as_for_many(chosen):
    assert hit_rate(chosen, chosen) == pytest.approx(hit_rate(FINEST))


def test_bytes_read_are_the_misses():
    slots = [64] * 40
    expected = predict_experts(ModelCost(QWEN, 10**9), profile(), slots, 6 * 10**9, 10**9, 1)
    missed = 40 * 8 * (1 - hit_rate(0.25))
    assert expected.bytes_read == pytest.approx(missed * 1_769_472)
    assert expected.reads == pytest.approx(9 * missed)
    assert expected.hit_rate == pytest.approx(0.74) == expected_hits(QWEN, slots)
    assert expected.io_ms == pytest.approx(1e3 * profile().seconds(expected.reads, 1_769_472 / 9, 40))


def test_nothing_is_read_where_all_have_a_slot():
    expected = predict_experts(ModelCost(QWEN, 10**9), profile(), [256] * 40, 30 * 10**9, 10**9, 1)
    assert (expected.bytes_read, expected.io_ms, expected.hit_rate, expected.fits) == (0, 0, 1, True)


def test_fewer_slots_than_a_token_needs_do_not_fit():
    assert not predict_experts(ModelCost(QWEN, 10**9), profile(), [7] * 40, 10**9, 10**9, 1).fits


def test_a_model_without_experts_is_all_in_memory():
    expected = predict_experts(ModelCost([], 10**9), profile(), [], 10**9, 10**9, 1)
    assert expected.hit_rate == 1
    assert expected.compute_ms > 0
