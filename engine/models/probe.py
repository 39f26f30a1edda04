"""Probes: they stand for a model's containers of experts while shapes are looked at, and nothing is computed."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import mlx.core as mx
from mlx.nn.layers.base import Module

from engine.models.checkpoint import module_at, replace_module


class Probe(Module):
    """Stands for a container whose output has `width` numbers. chosen: experts of a token, once it was called."""

    def __init__(self, container: Module, width: int):
        super().__init__()
        for name, child in container.children().items():  # its block may look for a norm there
            self[name] = child
        self._width, self.chosen = width, 0

    def __call__(self, x: mx.array, indices: mx.array) -> mx.array:
        """Zeros of the shape that the experts' output has; notes how many are chosen."""
        self.chosen = indices.shape[-1]
        return mx.zeros((*indices.shape, self._width), x.dtype)


@contextmanager
def probed(network: Module, widths: Mapping[str, int]) -> Iterator[list[Probe]]:
    """Probes in the place of the containers at some paths: the network may be called, and its result must not be
    evaluated. widths: of the containers' outputs, by path."""
    own = {path: module_at(network, path) for path in widths}
    probes = [Probe(own[path], width) for path, width in widths.items()]
    for path, probe in zip(widths, probes, strict=True):
        replace_module(network, path, probe)
    try:
        yield probes
    finally:
        for path, module in own.items():
            replace_module(network, path, module)
