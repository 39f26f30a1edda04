"""Running a calibration text through a model, layer by layer, and recording what each FFN sees."""

from collections.abc import Iterator

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from engine.corpus import Sequence
from engine.cpu import use_fast_products
from engine.sparsity.training import LayerActivity


class CalibrationRun:
    """The hidden states of the calibration text, moved through the model one layer at a time."""

    def __init__(self, model, sequences: list[Sequence], context: int, limit: int):
        """limit: tokens to use at most."""
        use_fast_products(model)
        self._states = [
            model.embed(mx.array([tokens])).astype(mx.float32) for tokens in _runs(sequences, context, limit)
        ]
        mx.eval(self._states)
        self.tokens = sum(state.shape[1] for state in self._states)

    def through(self, layer, neurons: int) -> LayerActivity:
        """Move every sequence through a layer, in float32. Its dense FFN must be in place."""
        recorder = layer.ffn = RecordingFFN(layer.ffn)
        for i, state in enumerate(self._states):
            mask = "causal" if state.shape[1] > 1 else None
            self._states[i] = layer(state, mask)
            mx.eval(self._states[i])
        layer.ffn = recorder.dense
        return LayerActivity(np.concatenate(recorder.inputs), np.concatenate(recorder.active), neurons)


class RecordingFFN:
    """A dense FFN that keeps its inputs and which neurons were active.

    In numpy, whose BLAS is fast everywhere; MLX's on the CPU is not.
    """

    def __init__(self, dense: nn.Module):
        self.dense = dense
        self.inputs: list[np.ndarray] = []
        self.active: list[np.ndarray] = []
        *self._inputs, self._down = (np.array(part) for part in dense.bundle_parts())
        self._bias, self._down_bias = (np.float32(0) if bias is None else np.array(bias) for bias in dense.biases())
        self._activation = dense.activation

    def __call__(self, x: mx.array) -> mx.array:
        inputs = np.array(x[0])
        products = [inputs @ part.T for part in self._inputs]
        products[0] += self._bias
        hidden = self._activation.hidden(*products)
        self.inputs.append(inputs)
        self.active.append(np.packbits(hidden != 0, axis=1))
        return mx.array(hidden @ self._down + self._down_bias)[None]


def _runs(sequences: list[Sequence], context: int, limit: int) -> Iterator[list[int]]:
    for sequence in sequences:
        for start in range(0, len(sequence.tokens), context):
            run = sequence.tokens[start : start + min(context, limit)]
            if len(run) > 1:
                limit -= len(run)
                yield run
            if limit <= 1:
                return
