"""Tiny checkpoints whose experts leave most neurons at exactly zero, as squared ReLU does."""

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from engine.flash.profile import profile_path
from engine.planning.measured import Measured
from tests.helpers.drives import FAST, profile
from tests.helpers.mlx_models import AFFINE4, write_moe

NEURONS, WIDTH = 512, 512
SILENT_SHARE = 0.9  # of neurons, which never fire; of the others half do
MANY_READS, LONG_READS = {"iops": 1e6, "bandwidth": 2e8}, {"iops": 1e4, "bandwidth": 5e9}  # what a drive is good at


def write_sparse_experts(folder: Path, form: dict[str, Any] | None = AFFINE4) -> Path:
    """A Nemotron-H in a new folder."""
    write_moe(folder, "nemotron_h", form, moe_intermediate_size=NEURONS, hidden_size=WIDTH)
    path = folder / "model.safetensors"
    tensors = mx.load(str(path))
    silent = mx.array(np.random.default_rng(0).random(NEURONS) < SILENT_SHARE)[None, :, None]
    for name in [name for name in tensors if ".fc1." in name]:
        if name.rpartition(".")[2] in ("scales", "biases") or form is None:
            tensors[name] = mx.where(silent, mx.zeros_like(tensors[name]), tensors[name])
    mx.eval(tensors)
    path.unlink()
    mx.save_safetensors(str(path), tensors)
    return folder


def measure(folder: Path, active_share: float | None, drive: dict[str, float]) -> None:
    """Let it be known how many neurons of a checkpoint's experts fire, and what its drive is like."""
    found = profile(processor=FAST, **drive)
    found.save(profile_path(folder))
    Measured(found.measured, 100, active_share=active_share).save(folder)
