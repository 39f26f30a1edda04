"""The way in for a layer's weights: whatever is asked for comes once, is what lies on flash, and nothing that is still
to be computed is overwritten."""

from pathlib import Path
from types import SimpleNamespace

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.arrays.aligned import aligned_rows
from engine.errors import ReadError
from engine.flash.reader import open_reader
from engine.memory.pool import BundlePool
from engine.store.bundle_file import BundleFile, BundleWriter
from engine.streaming.bundles import COPIED_BYTES, LayerBundles, Part
from engine.streaming.lookahead import LookAhead
from engine.streaming.overlap import Overlap, Way
from engine.streaming.passes import Passes
from engine.streaming.ring import Ring
from engine.streaming.source import RowSource
from tests.helpers.lazy_reader import LazyReader

BUNDLES, WIDTH = 40, 8
ROW = 4 * 2 * WIDTH


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    """Two layers of bundles, each filled with its own number, the second's counted from 100."""
    path = tmp_path_factory.mktemp("layer") / "bundles.safetensors"
    with BundleWriter(path, "float32", WIDTH, ("up", "down"), [BUNDLES] * 2) as writer:
        for first in (0, 100):
            writer.write(np.repeat(np.arange(first, first + BUNDLES, dtype=np.float32)[:, None], 2 * WIDTH, axis=1))
    return path


@pytest.mark.parametrize("count", [1, 300, 1_300])
def test_a_part_in_sequence_is_copied_some_bundles_at_a_time(count):
    slab = aligned_rows(1_300, 4_096, "F32")
    slab.view[:] = np.random.default_rng(0).integers(0, 256, slab.view.shape, np.uint8)
    rows = np.random.default_rng(1).permutation(1_300)[:count]
    parts = list(Part(np.arange(count), slab, rows, rows[:0]).in_sequence())
    assert np.array_equal(np.concatenate([part.ids for part in parts]), np.arange(count))
    assert np.array_equal(np.concatenate([part.view for part in parts]), slab.view[rows])
    assert all(part.slab.view.nbytes <= COPIED_BYTES for part in parts)
    assert all(isinstance(part.rows, slice) for part in parts)


def test_a_part_whose_bundles_follow_each_other_is_not_copied():
    slab = aligned_rows(8, 4_096, "F32")
    part = Part(np.arange(4), slab, slice(2, 6), np.arange(0))
    assert list(part.in_sequence()) == [part]


@given(
    ids=st.sets(st.integers(0, 40)).map(sorted),
    wanted=st.lists(st.integers(0, 40), max_size=30),
    first=st.integers(0, 9),
)
def test_a_part_finds_what_it_has_of_what_is_wanted(ids, wanted, first):
    here, none = np.array(ids, np.int64), np.empty(0, np.int64)
    slab = SimpleNamespace(view=np.empty(60))
    for rows in (slice(first, first + len(ids)), np.random.default_rng(first).permutation(len(ids))):
        part = Part(here, slab, rows, none)
        places, held = part.find(np.array(wanted, np.int64))
        row_of = dict(zip(ids, part.row_numbers.tolist(), strict=True))
        assert places.tolist() == [i for i, each in enumerate(wanted) if each in row_of]
        assert held.tolist() == [row_of[each] for each in wanted if each in row_of]


class Layers:
    """Layers of one file with small pools. lazy: reads begin when somebody waits for them."""

    def __init__(
        self, path: Path, capacity: int = 16, window: int = 2, parts: int = 1, lazy: bool = False, hot: bool = True,
        **kind,
    ):  # fmt: skip
        self.reader, opened = open_reader(4), BundleFile.open(path)
        self.reader = LazyReader(self.reader) if lazy else self.reader
        file, self.passes, self.overlap = self.reader.open(path), Passes(2, window), Overlap()
        ring = Ring(self.reader, ROW, "F32", 8 * ROW)
        self.layers = [
            LayerBundles(
                i,
                RowSource(self.reader, file, place, parts),
                BundlePool(capacity, ROW, "F32", BUNDLES, keep_hot=hot),
                self.passes,
                self.overlap,
                ring,
                look_ahead=LookAhead(),
                **kind,
            )
            for i, place in enumerate(opened.layers)
        ]
        self.layers[0].after = self.layers[1]

    def __enter__(self) -> "Layers":
        return self

    def __exit__(self, *_) -> None:
        self.reader.close()

    def token(self, prompt: int = 0):
        current = self.passes.begin(prompt)
        self.passes.advance(max(1, prompt))
        return current


