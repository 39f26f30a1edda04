"""The order of neurons on flash: those that are read together lie together, so that misses come in runs.

The paper bundled each neuron with its closest friend by duplication, which failed (section 3.2: the same few neurons
are everyone's friend). A permutation costs nothing. Ripple (arXiv 2410.19274) links pairs that fire together into
chains. Here what counts is what is read: a neuron that the window still holds is not, and as small gaps are read
through, a neighbour but one saves a read too. So the order is to have the largest sum of

    times that both of a pair are read for the same token, times DISTANCE_DECAY ** (places from one to the other - 1)

over all pairs within MAX_DISTANCE. It is grown neuron by neuron, each the one that those just laid ask for most, and
mended.
Memory: 2 * neurons ** 2 bytes, 134 MB for 8,192 neurons and 537 MB for 16,384, and little beside it.
"""

from collections.abc import Iterator

import numpy as np

WINDOW_TOKENS = 5
DISTANCE_DECAY = 0.6  # a neighbour farther away is worth less, as reading through to it costs bytes
MAX_DISTANCE = 5  # places
MAX_PAIRS = 3e9  # about half a minute of a laptop's time a layer
REMOVAL_INTERVAL = 16  # every so-many-th neuron is taken out at a time
REMOVAL_ROUNDS = 8  # times that each neuron is taken out
PIECE_ROWS = 64  # neurons, and tokens, at a time
DISTANCE_WEIGHTS = np.append(DISTANCE_DECAY ** np.arange(MAX_DISTANCE), 0).astype(np.float32)


def neuron_order(needed: np.ndarray, neurons: int) -> np.ndarray:
    """int32 [neurons]: which neuron of the checkpoint comes at each place. needed: bits [tokens, neurons / 8], which of
    them the tokens of a text need, as they will be selected."""
    together = read_together(needed, neurons)
    order = _grown(together)
    for _ in range(REMOVAL_ROUNDS):
        for first in range(REMOVAL_INTERVAL):
            order = _mended(order, first, together)
    return order


def read_together(needed: np.ndarray, neurons: int) -> np.ndarray:
    """uint16 [neurons, neurons]: for how many tokens both of a pair were read; by itself on the diagonal."""
    pairs = sum(float(np.square(np.bitwise_count(bits).sum(axis=1, dtype=float)).sum()) for bits in _misses(needed))
    step = max(1, int(np.ceil(max(pairs / MAX_PAIRS, len(needed) / np.iinfo(np.uint16).max))))
    together = np.zeros((neurons, neurons), np.uint16)
    for bits in _misses(needed, step):
        for row in np.unpackbits(bits, axis=1, count=neurons).view(bool):
            read = np.flatnonzero(row)
            together[read[:, None], read] += 1
    return together


def _misses(needed: np.ndarray, step: int = 1) -> Iterator[np.ndarray]:
    """Of the bits [tokens, neurons / 8], those that were not set for any of the tokens before, as far as a window; of
    every `step`-th token, some at a time."""
    for start in range(0, len(needed), PIECE_ROWS):
        tokens = np.arange(start + -start % step, min(start + PIECE_ROWS, len(needed)), step)
        recent = np.zeros_like(needed[tokens])
        for age in range(1, WINDOW_TOKENS + 1):
            held = tokens >= age
            recent[held] |= needed[tokens[held] - age]
        yield needed[tokens] & ~recent


def _grown(together: np.ndarray) -> np.ndarray:
    """From the neuron that is read most often on, always the one that is read most with those just laid.

    What is read often is read with any: the square root keeps it from coming first for that alone.
    """
    count = np.diagonal(together).astype(np.float32)
    share = 1 / np.sqrt(count + 1)
    order, left = np.empty(len(together), np.int32), np.ones(len(together), bool)
    asked, here = np.zeros(len(together), np.float32), int(count.argmax())
    for place in range(len(together)):
        order[place], left[here] = here, False
        asked *= DISTANCE_DECAY
        asked += together[here]
        here = int(np.where(left, asked * share, -1).argmax())
    return order


def _mended(order: np.ndarray, first: int, together: np.ndarray) -> np.ndarray:
    """Take every REMOVAL_INTERVAL-th neuron out, from `first` on, and put each where it is worth most now."""
    out = order[first::REMOVAL_INTERVAL]
    rest = np.delete(order, slice(first, None, REMOVAL_INTERVAL))
    loss = _parted(rest, together)
    slots = np.empty(len(out), np.int64)
    for start in range(0, len(out), PIECE_ROWS):
        chosen = out[start : start + PIECE_ROWS]
        beside = np.zeros((len(chosen), len(rest) + 2 * MAX_DISTANCE), np.float32)
        beside[:, MAX_DISTANCE:-MAX_DISTANCE] = together[chosen][:, rest]
        gain = np.tile(-loss, (len(chosen), 1))
        for away in range(MAX_DISTANCE):
            before, after = MAX_DISTANCE - 1 - away, MAX_DISTANCE + away
            gain += DISTANCE_WEIGHTS[away] * (
                beside[:, before : before + len(loss)] + beside[:, after : after + len(loss)]
            )
        slots[start : start + PIECE_ROWS] = gain.argmax(axis=1)
    return np.insert(rest, slots, out)


def _parted(rest: np.ndarray, together: np.ndarray) -> np.ndarray:
    """float32 [len(rest) + 1]: what is lost at each slot when one more neuron parts those before from those after."""
    loss = np.zeros(len(rest) + 1, np.float32)
    for away in range(1, min(MAX_DISTANCE, len(rest) - 1) + 1):
        pairs = (DISTANCE_WEIGHTS[away - 1] - DISTANCE_WEIGHTS[away]) * together[rest[:-away], rest[away:]]
        for slot in range(1, away + 1):
            loss[slot : slot + len(pairs)] += pairs
    return loss
