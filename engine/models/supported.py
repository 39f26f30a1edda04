"""The models that run here: of our architectures, by their neurons, and of mlx-lm's."""

from typing import Any

from engine.errors import CheckpointError
from engine.models import ARCHITECTURES, architecture
from engine.models.mlx_lm import build_mlx_lm


def check_supported(config: dict[str, Any]) -> None:
    """Raises CheckpointError for a model that can neither be prepared, nor converted, nor run as it is."""
    try:
        architecture(config)
    except CheckpointError as ours:
        try:
            build_mlx_lm(config)
        except CheckpointError:
            if config.get("model_type") in ARCHITECTURES:
                raise ours from None
            raise
