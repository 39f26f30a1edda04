"""The use of neurons in groups, as they are read once they are quantised: how well their order puts those together
that fire together."""

import numpy as np
from numpy.typing import NDArray

from engine.prepare.calibration import BATCH_TOKENS
from engine.sparsity.training import use_of
from engine.store.reports import GroupReport, Use

Bits = NDArray[np.uint8]


def grouped(needed: Bits, order: NDArray[np.integer], size: int) -> Bits:
    """Bits [tokens, groups / 8]: the groups that have a needed neuron. needed: bits [tokens, neurons / 8]. order: the
    neuron at each place; `size` neighbours are a group."""
    pieces = (needed[start : start + BATCH_TOKENS] for start in range(0, len(needed), BATCH_TOKENS))
    return np.concatenate([_grouped(piece, order, size) for piece in pieces])


def _grouped(needed: Bits, order: NDArray[np.integer], size: int) -> Bits:
    neurons = np.zeros((len(needed), -(-len(order) // size) * size), np.bool_)
    neurons[:, : len(order)] = np.unpackbits(needed, axis=1, count=len(order)).view(np.bool_)[:, order]
    return np.packbits(neurons.reshape(len(needed), -1, size).any(axis=2), axis=1)


def report_groups(active: Bits, named: Bits, order: NDArray[np.integer], size: int, window: int) -> GroupReport:
    """The measurements of one layer's groups. active, named: bits [tokens, neurons / 8], of the neurons that were
    active and of those that the predictor names."""
    groups, exact = -(-len(order) // size), grouped(active, order, size)
    unordered = grouped(active, np.arange(len(order)), size)
    resident, loaded = use_of(exact, groups, window)
    return GroupReport(
        neurons=size,
        exact=_share(exact, groups),
        predicted=_share(grouped(named, order, size), groups),
        unordered=_share(unordered, groups),
        use=Use(window, round(resident, 5), round(loaded, 5)),
    )


def _share(bits: Bits, groups: int) -> float:
    return round(int(np.bitwise_count(bits).sum()) / (len(bits) * groups), 5)
