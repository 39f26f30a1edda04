"""A folder in MLX's format: what is one, and what of it is read."""

import mlx.core as mx
import pytest

from engine.errors import CheckpointError
from engine.store.mlx_folder import MlxFolder, is_mlx_folder


@pytest.fixture
def folder(tmp_path):
    mx.save_safetensors(str(tmp_path / "model.safetensors"), {"packed": mx.zeros((3, 2), mx.uint32), "x": mx.ones(4)})
    (tmp_path / "config.json").write_text('{"model_type": "any"}')
    return tmp_path


def test_tensors_of_all_dtypes_are_known_by_name(folder):
    opened = MlxFolder.open(folder)  # MLX has written null for what it noted
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in opened.tensors.items()} == {
        "packed": ("U32", (3, 2)),
        "x": ("float32", (4,)),
    }
    assert (opened.bytes, opened.config, opened.name) == (40, {"model_type": "any"}, folder.name)


def test_a_prepared_model_and_a_folder_without_weights_are_none(folder):
    assert is_mlx_folder(folder)
    (folder / "manifest.json").write_text("{}")
    assert not is_mlx_folder(folder)
    (folder / "manifest.json").unlink()
    (folder / "model.safetensors").unlink()
    assert not is_mlx_folder(folder)
    with pytest.raises(CheckpointError, match="has no weights"):
        MlxFolder.open(folder)
