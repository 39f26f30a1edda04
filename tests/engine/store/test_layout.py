"""Layouts: whatever a checkpoint's tensors are, a slot holds exactly its bundle, and every view shows it."""

from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.arrays.dtypes import mlx_dtype
from engine.errors import FlawError
from engine.flash.native_reader import NativeReader
from engine.store.layout import SLOT_ALIGNMENT, Layout


@dataclass(frozen=True)
class Stored:
    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape)) * mlx_dtype(self.dtype).size


def stored(path, kinds, headers, random):
    """A file of tensors `(dtype, shape)`, each behind some other bytes; the tensors, and all bytes."""
    content, tensors = b"", {}
    for number, ((dtype, shape), header) in enumerate(zip(kinds, headers, strict=True)):
        content += random.bytes(header)
        tensors[f"tensor{number}"] = tensor = Stored(path, dtype, shape, len(content))
        content += random.bytes(tensor.nbytes)
    path.write_bytes(content)
    return tensors, content


def slab_of(layout, slots):
    raw = mx.zeros((slots + 1, layout.slot_bytes // 4), mx.uint32)
    mx.eval(raw)
    everything = np.asarray(memoryview(raw).cast("B"))
    skip = -everything.ctypes.data % SLOT_ALIGNMENT
    view = everything[skip : skip + slots * layout.slot_bytes].reshape(slots, layout.slot_bytes)
    return mx.as_strided(raw, (slots, layout.slot_bytes // 4), (layout.slot_bytes // 4, 1), skip // 4), view


def read(layout, ids, slots, view):
    with NativeReader(4) as reader:
        files = {path: reader.open(path) for path in layout.paths}
        reader.register(view)
        for path, ranges in layout.ranges(ids, slots).items():
            reader.submit_ranges(files[path], ranges, view).wait(20)
        for file in files.values():
            file.close()


def bytes_of(array):
    array = mx.contiguous(array)
    mx.eval(array)
    return bytes(memoryview(array).cast("B"))


kinds = st.tuples(
    st.sampled_from(["U32", "BF16", "float16", "F32", "U8"]),
    st.sampled_from([(8,), (64,), (3, 4), (256, 1024), (64, 512)]),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bundles=st.integers(1, 6),
    kinds=st.lists(kinds, min_size=1, max_size=4),
    header=st.sampled_from([8, 16, 4096, 5000, 7]),
    seed=st.integers(0, 99),
)
def test_any_bundles_of_any_tensors_are_seen_in_their_slots(tmp_path, bundles, kinds, header, seed):
    random = np.random.default_rng(seed)
    shapes = [(dtype, (bundles, *rest)) for dtype, rest in kinds]
    tensors, content = stored(tmp_path / "model.safetensors", shapes, [header] * len(kinds), random)
    layout = Layout.of(tensors)
    assert layout.bundle_bytes == sum(t.nbytes // bundles for t in tensors.values())
    slab, view = slab_of(layout, bundles + 2)
    ids = random.permutation(bundles)
    slots = random.permutation(bundles + 2)[:bundles]
    read(layout, ids, slots, view)
    for name, shown in layout.views(slab).items():
        tensor, size = tensors[name], tensors[name].nbytes // bundles
        assert shown.shape == (bundles + 2, *tensor.shape[1:])
        for bundle, slot in zip(ids, slots, strict=True):
            start = tensor.offset + int(bundle) * size
            assert bytes_of(shown[int(slot)]) == content[start : start + size]


@pytest.mark.parametrize(("length", "rows"), [(64, 32), (70, 32), (5, 1)])
def test_blocks_of_rows_are_bundles_too(tmp_path, length, rows):
    random = np.random.default_rng(0)
    tensors, content = stored(tmp_path / "model", [("F32", (length, 16))], [24], random)
    layout = Layout.of(tensors, rows)
    assert layout.bundles == -(-length // rows)
    slab, view = slab_of(layout, layout.bundles)
    read(layout, np.arange(layout.bundles), np.arange(layout.bundles), view)
    shown = bytes_of(layout.views(slab)["tensor0"].reshape(-1, 16)[:length])
    assert shown == content[24:]


@pytest.mark.parametrize("run", [range(3), range(1, 3), range(2, 5), range(4, 5), range(2, 2)])
def test_bundles_that_follow_each_other_come_to_the_first_slots(tmp_path, run):
    shapes = [("U32", (100, 8)), ("BF16", (100, 3))]
    tensors, _ = stored(tmp_path / "model", shapes, [24, 8], np.random.default_rng(0))
    layout = Layout.of(tensors, 24)
    ((path, found),) = layout.run(run).items()
    one_by_one = layout.ranges(np.array(run, np.int64), np.arange(len(run)))[path]
    order = np.argsort(one_by_one.places)
    for name in ("offsets", "lengths", "places"):
        assert np.array_equal(getattr(found, name), getattr(one_by_one, name)[order])


def test_large_ranges_are_read_without_a_copy_and_small_ones_waste_no_blocks(tmp_path):
    shapes = [("U32", (4, 256, 1024)), ("BF16", (4, 256, 16))]
    tensors, _ = stored(tmp_path / "model", shapes, [1000, 8], np.random.default_rng(0))
    layout = Layout.of(tensors)
    (ranges,) = layout.ranges(np.array([1]), np.array([0])).values()
    large = ranges.lengths > 1 << 20
    assert (ranges.offsets[large] % 4096 == 0).all()
    assert (ranges.places[large] % 4096 == 0).all()
    assert (ranges.lengths[large] % 4096 == 0).all()
    assert ranges.lengths[~large].tolist() == [256 * 16 * 2]
    assert layout.slot_bytes <= layout.bundle_bytes + 2 * 16384


def test_tensors_that_do_not_fit_each_other_are_refused(tmp_path):
    tensors, _ = stored(tmp_path / "m", [("F32", (4, 8)), ("F32", (5, 8))], [8, 8], np.random.default_rng(0))
    with pytest.raises(FlawError, match="5 bundles where others have 4"):
        Layout.of(tensors)


def test_a_bundle_that_there_is_not_is_refused(tmp_path):
    tensors, _ = stored(tmp_path / "m", [("F32", (4, 8))], [8], np.random.default_rng(0))
    for wrong in (-1, 4):
        with pytest.raises(ValueError, match="not among 4"):
            Layout.of(tensors).ranges(np.array([wrong]), np.array([0]))
