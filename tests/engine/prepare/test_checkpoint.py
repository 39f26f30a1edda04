"""Checkpoints as Hugging Face and PyTorch write them, and as somebody writes them who means harm."""

import json
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from engine.errors import CheckpointError, FlashbulbError
from engine.models import build
from engine.prepare.checkpoint import Checkpoint
from engine.prepare.pickle_reader import read_pickle
from engine.prepare.prepare import prepare
from engine.prepare.torch_file import read_torch
from engine.store.manifest import BUNDLES, PREDICTOR, RESIDENT
from engine.store.safetensors_file import read_safetensors
from engine.store.safetensors_writer import SafetensorsWriter, forms
from tests.helpers.checkpoints import FAMILIES, write_opt, write_text
from tests.helpers.torch_files import (
    REBUILD,
    SINGLE,
    as_bin,
    glob,
    one_tensor,
    storage,
    table,
    tensor,
    text,
    write_bin,
    write_zip,
)

REAL = Path(__file__).parent / "fixtures" / "torch_state_dict.bin"
INDEX = "model.safetensors.index.json"


def expected(*shape: int) -> list:
    """The values that the fixture's script put into a tensor."""
    return (np.arange(np.prod(shape)).reshape(shape) / 8).tolist()


# What is read.


def test_what_pytorch_itself_wrote():
    tensors = read_torch(REAL)
    assert {name: t.dtype for name, t in tensors.items() if t.dtype != "float32"} == {
        "half": "float16",
        "tied": "float16",
        "transposed": "float16",
        "some_rows": "float16",
        "bfloat": "bfloat16",
    }
    content = {name: t.read().tolist() for name, t in tensors.items()}
    half = np.array(expected(6, 4))
    assert content == {
        "float": expected(5, 3),
        "half": half.tolist(),
        "bfloat": expected(2, 3, 4),
        "tied": half.tolist(),
        "transposed": half.T.tolist(),
        "some_rows": half[2:4].tolist(),
        "parameter": expected(7),
        "lying": expected(1, 4),
        "scalar": [0.0],
    }


@pytest.mark.parametrize("name", ["float", "half", "bfloat", "transposed", "parameter"])
def test_rows_and_pieces_are_those_of_the_whole(name):
    stored = read_torch(REAL)[name]
    whole = stored.read()
    assert stored.read(slice(1, 3)).tolist() == whole[1:3].tolist()
    assert mx.concatenate(list(stored.pieces(20))).tolist() == whole.tolist()
    assert (stored.size, stored.nbytes) == (whole.size, whole.nbytes)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_safetensors_are_read_as_mlx_reads_them(tmp_path, dtype):
    path = tmp_path / "file"
    arrays = {"a": mx.random.normal((5, 3)), "b": mx.arange(4.0), "c": mx.random.normal((2, 2, 2)).swapaxes(0, 2)}
    arrays = {name: array.astype(getattr(mx, dtype)) for name, array in arrays.items()}
    with SafetensorsWriter(path, forms(dtype, {name: array.shape for name, array in arrays.items()})) as file:
        for array in arrays.values():
            file.write(array)
    stored, loaded = read_safetensors(path), mx.load(str(path), format="safetensors")
    assert stored.keys() == loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert mx.array_equal(stored[name].read(), array)
        assert mx.array_equal(loaded[name], array)
        assert stored[name].read().dtype == array.dtype


def test_a_zip_of_more_than_32_bits(tmp_path, monkeypatch):
    # As if anything above 100 bytes were too large for the fields of 32 bits.
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    arrays = {"a": np.arange(60, dtype=np.float32).reshape(6, 10), "b": np.ones(3, np.float16)}
    path = write_bin(tmp_path / "file.bin", arrays)
    assert b"PK\6\6" in path.read_bytes()
    for name, stored in read_torch(path).items():
        assert np.array_equal(np.array(stored.read()), arrays[name])


