"""The caches of a model, of whatever architecture: what its layers remember of the tokens before."""

from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx_lm.models.cache import make_prompt_cache

from engine.arrays.attention import unevaluated


def shaped_caches(model: Module, tokens: int = 1) -> list[Any]:
    """mlx-lm's caches by layer, as they are after so many tokens: shapes and dtypes are known, nothing is evaluated."""
    caches: list[Any] = make_prompt_cache(model)
    with unevaluated():
        model(mx.zeros((1, tokens), mx.int32), cache=caches)
    return caches
