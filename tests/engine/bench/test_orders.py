"""Reads by the order of neurons, against a count by hand."""

import numpy as np
import pytest

from engine.bench.orders import MAX_BYTES_RATIO, MAX_GAP_BUNDLES, OWN_ORDER, RANDOM_ORDER, reads_by_order, rows
from engine.bench.traces import Trace


def as_trace(neurons: int, *tokens: list[list[int]]) -> Trace:
    return Trace(neurons, [[np.array(active, np.int32) for active in layers] for layers in tokens])


def test_what_is_read_is_counted():
    # The window of 1 is full from the second token on: 3 and 4 of the first layer are then still held, 1 is again read
    # by the third token.
    trace = as_trace(12, [[3, 4], []], [[1, 3, 4, 5, 8], [7]], [[0, 2, 5, 11], [7]], [[1], [0, 2]])
    own = reads_by_order(trace, 1)[OWN_ORDER]
    # Misses: [1, 5, 8], [7]; [0, 2, 11], []; [1], [0, 2]. Distances: 4, 3; 2, 9; 2.
    assert own.reads[:4] * 3 == pytest.approx([10, 8, 7, 6])
    assert own.bundles[:4] * 3 == pytest.approx([10, 12, 14, 17])
    assert own.reads[MAX_GAP_BUNDLES] * 3 == pytest.approx(5)
    assert own.widest == 1
    assert own.bundles[1] <= MAX_BYTES_RATIO * own.bundles[0] < own.bundles[2]


def test_a_random_order_reads_as_much_in_more_reads():
    tokens = [[list(range(start, start + 8)), list(range(start + 3, start + 5))] for start in range(0, 240, 8)]
    trace = as_trace(256, *tokens)
    found = reads_by_order(trace, 2)
    assert found[OWN_ORDER].reads[0] == 2
    assert found[RANDOM_ORDER].reads[0] > 8
    assert found[RANDOM_ORDER].bundles[0] == found[OWN_ORDER].bundles[0] == 10
    first, *_ = lines = rows(found, 1000)
    assert (first.name, first.reads, first.bytes_read) == (f"{OWN_ORDER}, gaps of 0", 2, 10_000)
    assert f"{2 / found[RANDOM_ORDER].reads[0]:.3f} times a random order's reads at 1.000 times" in first.note
    assert all(line.bytes_read <= MAX_BYTES_RATIO * 10_000 for line in lines)


def test_nothing_to_read_is_no_order_at_all():
    found = reads_by_order(as_trace(4, [[1]], [[1]], [[1]]), 1)
    assert [line.reads for line in rows(found, 1)] == [0, 0, 0, 0]
