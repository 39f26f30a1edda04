"""The order of neurons on flash: those that fire together lie together, so that misses come in runs.

The paper bundled each neuron with its closest friend by duplication, which failed (section 3.2: the same few neurons
are everyone's friend). A permutation costs nothing: chains are linked greedily by co-activation, as in Ripple (arXiv
2410.19274), each neuron having at most two neighbours. What counts is what is read together, so a neuron that the
window still holds from earlier tokens does not count as active.
"""

import numpy as np

from engine.sparsity.training import LayerActivity

COUNTED = 3e11  # products of two neurons' activity that are counted: half a minute of a laptop's time a layer
WINDOW = 5  # tokens
PARTNERS = 32  # candidates a neuron
PIECE = 512  # neurons, and tokens, at a time
NONE = -1


def neuron_order(activity: LayerActivity) -> np.ndarray:
    """int32 [neurons]: which neuron of the checkpoint comes at each place."""
    first, second = _links(activity)
    neighbours = _chains(first, second, activity.neurons)
    return _walk(neighbours)


def _links(activity: LayerActivity) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of neurons that were active together, the closest first: by the share of times that one was, so was both.

    Closeness is the Jaccard index, which no neuron gets for merely being active often.
    """
    wanted = int(COUNTED / activity.neurons**2) + 1
    step = max(1, len(activity.active) // wanted)
    tokens = _misses(activity.active)[::step][:wanted]
    count = np.zeros(activity.neurons, np.float32)
    for block in _blocks(tokens, activity.neurons):
        count += block.sum(axis=0)
    firsts, seconds, closeness = [], [], []
    for start in range(0, activity.neurons, PIECE):
        chosen = slice(start, min(start + PIECE, activity.neurons))
        both = np.zeros((chosen.stop - start, activity.neurons), np.float32)
        for block in _blocks(tokens, activity.neurons):
            both += block[:, chosen].T @ block
        jaccard = both / np.maximum(count[chosen, None] + count - both, 1)
        jaccard[np.arange(len(both)), np.arange(start, chosen.stop)] = 0
        best = np.argpartition(-jaccard, min(PARTNERS, activity.neurons - 1), axis=1)[:, :PARTNERS]
        rows = np.repeat(np.arange(start, chosen.stop), best.shape[1])
        firsts.append(rows)
        seconds.append(best.ravel())
        closeness.append(jaccard[rows - start, best.ravel()])
    first, second, close = np.concatenate(firsts), np.concatenate(seconds), np.concatenate(closeness)
    order = np.argsort(-close, kind="stable")
    order = order[close[order] > 0]
    return first[order], second[order]


def _misses(active: np.ndarray) -> np.ndarray:
    """Of the bits [tokens, neurons / 8], those that were not set for any of the tokens before, as far as a window."""
    recent = np.zeros_like(active)
    for age in range(1, min(WINDOW + 1, len(active))):
        recent[age:] |= active[:-age]
    return active & ~recent


def _blocks(tokens: np.ndarray, neurons: int):
    """Bits [tokens, neurons / 8] as float32 blocks [some tokens, neurons]."""
    for start in range(0, len(tokens), PIECE):
        yield np.unpackbits(tokens[start : start + PIECE], axis=1, count=neurons).astype(np.float32)


def _chains(first: np.ndarray, second: np.ndarray, neurons: int) -> list[list[int]]:
    """Each neuron's neighbours, at most two, when pairs are linked in turn wherever that closes no ring."""
    neighbours: list[list[int]] = [[] for _ in range(neurons)]
    chain = list(range(neurons))

    def root(neuron: int) -> int:
        while chain[neuron] != neuron:
            chain[neuron] = neuron = chain[chain[neuron]]
        return neuron

    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        if len(neighbours[a]) < 2 and len(neighbours[b]) < 2 and (one := root(a)) != (other := root(b)):
            neighbours[a].append(b)
            neighbours[b].append(a)
            chain[one] = other
    return neighbours


def _walk(neighbours: list[list[int]]) -> np.ndarray:
    """Chain after chain, from end to end, in the order of their first neurons."""
    order, seen = [], [False] * len(neighbours)
    for start, beside in enumerate(neighbours):
        if seen[start] or len(beside) == 2:
            continue
        before, here = NONE, start
        while here != NONE:
            order.append(here)
            seen[here] = True
            before, here = here, next((n for n in neighbours[here] if n != before), NONE)
    return np.array(order, np.int32)
