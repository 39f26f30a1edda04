"""Routing traces: as the published ones, in every statistic that decides how much is read."""

import numpy as np
import pytest

from engine.bench.routing import RoutingTrace, draw_routing, hit_rate, statistics


@pytest.fixture(scope="module")
def trace():
    return draw_routing(experts=128, top_k=8, layers=2, tokens=600)


def test_a_token_uses_each_expert_once(trace):
    assert trace.experts.shape == (600, 2, 8)
    assert (np.diff(trace.experts) > 0).all()
    assert trace.experts.min() >= 0
    assert trace.experts.max() < 128


def test_statistics_are_the_published_ones(trace):
    found = statistics(trace)
    assert 0.31 <= found.overlap <= 0.39
    assert 0.27 <= found.overlap_8 <= found.overlap
    assert 0.52 <= found.hits[0.125] <= 0.64
    assert 0.72 <= found.hits[0.25] <= 0.82
    assert 0.84 <= found.hits[0.5] <= 0.93


def test_many_experts_of_which_few_are_held():
    found = statistics(draw_routing(experts=256, top_k=8, layers=1, tokens=600), shares=(0.0625,))
    assert 0.52 <= found.hits[0.0625] <= 0.62


def test_layers_and_seeds_differ_and_the_same_seed_does_not(trace):
    assert (trace.experts[:, 0] != trace.experts[:, 1]).any()
    assert (draw_routing(128, 8, 2, 600).experts == trace.experts).all()
    assert (draw_routing(128, 8, 2, 600, seed=1).experts != trace.experts).any()


@pytest.mark.parametrize("slots", [8, 32, 128])
def test_no_policy_beats_the_best(trace, slots):
    lru, lfu, best = (hit_rate(trace, slots, policy) for policy in ("lru", "lfu", "best"))
    assert best >= max(lru, lfu)
    if slots == 8:
        assert lru == lfu  # nothing but the last token's is there
    if slots == 128:
        assert best == lfu
        assert lfu > 0.99


def test_policies_on_a_trace_that_can_be_counted_by_hand():
    tokens = np.array([[0, 1], [0, 2], [0, 1], [0, 2], [0, 1], [0, 2], [0, 1], [0, 2]])[:, None]
    trace = RoutingTrace(tokens, 4)
    assert hit_rate(trace, 2, "lru") == 0.5
    assert hit_rate(trace, 3, "lru") == 1.0