@pytest.mark.parametrize("shards", [1, 3])
def test_old_checkpoints_give_the_same_prepared_model(tiny_checkpoint, tiny_model, tmp_path, shards):
    folder = as_bin(tiny_checkpoint, tmp_path / "tiny-opt", shards)
    prepare(folder, tmp_path / "out", write_text(tmp_path / "text"))
    for file in (BUNDLES, RESIDENT, PREDICTOR):
        assert (tmp_path / "out" / file).read_bytes() == (tiny_model / file).read_bytes()


def test_safetensors_are_preferred(tiny_checkpoint, tmp_path):
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "both")
    (folder / "pytorch_model.bin").write_bytes(b"whatever")
    assert len(Checkpoint.open(folder).weights) == len(load_file(tiny_checkpoint / SINGLE))


# Hostile pickles and zips.


class System:
    def __reduce__(self):
        import os

        return os.system, ("touch owned",)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_that_runs_a_command_runs_nothing(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    path = write_zip(tmp_path / "x.bin", pickle.dumps({"weight": System()}, protocol), {})
    with pytest.raises(CheckpointError, match=r"system|its pickle uses") as caught:
        read_torch(path)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "name", ["posix system", "builtins eval", "builtins getattr", "torch.hub load", "torch QInt8Storage", "torch x.y"]
)
def test_a_global_that_is_not_allowed_is_named(tmp_path, name):
    with pytest.raises(CheckpointError, match=name.replace(" ", ".")):
        read_torch(write_zip(tmp_path / "x.bin", b"\x80\x02" + glob(name) + text("touch owned") + b"\x85R.", {}))


GOOD = storage("0", 6)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (tensor(GOOD, [2, 4], [4, 1]), "beyond its storage"),
        (tensor(GOOD, [2, 3], [3, 1], offset=1), "beyond its storage"),
        (tensor(GOOD, [2, 3], [3, 1], offset=-1), "beyond its storage"),
        (tensor(GOOD, [2, 3], [3, 1], offset=2**200), "beyond its storage"),
        (tensor(GOOD, [2, -3], [3, 1]), "the length -3"),
        (tensor(GOOD, [0, 3], [3, 1]), "the length 0"),
        (tensor(GOOD, [2**60, 2**60], [2**60, 1]), "the length 11529"),
        (tensor(GOOD, [2**30, 2**30, 2**30], [2**60, 2**30, 1]), "beyond its storage"),
        (tensor(GOOD, [1] * 9, [1] * 9), "shape"),
        (tensor(GOOD, [2, 3], [0, 1]), "neither whole rows nor a transpose"),
        (tensor(GOOD, [2, 3], [1]), "neither whole rows nor a transpose"),
        (tensor(GOOD, [2, 2], [3, 1]), "neither whole rows nor a transpose"),
        (tensor(GOOD, [2, 2], [-2, 1]), "neither whole rows nor a transpose"),
        (tensor(storage("0", 7), [2, 3], [3, 1]), "'0' is missing or shorter"),
        (tensor(storage("0", -1), [2, 3], [3, 1]), "'0' is missing or shorter"),
        (tensor(storage("1", 6), [2, 3], [3, 1]), "'1' is missing or shorter"),
        (tensor(storage("../data.pkl", 6), [2, 3], [3, 1]), "is missing or shorter"),
        (tensor(text("storage"), [2, 3], [3, 1]), "as PyTorch never does"),
        (text("storage") + b"Q", "as PyTorch never does"),
        (glob(REBUILD) + b")R", "malformed"),
        (glob("torch FloatStorage") + b")R", "malformed"),
        (glob("collections OrderedDict") + text("x") + b"\x85\x85R", "malformed"),
        (text("just text"), "'weight' is no tensor"),
        (GOOD, "'weight' is no tensor"),
        (b"}" + text("inner") + text("table") + b"s", "'weight' is no tensor"),
        (b"h\x07", "malformed"),
        (b"R", "malformed"),
        (b"N(t\x85b", "malformed"),
        (b"(" * 1000, "malformed"),
        (b"\x93", "STACK_GLOBAL"),
        (b"\x81", "NEWOBJ"),
        (b"i" + b"os\nsystem\n", "INST"),
        (b"\x82\x01", "EXT1"),
        (b"Iinf\n", "cannot be read"),
        (b"\xff", "cannot be read"),
    ],
)
def test_a_hostile_table_is_refused(tmp_path, value, message):
    with pytest.raises(CheckpointError, match=message):
        read_torch(one_tensor(tmp_path / "x.bin", value))


