"""The choice between active rows and all of a linear, against what a reader really does."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.flash.reader import open_reader
from engine.models.checkpoint import load_lazily
from engine.planning.active_rows import ReadCost, Rows, choices_of, with_rows
from engine.planning.layers import ActiveRowsLayer, layers_of
from engine.planning.shape import ModelShape
from engine.settings import Settings
from engine.store.layout import VIEW_ALIGNMENT, Layout, SlotTensor
from engine.store.mlx_folder import MlxFolder
from engine.streaming.found import find_streamable
from engine.streaming.source import CheckpointFile, SlotSource
from tests.helpers.dense_models import GEMMA3N, write_dense
from tests.helpers.drives import FAST, profile
from tests.helpers.mlx_models import AFFINE4

MANY_READS, LONG_READS = profile(processor=FAST, iops=1e6, bandwidth=2e8), profile(processor=FAST, iops=1e4)


def layout_of(file, rows, stride, offset):
    """Rows of `stride` bytes from a byte of a file on."""
    file.write_bytes(bytes(offset + rows * stride))
    tensor = SlotTensor(file, np.dtype, (stride,), offset, stride, offset + rows * stride, offset + rows * stride, 0,
                        False)  # fmt: skip
    return Layout({"weight": tensor}, rows, -(-stride // VIEW_ALIGNMENT) * VIEW_ALIGNMENT)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([64, 512, 1024, 1344, 4096, 5376]),
    st.sampled_from([0, 8, 4096, 5000]),
    st.floats(0.01, 0.5),
    st.sampled_from([4096, 15872]),
    st.integers(0, 9),
)
def test_reads_and_bytes_are_a_reader_s(tmp_path, stride, offset, share, gap, seed):
    rows = 4000
    layout = layout_of(tmp_path / "rows", rows, stride, offset)
    wanted = np.flatnonzero(np.random.default_rng(seed).random(rows) < share)
    with open_reader(4) as reader:
        source = SlotSource(reader, {tmp_path / "rows": CheckpointFile.open(reader, tmp_path / "rows")}, layout, gap)
        slots = np.zeros((len(wanted), layout.slot_bytes), np.uint8)
        reader.register(slots)
        [ticket] = source.read(wanted, slots, np.arange(len(wanted)))
        ticket.wait()
    found = ReadCost.scattered(map(Rows.of, layout.tensors.values()), len(wanted) / rows, gap, profile())
    chance = 4 * ticket.reads**0.5
    assert found.reads == pytest.approx(ticket.reads, rel=0.05, abs=chance + 2)
    read = blocks_of(wanted, stride, offset, gap)
    assert found.bytes == pytest.approx(read, rel=0.1, abs=(chance + 2) * max(4096, read / ticket.reads))


def blocks_of(wanted, stride, offset, gap):
    """Bytes of the blocks in which rows lie, and of those between rows that are at most `gap` bytes apart."""
    starts = offset + wanted * stride
    last = np.append(starts[1:] - starts[:-1] - stride > gap, True)
    first = np.insert(last[:-1], 0, True)
    return int(((starts[last] + stride + 4095) // 4096 - starts[first] // 4096).sum()) * 4096


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    config = {"text_config": GEMMA3N | {"intermediate_size": 4096, "hidden_size": 256}}
    folder = write_dense(tmp_path_factory.mktemp("sparse") / "model", "gemma3n", AFFINE4, config=config)
    lazy = load_lazily(folder)
    return lazy, find_streamable(lazy, MlxFolder.open(folder).tensors)


def test_the_drive_decides_and_both_costs_are_told(found):
    _, streamable = found
    [rows], [whole] = choices_of(streamable, MANY_READS), choices_of(streamable, LONG_READS)
    assert rows.path == whole.path == "model.language_model.layers.0.mlp.up_proj"
    assert rows.active_share == pytest.approx(0.05)
    assert rows.whole.bytes == whole.whole.bytes == 4096 * 256 * 5 // 8
    assert rows.rows_are_faster
    assert rows.rows.seconds < rows.whole.seconds
    assert not whole.rows_are_faster
    assert whole.rows.seconds > whole.whole.seconds


def test_fewer_bytes_alone_are_no_reason_and_neither_is_less_time(found):
    _, streamable = found
    [choice] = choices_of(streamable, MANY_READS)
    assert not replace(choice, rows=replace(choice.rows, seconds=choice.whole.seconds)).rows_are_faster
    assert not replace(choice, rows=replace(choice.rows, bytes=choice.whole.bytes)).rows_are_faster


def test_what_is_chosen_is_planned(found):
    lazy, streamable = found
    for drive, kind in ((MANY_READS, "row"), (LONG_READS, "block")):
        choices = choices_of(streamable, drive)
        shape = ModelShape.of_checkpoint(lazy, with_rows(streamable, choices))
        [up] = [bundles for bundles in shape.bundles if bundles.path == choices[0].path]
        assert (up.kind, shape.kind) == (kind, "block")
        [layer] = [layer for layer in layers_of(shape) if layer.bundles == up]
        assert isinstance(layer, ActiveRowsLayer) == (kind == "row")


def test_more_room_reads_fewer_rows_and_room_for_all_none(found):
    lazy, streamable = found
    shape = ModelShape.of_checkpoint(lazy, with_rows(streamable, choices_of(streamable, MANY_READS)))
    [layer] = [layer for layer in layers_of(shape) if isinstance(layer, ActiveRowsLayer)]
    smallest = layer.demand().minimum
    assert 0.05 * 4096 < smallest < 0.1 * 4096
    uses = [layer.use(slots, Settings()) for slots in (smallest, 1000, 3000, 4096)]
    missed = [use.missed for use in uses]
    assert missed == sorted(missed, reverse=True)
    assert 0.05 * 4096 > missed[0] > missed[-1] == 0
    assert all(use.needed == pytest.approx(0.05 * 4096) for use in uses)
