"""The stages of a decoded token's time: the decode loop with a stopwatch at each of its stages.

MLX computes late, so that a stage would otherwise be paid for where its result is first looked at. Here each stage is
evaluated at its end, which costs a little: tokens that are measured for a table are not measured in this way.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.inference.model import LoadedModel
from engine.sparsity.selectors import Selector

STAGES = ("embedding", "attention", "selection", "memory management", "flash", "FFN", "head")
REST = "the rest"  # norms, sums, Python


class Timed(Protocol):
    """Makes a call and takes its time."""

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """The call's result."""


class Stopwatch:
    """Watches a loaded model, which is of no other use afterwards. Times are of all tokens decoded through it."""

    def __init__(self, model: LoadedModel):
        self.tokens = 0
        self._model, self._total = model, 0.0
        self._seconds = dict.fromkeys(STAGES, 0.0)
        inner: Any = model.network
        _watch(inner, "embed", self._timer("embedding"))
        _watch(inner, "logits", self._timer("head"))
        for layer in inner.layers:
            _watch(layer["self_attention" if "self_attention" in layer else "self_attn"], "__call__",
                   self._timer("attention"))  # fmt: skip
            _watch(layer.ffn, "__call__", self._ffn)
        model.replace_selectors(lambda _, selector: _Watched(selector, self._timer("selection")))

    def decode(self, token: int) -> mx.array:
        """As the model's, and counted."""
        began = perf_counter()
        logits, current = self._model.decode(token)
        self._total += perf_counter() - began
        self._seconds["flash"] += current.io_s
        self._seconds["memory management"] += current.memory_s
        self.tokens += 1
        return logits

    def milliseconds(self) -> dict[str, float]:
        """Of a token, by stage."""
        rest = self._total - sum(self._seconds.values())
        return {stage: 1e3 * s / max(1, self.tokens) for stage, s in (self._seconds | {REST: rest}).items()}

    def _timer(self, stage: str) -> Timed:
        def timed(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            began = perf_counter()
            result = function(*args, **kwargs)
            if isinstance(result, mx.array):
                mx.eval(result)
            self._seconds[stage] += perf_counter() - began
            return result

        return timed

    def _ffn(self, function: Callable[[mx.array], mx.array], x: mx.array) -> mx.array:
        """The time that an FFN takes beside what is counted within it."""
        mx.eval(x)
        current, selection = self._model.streaming.passes.current, self._seconds["selection"]
        before, began = current.io_s + current.memory_s, perf_counter()
        y = function(x)
        mx.eval(y)
        within = current.io_s + current.memory_s - before + self._seconds["selection"] - selection
        self._seconds["FFN"] += perf_counter() - began - within
        return y


class _Watched:
    """A selector whose answers are timed."""

    def __init__(self, selector: Selector, timed: Timed):
        self._selector, self._timed = selector, timed

    def active(self, x: mx.array) -> NDArray[np.bool_]:
        return self._selector.active(x)

    def select(self, x: mx.array) -> NDArray[np.int64]:
        mx.eval(x)
        ids: NDArray[np.int64] = self._timed(self._selector.select, x)
        return ids

    def guess(self, x: mx.array, shift: float) -> NDArray[np.int64]:
        ids: NDArray[np.int64] = self._timed(self._selector.guess, x, shift)
        return ids


def _watch(thing: Any, method: str, timed: Timed) -> None:
    """Let timed(function, ...) make the calls of one object's method."""
    kind = type(thing)
    function = getattr(kind, method)
    watched = {method: lambda self, *args, **kwargs: timed(function.__get__(self), *args, **kwargs)}
    thing.__class__ = type(kind.__name__, (kind,), watched)