@pytest.mark.parametrize("end", [b"Q.", b"}h\x00h\x00s.", b"cos\nsystem\nh\x00R.", b"h\x00N\x86R."])
def test_tuples_within_tuples_cost_nothing(end):
    # 2^200 leaves, if anything walked, hashed or printed them.
    nested = b"\x80\x02)" + b"q\x00h\x00\x86" * 200 + b"q\x00"
    with pytest.raises(ValueError, match=r"malformed|os\.system|no storage"):
        read_pickle(nested + end, {}, _no_storage)


def _no_storage(identity):
    raise ValueError("no storage")


def test_a_zip_bomb_is_refused(tmp_path):
    path = write_zip(tmp_path / "x.bin", table({}), {"0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(CheckpointError, match="is compressed or encrypted"):
        read_torch(path)


def test_an_absurd_pickle_is_not_parsed(tmp_path):
    with pytest.raises(CheckpointError, match=r"data\.pkl is absurdly large"):
        read_torch(write_zip(tmp_path / "x.bin", b"N0" * 3_000_000 + b".", {}))


def corrupt(path: Path, old: bytes, new: bytes, which: int = -1) -> Path:
    """Replace one occurrence, the last by default (the directory's, not the local header's)."""
    parts = path.read_bytes().split(old)
    at = which % (len(parts) - 1) + 1
    path.write_bytes(old.join(parts[:at]) + new + old.join(parts[at:]))
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.bin", "w") as archive:
        for _ in range(2):
            archive.writestr("archive/data.pkl", table({}))
    with pytest.raises(CheckpointError, match=r"'archive/data\.pkl' twice"):
        read_torch(tmp_path / "x.bin")


def test_a_zip_that_lies_about_its_entries_is_refused(tmp_path):
    def again() -> Path:
        return one_tensor(tmp_path / "x.bin", tensor(GOOD, [2, 3], [3, 1]))

    assert read_torch(again())["weight"].shape == (2, 3)
    sizes = struct.pack("<2L", 24, 24)
    for old, new, which, message in [
        (sizes, struct.pack("<2L", 24_000, 24_000), -1, "lies outside the file"),
        (sizes, struct.pack("<2L", 24, 25), -1, "compressed or encrypted"),
        (sizes, b"\xff" * 8, -1, "64-bit size is missing"),
        (b"archive/data/0", b"archive/data/1", -1, "not where the directory says"),
        (b"PK\1\2", b"PK\1\1", -1, "directory is malformed"),
        (b"PK\5\6", b"PK\5\5", -1, "does not end as a zip archive"),
        (b"PK\3\4", b"PK\3\3", 0, "is no zip archive"),
        (b"archive/data.pkl", b"archive/other.pk", -1, "not where the directory says"),
    ]:
        with pytest.raises(CheckpointError, match=message):
            read_torch(corrupt(again(), old, new, which))


def test_entries_that_overlap_are_refused(tmp_path):
    # The storage's bytes hold a second local header, which the directory names.
    inner = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, 0, 8, 8, 14, 0) + b"archive/data/1" + bytes(8)
    path = write_zip(tmp_path / "x.bin", table({}), {"0": inner, "1": bytes(8)})
    content = path.read_bytes()
    place, entry = content.index(inner), content.rindex(b"PK\1\2")
    path.write_bytes(content[: entry + 42] + struct.pack("<L", place) + content[entry + 46 :])
    with pytest.raises(CheckpointError, match="overlaps another entry"):
        read_torch(path)


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"\x93NUMPY" * 9])
def test_other_files_named_bin_are_refused(tmp_path, content):
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.bin cannot be read: .*(Download|Save) it again"):
        read_torch(tmp_path / "x.bin")