def ids(*numbers: int) -> np.ndarray:
    return np.array(sorted(numbers), np.int64)


def total(layer: LayerBundles, parts, wanted: set[int] | None = None) -> dict[int, float]:
    """The first element of every bundle in the parts, by id, each of which comes once; computed late."""
    late = []
    for part in parts:
        assert len(part.ids) == part.matrix.shape[0]
        here = np.isin(np.arange(len(layer.pool.pointer)), part.arriving)[part.rows]
        output = part.matrix[:, 0] + 0
        layer.read_by(output)
        late.append((part.ids.copy(), here, output))
    found: dict[int, float] = {}
    for numbers, arriving, output in late:
        for number, skipped, value in zip(numbers.tolist(), arriving, output.tolist(), strict=True):
            if not skipped:
                assert number not in found
                found[number] = value
    return found


sets = st.lists(st.sets(st.integers(0, BUNDLES - 1), max_size=24), min_size=1, max_size=12)


@settings(deadline=None, max_examples=100)
@given(
    tokens=sets, guesses=sets, beside=st.booleans(), parts=st.sampled_from([1, 2]), window=st.integers(0, 3),
    lazy=st.booleans(), hot=st.booleans(), early=st.sampled_from([0, 1, 2, 5]),
)  # fmt: skip
def test_every_bundle_comes_once_and_is_what_lies_on_flash(
    path, tokens, guesses, beside, parts, window, lazy, hot, early
):
    """Bundles are expected in the same token, or `early` tokens before it."""
    with Layers(path, parts=parts, window=window, lazy=lazy, hot=hot) as made:
        layer = made.layers[0]
        made.overlap.way = Way.BOTH if beside else Way.NONE
        for number, wanted in enumerate(tokens):
            current = None if early else made.token()
            if number < len(guesses):
                layer.expect(ids(*guesses[number]))
            current = current or made.token(early)
            found = total(layer, layer.bring(ids(*wanted)))
            assert wanted <= found.keys()
            assert all(value == bundle for bundle, value in found.items())
            assert current.active[0] == len(wanted)
            assert current.loaded[0] <= len(wanted)
            assert current.resident[0] == layer.pool.num_held
            if len(wanted) > 16 or parts == 2:
                continue
            assert current.bytes_read >= current.loaded[0] * ROW


def test_what_has_begun_is_not_asked_for_again(path):
    with Layers(path) as made:
        layer, current = made.layers[0], made.token()
        assert layer.begun is None
        assert layer.begin(ids(1, 2, 3))
        assert layer.begun.tolist() == [1, 2, 3]
        assert layer.reads_ahead
        assert total(layer, layer.bring(layer.begun)) == {1: 1, 2: 2, 3: 3}
        assert (current.active[0], current.loaded[0]) == (3, 3)
        made.token()
        assert layer.begun is None
        assert not layer.begin(ids(1, 2))  # they are here
        made.token()  # the pass failed before it asked
        assert layer.begun is None
        assert total(layer, layer.bring(ids(5)))[5] == 5


def test_right_guesses_are_learned_from_and_counted_as_read(path):
    with Layers(path) as made:
        layer, current = made.layers[0], made.token()
        layer.expect(ids(1, 2, 3))
        assert layer.reads_ahead
        total(layer, layer.bring(ids(2, 3, 9)))
        assert (layer.look_ahead.read, layer.look_ahead.right) == (3, 2)
        assert current.loaded[0] == 3


def test_a_part_that_was_left_half_way_is_settled_by_the_next_token(path):
    with Layers(path) as made:
        layer = made.layers[0]
        made.token()
        total(layer, layer.bring(ids(1, 2)))
        made.overlap.way = Way.BOTH
        made.token()
        parts = layer.bring(ids(1, 2, 3, 4))
        next(parts)  # then computing fails
        made.token()
        found = total(layer, layer.bring(ids(1, 4, 7)))
        assert found.keys() >= {1, 4, 7}  # and, where one slice is multiplied, all that are here
        assert all(value == bundle for bundle, value in found.items())
        assert not layer.pool.absent[ids(1, 2, 3, 4, 7)].any()


