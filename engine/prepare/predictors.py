"""The sources of a prepared model's predictors: training, a factorisation alone, or files that others published.

PowerInfer published a folder of `model_{layer}.pt` for each of its models: fc1.weight [rank, hidden] and fc2.weight
[neurons, rank] with a ReLU between them and no bias.
"""

from pathlib import Path

import mlx.core as mx
import numpy as np

from engine.errors import CheckpointError
from engine.prepare.torch_file import read_torch
from engine.sparsity.training import LayerActivity, TrainedPredictor, measure

TRAINED, FACTORISED, IMPORTED = "trained", "factorised", "imported"


def find_predictors(folder: Path, layers: int) -> None:
    """Raises CheckpointError unless a folder has a predictor for each layer."""
    if missing := [i for i in range(layers) if not (folder / f"model_{i}.pt").is_file()]:
        raise CheckpointError(
            "{folder} lacks model_{number}.pt: a folder of published predictors has one for each of the {layers} "
            "layers. Without --predictors they are trained.",
            folder=folder,
            number=missing[0],
            layers=layers,
        )


def import_predictor(folder: Path, layer: int, activity: LayerActivity) -> TrainedPredictor:
    """A published predictor, with a threshold that suits the calibration text. Raises CheckpointError."""
    path = folder / f"model_{layer}.pt"
    stored = read_torch(path)
    down, up = (stored.get(f"{name}.weight") for name in ("fc1", "fc2"))
    width, neurons = activity.inputs.shape[1], activity.neurons
    rank = down.shape[0] if down and down.shape else 0
    if not up or not down or down.shape != (rank, width) or up.shape != (neurons, rank):
        raise CheckpointError(
            "{path} is no predictor for this model: fc1.weight [rank, {width}] and fc2.weight [{neurons}, rank] are "
            "needed.",
            path=path,
            width=width,
            neurons=neurons,
        )
    matrices = [np.array(tensor.read().astype(mx.float32)) for tensor in (down, up)]
    weights = (matrices[0], matrices[1], np.zeros(neurons, np.float32))
    quality = measure(list(weights), activity, np.flatnonzero(activity.held_out), relu=True)
    return TrainedPredictor(*weights, quality, relu=True)