def test_a_big_endian_file_is_refused(tmp_path):
    path = write_zip(tmp_path / "x.bin", table({}), {})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/byteorder", "big")
    with pytest.raises(CheckpointError, match="big-endian"):
        read_torch(path)


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(data=st.data())
def test_damage_anywhere_fails_clearly_or_not_at_all(tmp_path, data):
    content = bytearray(REAL.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "x.bin").write_bytes(content[: data.draw(st.integers(len(content) - 60, len(content)))])
    _read_everything(read_torch, tmp_path / "x.bin")


@FUZZ
@given(data=st.binary(max_size=40))
def test_any_pickle_fails_clearly_or_not_at_all(tmp_path, data):
    _read_everything(read_torch, write_zip(tmp_path / "x.bin", data + b".", {}))


@FUZZ
@given(
    header=st.recursive(
        st.none() | st.integers(-5, 2**70) | st.floats() | st.text() | st.sampled_from(["F32", "I8"]),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "w"]), inner, max_size=4)
        ),
    )
)
def test_any_header_fails_clearly_or_not_at_all(tmp_path, header):
    write_header(tmp_path / "x", header)
    _read_everything(read_safetensors, tmp_path / "x")


def _read_everything(read, path: Path) -> None:
    try:
        for stored in read(path).values():
            stored.read()
    except CheckpointError as error:
        assert str(path) in str(error)


# Hostile safetensors.


def write_header(path: Path, header: object, data: bytes = bytes(64)) -> Path:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(content)) + content + data)
    return path


def entry(dtype="F32", shape=(2, 2), offsets=(0, 16)) -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ([], "is no table"),
        (b"{", "cut off"),
        (b"{]", "is no JSON"),
        (b"\xff\xfe", "is no UTF-8 text"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a": {}, "a": {}}', "a name twice"),
        ({"a": 1}, "'a' is malformed"),
        ({"a": {"dtype": "F32"}}, "'a' is malformed"),
        ({"a": entry(dtype="I65")}, "dtype 'I65'"),
        ({"a": entry(shape=[2**40], offsets=[0, 2**42])}, "the length 1099511627776"),
        ({"a": entry(shape=[2**31 - 1] * 8)}, "needs"),
        ({"a": entry(shape=[2, True])}, "the length True"),
        ({"a": entry(shape=[2, -2])}, "the length -2"),
        ({"a": entry(shape=[2.0, 2])}, "the length 2.0"),
        ({"a": entry(offsets=[0, 12])}, "12 bytes where its shape needs 16"),
        ({"a": entry(offsets=[-16, 0])}, "outside the file"),
        ({"a": entry(offsets=[16, 0])}, "outside the file"),
        ({"a": entry(offsets=[56, 72])}, "ends before 'a' does"),
        ({"a": entry(offsets=[2**70, 2**70 + 16])}, "ends before 'a' does"),
        ({"a": entry(offsets=[0, 16.0])}, "'a' is malformed"),
        ({"a": entry(), "b": entry(offsets=[12, 28])}, "overlaps"),
        ({"a": entry(), "b": entry()}, "overlaps"),
    ],
)
def test_a_hostile_header_is_refused(tmp_path, header, message):
    with pytest.raises(CheckpointError, match=message):
        read_safetensors(write_header(tmp_path / "x", header))


