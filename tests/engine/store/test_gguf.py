"""GGUF files: whole ones are read as another implementation wrote them, and no mutation does more than be refused."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import CheckpointError
from engine.store.gguf import MAGIC, open_gguf
from tests.helpers.gguf_files import vocabulary, write_gguf


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    write_gguf(path)
    return path


def test_metadata_and_tensors(model):
    file = open_gguf(model)
    assert file.metadata["general.architecture"] == "llama"
    assert file.metadata["llama.attention.head_count"] == 4
    assert file.metadata["tokenizer.ggml.tokens"] == vocabulary()[0]
    tensor = file.tensors["blk.0.ffn_up.weight"]
    assert (tensor.type.name, tensor.shape, tensor.nbytes) == ("Q4_1", (512, 256), 512 * 8 * 20)
    assert len(tensor.read()) == tensor.nbytes
    assert tensor.read(slice(3, 5)) == tensor.read()[3 * tensor.row_bytes : 5 * tensor.row_bytes]


def header(*parts):
    return MAGIC + struct.pack("<I", 3) + b"".join(parts)


def counts(tensors, entries):
    return struct.pack("<QQ", tensors, entries)


def text(value):
    return struct.pack("<Q", len(value)) + value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"PK\x03\x04", "does not begin"),
        (MAGIC + struct.pack("<I", 1), "version 1"),
        (header(), "cut off"),
        (header(counts(2**60, 0)), "more than it could hold"),
        (header(counts(0, 2**40)), "more than it could hold"),
        (header(counts(0, 1), text(b"a"), struct.pack("<I", 99)), "no known type"),
        (header(counts(0, 1), text(b"a"), struct.pack("<IIQ", 9, 9, 1), b" " * 99), "no known type"),
        (header(counts(0, 1), text(b"a"), struct.pack("<IIQ", 9, 4, 2**50), b" " * 99), "more than it could hold"),
        (header(counts(0, 1), text(b"\xff\xff"), struct.pack("<II", 4, 1)), "UTF-8"),
        (header(counts(1, 0), text(b"a"), struct.pack("<I", 9), b" " * 99), "9 axes"),
        (header(counts(1, 0), text(b"a"), struct.pack("<IQIQ", 1, 2**40, 0, 0)), "length"),
        (header(counts(1, 0), text(b"a"), struct.pack("<IQIQ", 1, 32, 777, 0), b" " * 99), "type 777"),
        (header(counts(1, 0), text(b"a"), struct.pack("<IQIQ", 1, 33, 2, 0), b" " * 99), "whole blocks"),
        (header(counts(1, 0), text(b"a"), struct.pack("<IQIQ", 1, 4096, 0, 0), b" " * 99), "behind its end"),
        (header(counts(2, 0), (text(b"a") + struct.pack("<IQIQ", 1, 8, 0, 0)) * 2, b" " * 99), "a name twice"),
    ],
)
def test_hostile_files_are_refused(tmp_path, content, words):
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words) as error:
        open_gguf(path)
    assert str(path) in str(error.value)


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 8000), value=st.integers(0, 255), length=st.none() | st.integers(0, 9000))
def test_no_mutation_does_more_than_be_refused(model, tmp_path_factory, place, value, length):
    content = bytearray(model.read_bytes())
    content[place] = value
    path = tmp_path_factory.getbasetemp() / "mutant.gguf"
    path.write_bytes(content[:length])
    try:
        file = open_gguf(path)
    except CheckpointError:
        return
    assert sum(tensor.nbytes for tensor in file.tensors.values()) <= len(content)
    assert all(np.prod(tensor.shape) > 0 for tensor in file.tensors.values())
