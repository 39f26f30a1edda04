"""The ring: every bundle once, in order, whatever is given up or kept in between."""

import numpy as np
import pytest

from engine.errors import ReadError
from engine.flash.reader import open_reader
from engine.store.bundle_file import BundleFile, BundleWriter
from engine.streaming.ring import BUFFERS, Order, Ring
from engine.streaming.source import RowSource

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
def orders(path):
    """All bundles of each layer."""
    with open_reader(4, gap=-1) as reader:
        places, file = BundleFile.open(path).layers, reader.open(path)
        yield [Order(RowSource(reader, file, place), range(place.bundles)) for place in places]


@pytest.fixture
def ring(orders):
    ring = Ring(orders[0].source.reader, ROW, "F32", 4 * ROW)
    yield ring
    ring.close()


def rows_of(piece) -> np.ndarray:
    return np.array(piece.slab.matrix[: len(piece.ids)])


def take(ring, orders, layer: int) -> tuple[list[int], np.ndarray]:
    """The pieces' beginnings, and all rows of a layer, copied while they are valid."""
    starts, rows = [], []
    for piece in ring.pieces(orders[layer], orders[layer + 1 :]):
        starts.append(piece.ids[0])
        rows.append(rows_of(piece))
        assert piece.bytes_read == rows[-1].nbytes
    return starts, np.concatenate(rows)


def reads_for(ring, orders, layer: int, pieces: int = 1) -> list[int]:
    """The beginnings of the pieces that are read while the first `pieces` pieces of a layer are taken."""
    asked, source = [], type(orders[0].source)
    read = source.read_in_sequence

    def seen(self, ids, view):
        asked.append(ids[0])
        return read(self, ids, view)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "read_in_sequence", seen)
        taken = ring.pieces(orders[layer], orders[layer + 1 :])
        for _ in range(pieces):
            next(taken)
    return asked


def test_layers_come_whole_pass_after_pass(ring, orders, layers):
    for _ in range(2):
        for i, layer in enumerate(layers):
            starts, rows = take(ring, orders, i)
            assert starts == list(range(0, len(layer), 4))
            assert np.array_equal(rows, layer)


def test_neighbours_are_one_read_even_where_the_reader_joins_nothing(ring, orders):
    assert [piece.reads for piece in ring.pieces(orders[0])] == [1] * 18


def test_while_a_piece_is_computed_on_the_others_are_read(ring, orders):
    assert reads_for(ring, orders, 0) == [0, 4, 8, 12]
    assert len([0, 4, 8, 12]) == BUFFERS


def test_reading_on_goes_into_the_next_layer(ring, orders, layers):
    list(ring.pieces(orders[0], orders[1:]))
    assert reads_for(ring, orders, 1) == [0]  # of the third layer: the second's three pieces were read ahead
    assert np.array_equal(take(ring, orders, 1)[1], layers[1])


def test_another_layer_than_expected_is_read_all_the_same(ring, orders, layers):
    next(ring.pieces(orders[0], orders[1:]))
    assert np.array_equal(take(ring, orders, 2)[1], layers[2])
    ring.drop()
    assert np.array_equal(take(ring, orders, 0)[1], layers[0])


def test_only_what_is_wanted_is_read(ring, orders, layers):
    wanted = [Order(orders[0].source, range(68, 70)), Order(orders[1].source, ()), Order(orders[2].source, (1, 5, 7))]
    for i in (0, 2):
        rows = np.concatenate([rows_of(piece) for piece in ring.pieces(wanted[i], wanted[i + 1 :])])
        assert np.array_equal(rows, layers[i][list(wanted[i].ids)])
    assert list(ring.pieces(wanted[1])) == []


def test_a_file_that_ends_early_is_an_error_and_the_ring_can_be_closed(ring, orders, path):
    path.write_bytes(path.read_bytes()[: -40 * ROW])
    list(ring.pieces(orders[0], orders[1:]))
    with pytest.raises(ReadError, match=r"bundles\.safetensors"):
        take(ring, orders, 2)