@pytest.mark.parametrize("length", [2**60, 2**64 - 1, 100_000_001, 65])
def test_a_header_longer_than_the_file_is_not_read(tmp_path, length):
    (tmp_path / "x").write_bytes(struct.pack("<Q", length) + bytes(64))
    with pytest.raises(CheckpointError, match=f"header of {length} bytes"):
        read_safetensors(tmp_path / "x")


# Checkpoints as a whole.


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("name", ["layers.1.fc2.weight", "embed_tokens.weight", "layers.0.self_attn.q_proj.bias"])
def test_weights_that_are_no_numbers_are_named(tmp_path, name, dtype, value):
    folder, name = write_opt(tmp_path / "x", tokenizer=False), f"model.decoder.{name}"
    weights = {key: array.astype(dtype) for key, array in load_file(folder / SINGLE).items()}
    weights[name].flat[-1] = value
    save_file(weights, folder / SINGLE)
    stored = Checkpoint.open(folder).weights[name]
    with pytest.raises(CheckpointError, match=f"'{name}' in .* NaN or infinite"):
        stored.read()


def test_prepare_stops_at_weights_that_are_no_numbers(tiny_checkpoint, tmp_path):
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "x")
    weights = dict(load_file(folder / SINGLE))
    weights["model.decoder.layers.0.fc1.weight"][5, 5] = np.nan
    save_file(weights, folder / SINGLE)
    with pytest.raises(CheckpointError, match=r"layers\.0\.fc1\.weight' in .* NaN or infinite"):
        prepare(folder, tmp_path / "out", write_text(tmp_path / "text"))
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 10**12},
        {"hidden_size": -24},
        {"hidden_size": 0},
        {"hidden_size": True},
        {"hidden_size": "24"},
        {"hidden_size": 24.0},
        {"hidden_size": None},
        {"hidden_size": [24]},
        {"ffn_dim": 10**12},
        {"vocab_size": 10**30},
        {"num_hidden_layers": 10**9},
        {"max_position_embeddings": -1},
        {"num_attention_heads": 0},
        {"num_attention_heads": 7},
        {"word_embed_proj_dim": -3},
    ],
)
def test_an_absurd_config_is_refused_before_anything_is_built(tmp_path, changes):
    folder = write_opt(tmp_path / "x", tokenizer=False)
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=rf"config\.json .*{next(iter(changes)).split('_')[-1]}"):
        Checkpoint.open(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": ["opt"]}, r"Models of type \['opt'\] are not supported"),
        ({"activation_function": ["relu"]}, r"FFN uses \['relu'\]"),
        ({"quantization": {"bits": 4, "group_size": 64}}, r"quantised \(4 bits\)"),
        ({"quantization_config": {"quant_method": "gptq"}}, r"quantised \(packed weights\)"),
    ],
)
def test_what_cannot_be_prepared_is_refused_before_any_weight_is_read(tmp_path, changes, message):
    folder = write_opt(tmp_path / "x", tokenizer=False)
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    (folder / SINGLE).unlink()
    with pytest.raises(CheckpointError, match=message):
        Checkpoint.open(folder)


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("falcon-40b", {"ffn_hidden_size": 10**12}, "ffn_hidden_size: expected int <="),
        ("falcon-40b", {"num_kv_heads": -3}, "num_kv_heads: expected int >="),
        ("falcon-40b", {"num_kv_heads": 3}, "3 attention heads cannot share 4 evenly"),
        ("llama", {"rms_norm_eps": float("nan")}, "rms_norm_eps: expected float"),
        ("llama", {"rope_theta": 0}, "rope_theta: expected float > 0"),
        ("llama", {"head_dim": 5}, "no pairs"),
        ("llama", {"rope_scaling": {"type": "linear", "factor": "2"}}, "rope_scaling.factor: expected float"),
        ("phi", {"partial_rotary_factor": 5}, "partial_rotary_factor: expected float <="),
    ],
)
def test_values_that_no_model_has_are_refused_by_name(family, changes, message):
    with pytest.raises(CheckpointError, match=message):
        build(FAMILIES[family] | changes)


