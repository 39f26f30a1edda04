import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from engine.errors import PreparedModelError
from engine.store.bundle_file import DATA_ALIGNMENT, BundleFile, BundleWriter, padded_row_bytes


@pytest.fixture
def written(tmp_path):
    rng = np.random.default_rng(0)
    layers = [rng.standard_normal((n, 20)).astype(np.float32) for n in (7, 9)]
    with BundleWriter(tmp_path / "bundles.safetensors", "float32", 10, ("up", "down"), [7, 9]) as writer:
        for layer in layers:
            writer.write(layer)
    return tmp_path / "bundles.safetensors", layers


def test_bundles_lie_where_the_header_says(written):
    path, layers = written
    bundles, raw = BundleFile.open(path), path.read_bytes()
    assert (bundles.dtype, bundles.width) == ("F32", 10)
    for place, layer in zip(bundles.layers, layers, strict=True):
        for neuron, offset in enumerate(place.offsets(np.arange(place.bundles))):
            assert np.array_equal(np.frombuffer(raw, np.float32, 20, offset), layer[neuron])


def test_the_data_starts_on_a_page_and_any_safetensors_reader_reads_it(written):
    path, layers = written
    assert BundleFile.open(path).layers[0].offset % DATA_ALIGNMENT == 0
    with safe_open(path, "np") as file:
        assert np.array_equal(file.get_tensor("layers.1")[:, :20], layers[1])


@given(st.integers(1, 200_000))
def test_padding_never_wastes_more_than_an_eighth(size):
    padded = padded_row_bytes(size)
    assert size <= padded <= size * 1.125


@pytest.mark.parametrize(("size", "padded"), [(16384, 16384), (8192, 8192), (1024, 1024), (18176, 18432), (100, 100)])
def test_rows_are_padded_to_what_direct_reads_like(size, padded):
    assert padded_row_bytes(size) == padded


@pytest.mark.parametrize("cut", [1, 100, 1280])
def test_a_truncated_file_is_named(written, cut):
    path, _ = written
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(
        PreparedModelError, match=r"bundles\.safetensors cannot be read: it is cut off: it ends before 'layers"
    ):
        BundleFile.open(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 9) + b"not json!",
        struct.pack("<Q", 2) + b"{}",
    ],
)
def test_what_is_no_bundle_file_is_refused(tmp_path, content):
    path = tmp_path / "bundles.safetensors"
    path.write_bytes(content)
    with pytest.raises(PreparedModelError, match=r"bundles\.safetensors"):
        BundleFile.open(path)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [1, 8], "data_offsets": [0, 999]},
        {"dtype": "F32", "shape": [1, 8], "data_offsets": [-32, 0]},
        {"dtype": "I64", "shape": [1, 4], "data_offsets": [0, 32]},
        {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]},
        {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]},
    ],
)
def test_offsets_that_lie_are_refused(tmp_path, entry):
    header = json.dumps({"__metadata__": {"width": "4", "bundle": "up|down"}, "layers.0": entry}).encode()
    path = tmp_path / "bundles.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 32)
    with pytest.raises(PreparedModelError, match=r"bundles\.safetensors cannot be read.*Prepare or download"):
        BundleFile.open(path)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"width": "4"},
        {"width": "4", "bundle": ["up", "down"]},
        {"width": "9" * 5000, "bundle": "up|down"},
        {"width": "4", "bundle": "\x1b[31m|down"},
    ],
)
def test_metadata_that_describes_no_rows_is_refused(tmp_path, metadata):
    entry = {"dtype": "F32", "shape": [1, 8], "data_offsets": [0, 32]}
    header = json.dumps({"__metadata__": metadata, "layers.0": entry}).encode()
    path = tmp_path / "bundles.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 32)
    with pytest.raises(PreparedModelError, match="does not hold what it should"):
        BundleFile.open(path)


PACKED = {"bundle": "up|down", "width": "64", "bits": "4", "group_size": "64", "neurons": "3", "scales": "bfloat16"}


def packed_file(path, metadata, dtype="U32", shape=(2, 128), size=1024):
    entry = {"dtype": dtype, "shape": list(shape), "data_offsets": [0, size]}
    header = json.dumps({"__metadata__": metadata, "layers.0": entry}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * size)
    return path


def test_a_file_of_quantised_neurons_says_what_its_rows_are(tmp_path):
    opened = BundleFile.open(packed_file(tmp_path / "bundles.safetensors", PACKED))
    assert (opened.neurons, opened.numbers, opened.packing.form.bits) == (3, "BF16", 4)
    assert (opened.layers[0].bundles, opened.layers[0].row_bytes) == (2, 512)


@pytest.mark.parametrize(
    ("changes", "tensor"),
    [
        ({"bits": "5"}, {}),
        ({"bits": [4]}, {}),
        ({"group_size": "0"}, {}),
        ({"neurons": "0"}, {}),
        ({"neurons": "9"}, {}),  # more than a row has room for
        ({"scales": "int8"}, {}),
        ({"width": "96"}, {}),  # no whole groups
        ({"width": "9999936"}, {}),
        ({}, {"dtype": "F32"}),
        ({"bits": None}, {}),
    ],
)
def test_quantised_neurons_that_do_not_fit_are_refused(tmp_path, changes, tensor):
    metadata = {name: value for name, value in (PACKED | changes).items() if value is not None}
    path = packed_file(tmp_path / "bundles.safetensors", metadata, **tensor)
    with pytest.raises(PreparedModelError, match=r"bundles\.safetensors"):
        BundleFile.open(path)


def test_bytes_that_no_layer_has_are_found(written):
    path, _ = written
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(PreparedModelError, match=r"bundles\.safetensors has .* or was changed"):
        BundleFile.open(path)


def test_a_writer_that_fails_leaves_the_error(tmp_path):
    with (
        pytest.raises(ValueError, match="more were announced than written"),
        BundleWriter(tmp_path / "b", "float16", 4, ("up", "down"), [3]),
    ):
        pass
