"""Rotary positions as configs ask for them: over a whole head or a part of it, scaled or not."""

from typing import Any

import mlx.nn as nn
from mlx_lm.models.rope_utils import initialize_rope

from engine.errors import CheckpointError
from engine.models.config import RotaryArgs

# Those that mlx-lm computes as transformers does, within the context that the config names.
SCALINGS = ("default", "linear", "dynamic", "llama3", "yarn")


def rotary(args: RotaryArgs, share: float = 1.0) -> nn.Module:
    """`rope(x, offset)` for x [batch, heads, tokens, head_dim].

    args: with head_dim, max_position_embeddings, rope_theta, and rope_scaling, or newer configs' rope_parameters.
    share: how much of a head is turned, from its start. Raises CheckpointError for scalings that are not computed here.
    """
    parameters: dict[str, Any] = {"rope_theta": args.rope_theta, "partial_rotary_factor": share}
    for scaling in (args.rope_scaling, args.rope_parameters):
        parameters |= scaling.given() if scaling else {}
    kind = parameters["type"] = parameters.get("rope_type") or parameters.get("type") or "default"
    # mlx-lm takes no factor of attention and always rounds yarn's range of frequencies.
    unknown = parameters.get("attention_factor") is not None or parameters.get("truncate") is False
    if kind not in SCALINGS or (kind != "default" and (unknown or not parameters.get("factor"))):
        raise CheckpointError(
            "This model scales its rotary positions in a way that is not supported: {scaling}. Supported: {scalings}, "
            "without attention_factor.",
            scaling=parameters,
            scalings=", ".join(SCALINGS),
        )
    parameters.setdefault("original_max_position_embeddings", args.max_position_embeddings)
    if not (parameters.get("mscale") and parameters.get("mscale_all_dim")):
        parameters |= {"mscale": 1, "mscale_all_dim": 0}  # one without the other means nothing to transformers
    dims = int(args.head_dim * parameters["partial_rotary_factor"])
    if dims < 2 or dims % 2:
        raise CheckpointError(
            "This model turns {dims} values of each attention head, which are no pairs: its config.json is damaged. "
            "Download it again.",
            dims=dims,
        )
    rope: nn.Module = initialize_rope(dims, parameters["rope_theta"], False, parameters, args.max_position_embeddings)
    return rope