@pytest.mark.parametrize("content", [b"[" * 200_000, b"\xff", b"1" * 5000, b'{"model_type": "opt"'])
def test_a_config_that_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        Checkpoint.open(tmp_path)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({}, "missing required field weight_map"),
        ({"weight_map": ["a"]}, "weight_map: expected table, got list"),
        ({"weight_map": {"a": 1}}, "expected str, got int"),
        ({"weight_map": {"a": "/etc/passwd"}}, "outside its folder"),
        ({"weight_map": {"a": "sub/model.safetensors"}}, "outside its folder"),
        ({"weight_map": {"a": "model.bin"}}, "of another kind"),
        ({"weight_map": {"a": ""}}, "of another kind"),
        ({"weight_map": {"a": "\ud800.safetensors"}}, "lacks"),
        ({"weight_map": {"a": SINGLE}}, "promises weights that are not in their shards: a"),
        ({"weight_map": {"a": "copy.safetensors", "b": SINGLE}}, "holds what another shard has too"),
    ],
)
def test_an_index_that_lies_is_refused(tmp_path, index, message):
    folder = write_opt(tmp_path / "x", tokenizer=False)
    shutil.copy(folder / SINGLE, folder / "copy.safetensors")
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=message):
        Checkpoint.open(folder)


def test_a_shard_that_the_index_forgets_is_missed(tmp_path):
    folder = write_opt(tmp_path / "x", shards=3)
    weight_map = json.loads((folder / INDEX).read_text())["weight_map"]
    kept = {name: file for name, file in weight_map.items() if "00002" not in file}
    (folder / INDEX).write_text(json.dumps({"weight_map": kept}))
    with pytest.raises(CheckpointError, match=r"do not fit its config\.json\. missing: .* and \d+ more"):
        prepare(folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("model.decoder.layers.1.fc1.bias"), r"missing: model\.layers\.1\.ffn\..*bias"),
        (lambda w: w.update(extra=np.ones(3, np.float32)), r"unknown: model\.extra"),
        (lambda w: w.update({"model.decoder.layers.1.fc1.bias": np.ones(96)}), r"dtype that is not read: .*fc1|ffn"),
        (lambda w: w.update({"decoder.layers.0.fc1.bias": np.ones(96, np.float32)}), "there twice"),
        (
            lambda w: w.update({"model.decoder.layers.0.fc1.bias": np.ones(95, np.float32)}),
            r"of another shape: model\.layers\.0\.ffn\..*bias \[95\], not \[96\]",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path, change, message):
    folder = write_opt(tmp_path / "x", tokenizer=False)
    weights = dict(load_file(folder / SINGLE))
    change(weights)
    save_file(weights, folder / SINGLE)
    with pytest.raises(CheckpointError, match=message):
        prepare(folder, tmp_path / "out")


def test_buffers_of_integers_are_left_out(tmp_path):
    folder = write_opt(tmp_path / "x", tokenizer=False)
    weights = dict(load_file(folder / SINGLE))
    weights["model.decoder.position_ids"] = np.arange(64)
    weights["model.decoder.mask"] = np.ones(64, bool)
    save_file(weights, folder / SINGLE)
    prepare(folder, tmp_path / "out")
    assert (tmp_path / "out" / BUNDLES).is_file()


@pytest.mark.parametrize("file", ["model.gguf", "consolidated.00.pth", "tf_model.h5"])
def test_other_formats_are_refused_by_name(tmp_path, file):
    folder = write_opt(tmp_path / "x", tokenizer=False)
    (folder / SINGLE).rename(folder / file)
    with pytest.raises(CheckpointError, match=rf"lacks model\.safetensors or pytorch_model\.bin.* {file} cannot be"):
        Checkpoint.open(folder)


