"""`bench table2`: the arithmetic of its rows, from the trace and the bundle's size."""

import numpy as np
import pytest

from engine.bench import table2
from engine.bench.random_model import model_bytes, packing_of
from engine.bench.traces import Trace, draw, statistics
from engine.errors import FlashbulbError
from engine.planning.reuse import OPT, Reuse

ROW, NEURONS = 4096, 2 * 4096
TOKENS, RUNS = 4, 2


@pytest.fixture
def result(shape, profile, tmp_path):
    found = table2.run("tiny", tmp_path, profile, TOKENS, RUNS, shape=shape, cached=True)
    assert list(tmp_path.iterdir()) == []
    return found


def test_every_row_is_what_the_trace_says(result, shape):
    rows = {row.name: row for row in result.rows}
    flash, resident, predictors = model_bytes(shape.config, "bfloat16")
    assert list(rows) == [
        "naive", "hybrid", "+ predictor", "+ windowing", "+ bundling", "+ coalescing and gap reads",
        "+ hot neurons", "+ overlap", "co-activation bundling by duplication", table2.ORDERED_ROW,
    ]  # fmt: skip
    assert rows["naive"].bytes_read == pytest.approx(flash + resident, abs=1 << 20)
    assert rows["hybrid"].dram_bytes == pytest.approx((flash + resident) / 2, abs=1)
    selected, loaded = 0.10 * NEURONS, 0.024 * NEURONS
    assert rows["+ predictor"].reads == pytest.approx(2 * selected, rel=0.1)
    assert rows["+ predictor"].bytes_read >= 0.9 * selected * ROW  # more where half a row is less than a block
    assert rows["+ windowing"].reads == 2 * rows["+ bundling"].reads
    assert rows["+ bundling"].reads == pytest.approx(loaded, rel=0.2)
    assert rows["+ bundling"].bytes_read == rows["+ bundling"].reads * ROW
    assert rows["+ coalescing and gap reads"].reads < rows["+ bundling"].reads
    assert rows["+ hot neurons"].reads < rows["+ coalescing and gap reads"].reads
    assert rows["+ hot neurons"].dram_bytes > rows["+ coalescing and gap reads"].dram_bytes
    assert rows[table2.ORDERED_ROW].reads < rows["+ coalescing and gap reads"].reads
    dram = rows["+ bundling"].dram_bytes - resident - predictors
    assert dram == pytest.approx(0.24 * NEURONS * ROW, rel=0.1)


def test_derived_figures_add_up(result, profile):
    for row in result.rows:
        if row.bytes_per_s and row.name not in ("naive", "hybrid"):
            low, high = row.spread["io_ms"]
            assert low <= row.io_ms <= high
            assert row.bytes_per_s == pytest.approx(1e3 * row.bytes_read / row.io_ms)
            assert row.floor_ms == pytest.approx(1e3 * row.reads / profile.reads_per_s(row.bytes_read / row.reads))
    naive = result.rows[0].io_ms
    less = result.details["times_less_than_naive"]
    assert less == pytest.approx({row.name: naive / row.io_ms for row in result.rows})
    assert result.rows[0].paper["io_ms"] == 2196
    computed = next(row for row in result.rows if row.name == "+ overlap")
    assert computed.compute_ms > 0
    assert computed.tokens_per_second is None


def test_a_trace_that_is_not_as_the_paper_says_is_refused(shape):
    busy = draw(Reuse(0.5, 0.3, 6), 2, 4096, 20)
    with pytest.raises(FlashbulbError, match=r"The trace's selected share is 0\.1"):
        table2.check(busy, shape)
    assert table2.check(draw(OPT, 2, 8192, 20), shape)["loaded"]["paper"] == pytest.approx(0.024)


def test_a_friend_saves_the_read_of_a_missing_neuron():
    trace = Trace(4, [[np.array(a)] for a in ([0, 1], [0, 1], [2, 3], [1, 2, 3])])
    friends = table2.closest_friends(trace, 0)
    assert friends.tolist() == [1, 0, 3, 2]
    assert table2.without_friends(np.array([0, 1, 2]), friends).tolist() == [0, 2]


def test_a_file_is_read_whole_in_sequence(tmp_path):
    from engine.flash.reader import open_reader

    path = tmp_path / "file"
    path.write_bytes(b"x" * (5 << 14))
    with open_reader(2) as reader:
        assert table2.read_whole(reader, reader.open(path), path.stat().st_size, piece=1 << 14, ahead=2) == (5 << 14, 5)


def test_the_ordered_trace_runs_as_long_as_published(shape):
    trace, ordered = table2.traces_of(shape, 2, 16384, 30)
    assert statistics(ordered, (4,)).run == pytest.approx(3.12, rel=0.06)
    assert statistics(trace, (4,)).run < 1.1


@pytest.mark.parametrize("bits", [8, 4])
def test_quantised_neurons_are_read_in_groups_of_neighbours(shape, profile, tmp_path, bits):
    found = table2.run("tiny", tmp_path, profile, TOKENS, RUNS, shape=shape, cached=True, bits=bits)
    rows, plain = {row.name: row for row in found.rows}, model_bytes(shape.config, "bfloat16")
    flash, resident, _ = model_bytes(shape.config, "bfloat16", bits)
    assert flash < plain[0] * (bits + 0.5) / 16 * 1.35  # a slot may have room to spare
    assert rows["naive"].bytes_read == pytest.approx(flash + resident, abs=1 << 20)
    packing = packing_of(shape.config, "bfloat16", bits)
    assert found.settings["bundle_neurons"] == packing.neurons > 1
    bundling, ordered = rows["+ bundling"], rows[table2.ORDERED_ROW]
    assert bundling.bytes_read == bundling.reads * packing.row_bytes
    assert rows["+ windowing"].reads == 2 * bundling.reads
    assert bundling.reads > 0.8 * 0.024 * NEURONS / packing.neurons
    assert ordered.reads < bundling.reads  # neighbours fire together, and hot groups stay
    assert rows["+ overlap"].compute_ms > 0
    assert list(tmp_path.iterdir()) == []


def test_a_trace_in_groups_has_each_group_once():
    trace = Trace(7, [[np.array([0, 1, 5])], [np.array([6])]]).grouped(3)
    assert trace.neurons == 3
    assert [[ids.tolist() for ids in layers] for layers in trace.tokens] == [[[0, 1]], [[2]]]
