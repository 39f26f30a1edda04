"""A checkpoint whose experts can be read by their neurons, made of one that is in MLX's form."""

import numpy as np
import pytest

from engine.errors import CheckpointError, DiskFullError
from engine.flash.profile import profile_path
from engine.planning.measured import Measured
from engine.prepare.columns import add_columns
from engine.prepare.making import make
from engine.store.columns import COLUMNS, read_columns
from engine.store.mlx_folder import MlxFolder
from tests.helpers.drives import profile
from tests.helpers.mlx_models import write_moe
from tests.helpers.sparse_experts import NEURONS, WIDTH, write_sparse_experts


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_sparse_experts(tmp_path_factory.mktemp("sparse") / "model")


def test_the_checkpoint_stays_what_it_is_and_its_columns_are_beside_it(source, tmp_path):
    told = []
    make(source, tmp_path / "out", progress=lambda stage, share: told.append((stage, share)))
    assert told[-1] == ("columns", 1.0)
    made = MlxFolder.open(tmp_path / "out")
    assert made.config == MlxFolder.open(source).config
    assert (tmp_path / "out" / "model.safetensors").samefile(source / "model.safetensors")
    [(name, columns)] = read_columns(tmp_path / "out").items()
    weight = made.tensors[f"{name}.fc2.weight"]
    assert columns.shape == (16 * NEURONS, WIDTH // 8)
    assert columns.offset % 4096 == 0
    content = columns.path.read_bytes()[columns.offset :]
    matrix = np.frombuffer((source / "model.safetensors").read_bytes(), np.uint8, weight.nbytes, weight.offset)
    matrix = matrix.reshape(16, WIDTH, NEURONS // 2)
    expert, neuron, output = 3, 77, 5
    octet = content[(expert * NEURONS + neuron) * WIDTH // 2 + output // 2]
    assert octet >> 4 * (output % 2) & 15 == matrix[expert, output, neuron // 2] >> 4 * (neuron % 2) & 15


def test_how_many_neurons_are_zero_is_known_from_the_old_one(source, tmp_path):
    drive = profile()
    drive.save(profile_path(source))
    Measured(drive.measured, 50, misses=2.0, active_share=0.25).save(source)
    add_columns(source, tmp_path / "out")
    assert Measured.load(tmp_path / "out", drive) == Measured(drive.measured, 50, active_share=0.25)


def test_what_is_never_read_by_neurons_runs_as_it_is(tmp_path):
    with pytest.raises(CheckpointError, match="runs as it is"):
        make(write_moe(tmp_path / "qwen"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_over_and_no_disk_is_filled(source, tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    with pytest.raises(CheckpointError, match="exists already"):
        add_columns(source, tmp_path / "there")
    monkeypatch.setattr("engine.prepare.room.free_bytes", lambda _: 1000)
    with pytest.raises(DiskFullError, match="Make room"):
        add_columns(source, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there"]


def test_a_damaged_checkpoint_makes_none(tmp_path):
    source = write_sparse_experts(tmp_path / "model")
    content = (source / "model.safetensors").read_bytes()
    (source / "model.safetensors").write_bytes(content[:-1000])
    with pytest.raises(CheckpointError):
        add_columns(source, tmp_path / "out")
    assert not (tmp_path / "out" / COLUMNS).exists()
