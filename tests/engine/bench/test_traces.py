"""Traces: statistics against sets, and drawn ones against what they are drawn from."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.bench.traces import RecordedSelection, ReplayedSelection, Trace, draw, statistics
from engine.planning.reuse import FALCON, OPT

NEURONS = 20
layers = st.lists(st.sets(st.integers(0, NEURONS - 1)), min_size=6, max_size=12)


def as_trace(tokens: list[set[int]]) -> Trace:
    return Trace(NEURONS, [[np.array(sorted(active), np.int32)] for active in tokens])


@settings(deadline=None, max_examples=100)
@given(tokens=layers, window=st.integers(1, 4))
def test_statistics_are_those_of_sets(tokens, window):
    found = statistics(as_trace(tokens), (window, 5))
    resident, loaded, selected = [], [], []
    for t in range(5, len(tokens)):
        selected.append(len(tokens[t]))
        loaded.append(len(tokens[t] - set().union(*tokens[t - window : t])))
        resident.append(len(set().union(*tokens[t - window + 1 : t + 1])))
    means = [sum(values) / len(values) / NEURONS for values in (selected, resident, loaded)]
    assert found.at(window) == pytest.approx(means)


@pytest.mark.parametrize("reuse", [OPT, FALCON])
def test_a_drawn_trace_has_the_papers_shares(reuse):
    found = statistics(draw(reuse, 4, 8192, 40), (4,))
    assert found.at(4) == pytest.approx((reuse.selected, reuse.aggregated(4), reuse.loaded(4)), rel=0.05)
    assert found.run == pytest.approx(1.03, abs=0.03)


def test_neurons_in_order_fire_in_runs_and_as_often():
    found = statistics(draw(OPT, 4, 16384, 40, run=3.05), (4,))
    assert found.run == pytest.approx(3.12, rel=0.05)
    assert found.at(4) == pytest.approx((0.10, 0.24, 0.024), rel=0.05)


def test_a_trace_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match="too short"):
        statistics(as_trace([{1}] * 3), (4,))


class Selection:
    def active(self, x):
        return x > 0

    def select(self, x):
        return np.flatnonzero(np.array(x) > 0)


def test_what_was_recorded_is_replayed():
    recorded = RecordedSelection(Selection(), [])
    inputs = [mx.array([1.0, -1.0, 2.0]), mx.array([-1.0, 1.0, -1.0])]
    wanted = [recorded.select(x).tolist() for x in inputs]
    assert wanted == [[0, 2], [1]]
    replayed = ReplayedSelection(Selection(), recorded.tokens)
    assert [replayed.select(-x).tolist() for x in inputs * 2] == wanted * 2
