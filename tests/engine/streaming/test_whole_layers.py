"""The layer stream: every neuron once, in order, whatever is given up or kept in between."""

import numpy as np
import pytest

from engine.errors import ReadError
from engine.flash.native_reader import NativeReader
from engine.store.bundle_file import BundleFile, BundleWriter
from engine.streaming.whole_layers import BUFFERS, LayerStream

NEURONS, WIDTH = (70, 9, 40), 8
ROW = 4 * 2 * WIDTH


@pytest.fixture
def layers():
    rng = np.random.default_rng(0)
    return [rng.standard_normal((n, 2 * WIDTH)).astype(np.float32) for n in NEURONS]


@pytest.fixture
def path(tmp_path, layers):
    with BundleWriter(tmp_path / "bundles.safetensors", "float32", WIDTH, ("up", "down"), list(NEURONS)) as writer:
        for layer in layers:
            writer.write(layer)
    return tmp_path / "bundles.safetensors"


@pytest.fixture
def stream(path):
    with NativeReader(4, gap=-1) as reader:
        stream = LayerStream(reader, reader.open(path), BundleFile.open(path), 4 * ROW)
        yield stream
        stream.close()


def take(stream, layer: int) -> tuple[list[int], np.ndarray]:
    """Where pieces begin, and all rows of a layer, copied while they are valid."""
    starts, rows = [], []
    for piece in stream.pieces(layer):
        starts.append(piece.start)
        rows.append(np.array(piece.rows))
        assert piece.stop - piece.start == len(rows[-1])
        assert piece.bytes_read == rows[-1].nbytes
    return starts, np.concatenate(rows)


def test_layers_come_whole_pass_after_pass(stream, layers):
    for _ in range(2):
        for i, layer in enumerate(layers):
            starts, rows = take(stream, i)
            assert starts == list(range(0, len(layer), 4))
            assert np.array_equal(rows, layer)


def test_neighbours_are_one_read_even_where_the_reader_joins_nothing(stream):
    assert [piece.reads for piece in stream.pieces(0)] == [1] * 18


def test_while_a_piece_is_computed_on_the_others_are_read(stream):
    pieces = stream.pieces(0)
    next(pieces)
    assert len(stream._ahead) == BUFFERS - 1
    assert [ahead.start for ahead in stream._ahead] == [4, 8, 12]


def test_reading_on_goes_into_the_next_layer(stream, layers):
    list(stream.pieces(0))
    assert [(ahead.layer, ahead.start) for ahead in stream._ahead] == [(1, 0), (1, 4), (1, 8)]
    assert np.array_equal(take(stream, 1)[1], layers[1])


def test_another_layer_than_expected_is_read_all_the_same(stream, layers):
    next(stream.pieces(0))
    assert np.array_equal(take(stream, 2)[1], layers[2])
    stream.drop()
    assert np.array_equal(take(stream, 0)[1], layers[0])


def test_what_is_in_memory_is_not_read(stream, layers):
    stream.first[:] = [68, 9, 3]
    for i, first in ((0, 68), (2, 3)):
        assert np.array_equal(take(stream, i)[1], layers[i][first:])
    assert list(stream.pieces(1)) == []


def test_a_file_that_ends_early_is_an_error_and_the_stream_can_be_closed(stream, path):
    path.write_bytes(path.read_bytes()[: -40 * ROW])
    list(stream.pieces(0))
    with pytest.raises(ReadError, match=r"bundles\.safetensors"):
        take(stream, 2)
