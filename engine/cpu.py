"""Products of many tokens without a GPU: MLX has only a reference BLAS on the CPU, numpy's is many times faster."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np


def product(x: mx.array, weight: mx.array) -> mx.array:
    """x @ weight.T for x [..., tokens, in] and weight [out, in]; through numpy where that is faster.

    A float32 x makes a float32 product, whatever the weight is stored in.
    """
    if mx.metal.is_available() or x.shape[-2] == 1 or x.dtype != mx.float32:
        return x @ weight.T
    return mx.array(np.array(x) @ np.array(weight.astype(mx.float32), copy=False).T)


class _Linear(nn.Linear):
    def __call__(self, x: mx.array) -> mx.array:
        y = product(x, self.weight)
        return y + self.bias if "bias" in self else y


class _Embedding(nn.Embedding):
    def as_linear(self, x: mx.array) -> mx.array:
        return product(x, self.weight)


def use_fast_products(model: nn.Module) -> None:
    """Let a model's linear layers and its head use `product`. Of no effect where there is a GPU."""
    faster = {nn.Linear: _Linear, nn.Embedding: _Embedding}
    for module in model.modules():
        if type(module) in faster and not mx.metal.is_available():
            module.__class__ = faster[type(module)]
