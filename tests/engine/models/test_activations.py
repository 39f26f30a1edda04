import mlx.core as mx
import numpy as np
import pytest

from engine.models.activations import Activation

X, Y = np.array([-2.0, -0.1, 0.0, 0.005, 3.0], np.float32), np.array([1.0, -2.0, 5.0, -1.0, -2.0], np.float32)


@pytest.mark.parametrize(
    ("activation", "hidden"),
    [
        (Activation("relu"), [0, 0, 0, 0.005, 3]),
        (Activation("relu2"), [0, 0, 0, 0.000025, 9]),
        (Activation("fatrelu", threshold=0.01), [0, 0, 0, 0, 3]),
        (Activation("relu", gated=True), [0, 0, 0, -0.005, -6]),
        (Activation("fatrelu", gated=True, threshold=0.01), [0, 0, 0, 0, -6]),
        (Activation("drelu", gated=True), [0, 0, 0, 0, 0]),
    ],
)
def test_hidden_values_and_which_are_active(activation, hidden):
    inputs = (X, Y)[: len(activation.parts) - 1]
    assert activation.hidden(*inputs) == pytest.approx(np.array(hidden), abs=1e-7)
    assert np.array(activation.hidden(*(mx.array(i) for i in inputs))) == pytest.approx(np.array(hidden), abs=1e-7)
    assert activation.active(*inputs[: activation.decisive]).tolist() == [bool(h) for h in hidden]
