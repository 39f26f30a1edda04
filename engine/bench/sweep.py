"""A sweep: all that a token of a model whose layers are streamed whole reads, with nothing computed."""

from dataclasses import replace

from engine.inference.model import LoadedModel
from engine.statistics import TokenStatistics


def reading_alone(model: LoadedModel) -> TokenStatistics:
    """The cost of a token's blocks, read in the same order through the same ring."""
    current = model.streaming.passes.begin()
    for layer in model.streaming.layers:
        for _ in layer.stream():
            pass
    sweep = current.statistics(model.bundles)
    return replace(sweep, io_ms=sweep.total_ms, compute_ms=0.0, memory_ms=0.0)


def reading_rate(model: LoadedModel) -> float:
    """Bytes a second of that."""
    sweep = reading_alone(model)
    return sweep.bytes_read / (sweep.total_ms / 1e3)