def test_outputs_are_evaluated_before_their_rows_hold_anything_else(path):
    with Layers(path, capacity=4, window=1) as made:
        layer, outputs = made.layers[0], []
        for first in range(0, BUNDLES - 4, 4):
            made.token()
            for part in layer.bring(np.arange(first, first + 4)):
                outputs.append((part.ids.copy(), mx.sum(part.matrix, axis=1)))
                layer.read_by(outputs[-1][1])
        for numbers, output in outputs:
            assert output.tolist() == [2.0 * WIDTH * n for n in numbers]


def test_a_layer_is_streamed_in_order_and_its_following_read_ahead(path):
    with Layers(path) as made:
        made.token(prompt=3)
        for layer, first in zip(made.layers, (0, 100), strict=True):
            found = total(layer, layer.stream())
            assert list(found) == list(range(BUNDLES))
            assert list(found.values()) == list(range(first, first + BUNDLES))
        current = made.passes.current
        assert current.bytes_read == 2 * BUNDLES * ROW
        assert current.active == current.loaded == [BUNDLES] * 2


def test_pinned_bundles_are_read_once(path):
    with Layers(path, capacity=13, pinned=True) as made:
        for token in range(3):
            current = made.token()
            for layer, first in zip(made.layers, (0, 100), strict=True):
                found = total(layer, layer.stream())
                assert list(found) == list(range(BUNDLES))
                assert list(found.values()) == list(range(first, first + BUNDLES))
            assert current.bytes_read == 2 * (BUNDLES - (13 if token else 0)) * ROW
            assert current.resident == [13, 13]


def test_what_is_kept_of_a_streamed_layer_is_a_hit(path):
    with Layers(path) as made:
        layer = made.layers[0]
        made.token(prompt=3)
        for part in layer.stream():
            layer.keep(part, part.ids[part.ids % 5 == 0], np.full(np.count_nonzero(part.ids % 5 == 0), 3))
        current = made.token()
        wanted = ids(5, 10, 11)
        assert {n: total(layer, layer.bring(wanted))[n] for n in (5, 10, 11)} == {5: 5, 10: 10, 11: 11}
        assert current.loaded[0] == 1


def test_shrinking_keeps_what_was_active_last_and_forgetting_nothing(path):
    with Layers(path, window=8) as made:
        layer = made.layers[0]
        for active in (ids(1, 2, 3), ids(4, 5)):
            made.token()
            total(layer, layer.bring(active))
        layer.begin(ids(6))
        layer.resize(3, layer.pool.view.nbytes)
        assert layer.pool.capacity == 3
        current = made.token()
        assert total(layer, layer.bring(ids(6)))[6] == 6
        assert current.loaded[0] == 0
        layer.forget()
        current = made.token()
        total(layer, layer.bring(ids(6)))
        assert current.loaded[0] == 1


@pytest.mark.parametrize("beside", [False, True])
def test_a_read_that_fails_leaves_the_pool_as_it_was(path, tmp_path, beside):
    short = tmp_path / "short.safetensors"
    short.write_bytes(path.read_bytes())
    with Layers(short) as made:
        layer = made.layers[1]
        made.overlap.way = Way.BOTH if beside else Way.NONE
        made.token()
        total(layer, layer.bring(ids(1, 2)))
        short.write_bytes(path.read_bytes()[: -10 * ROW])
        made.token()
        with pytest.raises(ReadError, match=r"short\.safetensors"):
            total(layer, layer.bring(ids(1, 2, BUNDLES - 1)))
        assert sorted(layer.pool.pointer[: layer.pool.num_used].tolist()) == [1, 2]
        made.token()
        assert total(layer, layer.bring(ids(1, 2, 3))) == {n: 100 + n for n in (1, 2, 3)}


@pytest.mark.parametrize("tokens", [0, -1])
def test_a_pass_of_which_no_token_counts_leaves_everything_as_old_as_it_was(path, tokens):
    active = np.zeros((2, BUNDLES), bool)
    active[0, :3] = active[1, 2:5] = True
    with Layers(path) as layers:
        layer = layers.layers[0]
        before = layer.pool.last_k_active.copy()
        layers.passes.begin()
        layers.passes.advance(2)
        assert layer.note(active).tolist() == [0, 1, 2, 3, 4]
        layer.accept(tokens)
        assert np.array_equal(layer.pool.last_k_active, before)