def test_a_file_that_shrinks_while_it_is_read_is_named(tmp_path):
    folder = write_opt(tmp_path / "x", tokenizer=False)
    stored = Checkpoint.open(folder).weights["model.decoder.layers.1.fc2.weight"]
    (folder / SINGLE).write_bytes((folder / SINGLE).read_bytes()[: stored.offset + 10])
    with pytest.raises(CheckpointError, match="ends within 'model"):
        stored.read()
    (folder / SINGLE).unlink()
    with pytest.raises(CheckpointError, match="No such file"):
        stored.read()


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 123456\n".encode()
TOKENIZER_CONFIG = "tokenizer_config.json"


@pytest.mark.parametrize("name", [SINGLE, "config.json", "tokenizer.json", TOKENIZER_CONFIG, "generation_config.json"])
@pytest.mark.parametrize(
    ("content", "message"), [(POINTER, r"is a Git LFS pointer .* Run `git lfs pull`"), (b"", "is empty")]
)
def test_what_git_or_a_copy_left_unfinished_is_named_with_its_cure(tmp_path, name, content, message):
    folder = write_opt(tmp_path / "x")
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{name} cannot be read: it {message}"):
        prepare(folder, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", TOKENIZER_CONFIG, "generation_config.json"])
def test_a_table_that_is_cut_off_is_named(tmp_path, name):
    folder = write_opt(tmp_path / "x")
    (folder / name).write_text('{"a": {"b": 1')
    with pytest.raises(CheckpointError, match=rf"{name} cannot be read: it is cut off"):
        Checkpoint.open(folder)


def test_byte_order_marks_are_read_and_not_copied(tmp_path):
    folder = write_opt(tmp_path / "x")
    for name in ("config.json", TOKENIZER_CONFIG):
        (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())
    prepare(folder, tmp_path / "out", write_text(tmp_path / "text"))
    assert (tmp_path / "out" / TOKENIZER_CONFIG).read_bytes()[:1] == b"{"


@pytest.mark.parametrize("name", ["nowhere", "x" * 5000])
def test_a_folder_that_cannot_be_is_told_in_one_line(tiny_checkpoint, tmp_path, name):
    with pytest.raises(FlashbulbError):
        prepare(tmp_path / name, tmp_path / "out")
    if name != "nowhere":
        with pytest.raises(FlashbulbError):
            prepare(tiny_checkpoint, tmp_path / name)


MEASURE = """
import resource, sys
from pathlib import Path
import numpy as np
from engine.prepare import prepare as module
from engine.sparsity.training import Quality, TrainedPredictor
def untrained(activity, up, bias, ranks):
    width, neurons = activity.inputs.shape[1], activity.neurons
    weights = [np.zeros(shape, np.float32) for shape in ((32, width), (neurons, 32), (neurons,))]
    return TrainedPredictor(*weights, Quality(0.5, 1.0, 0.0))
module.train_predictor, module.CALIBRATION_TOKENS = untrained, 1000
def peak():
    if sys.platform == "linux":  # where getrusage counts what the parent held before it started this
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
module.prepare(Path(sys.argv[1]), Path(sys.argv[1] + "-out"))  # whatever is loaded once
before = peak()
module.prepare(Path(sys.argv[2]), Path(sys.argv[2] + "-out"))
print(peak() - before)
"""


def test_a_model_is_never_in_memory_as_a_whole(tmp_path):
    sizes = {"hidden_size": 512, "word_embed_proj_dim": 512, "ffn_dim": 2048, "num_hidden_layers": 16}
    small, large = write_opt(tmp_path / "small", False), write_opt(tmp_path / "large", False, **sizes)
    total = (large / SINGLE).stat().st_size
    large = as_bin(large, tmp_path / "old")  # both kinds of file are read by the same StoredTensor
    command = [sys.executable, "-c", MEASURE, str(small), str(large)]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < total / 2, f"{grown} bytes for {total} of weights, {total // 16} a layer"
