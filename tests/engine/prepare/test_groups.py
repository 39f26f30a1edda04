"""The use of neurons in groups, against counting one by one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.prepare.groups import grouped, report_groups


@settings(max_examples=40, deadline=None)
@given(tokens=st.integers(1, 30), neurons=st.integers(1, 40), size=st.integers(1, 8), seed=st.integers(0, 99))
def test_a_group_is_needed_where_one_of_its_neurons_is(tokens, neurons, size, seed):
    rng = np.random.default_rng(seed)
    needed, order = rng.random((tokens, neurons)) < 0.2, rng.permutation(neurons)
    groups = -(-neurons // size)
    found = np.unpackbits(grouped(np.packbits(needed, axis=1), order, size), axis=1, count=groups)
    for token in range(tokens):
        wanted = {place // size for place, neuron in enumerate(order) if needed[token, neuron]}
        assert set(np.flatnonzero(found[token])) == wanted


def test_an_order_that_puts_together_what_fires_together_needs_fewer_groups():
    rng = np.random.default_rng(0)
    teams = rng.permutation(96) % 24  # four neurons each, anywhere in the checkpoint
    active = (rng.random((200, 24)) < 0.1)[:, teams]
    bits = np.packbits(active, axis=1)
    report = report_groups(bits, bits, np.argsort(teams, kind="stable"), 4, window=4)
    assert report.exact == report.predicted
    assert abs(report.exact - active.mean()) < 1e-5
    assert report.unordered > 2.5 * report.exact
    assert report.use.loaded <= report.exact <= report.use.resident
