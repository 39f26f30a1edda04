"""How boldly to guess which neurons the next layer will need, so that flash works while this one computes.

A layer's own predictor is given the input of the FFN before it: from one layer to the next, what FFNs read changes
little (Deja Vu, arXiv 2310.17157). Such guesses are worse than those from the real input. How strict they have to be
differs from layer to layer, and is learned while they are made.
"""

import numpy as np

RIGHT = 0.6  # share of what is read ahead that should be needed: the rest takes the drive's time from other reads
FIRST_SHIFT, STEP = 1.0, 0.25  # logits: to begin with, and for each token that was all wrong
RETRY = 0.02  # logits a token by which a layer that guesses nothing becomes less strict


class LookAhead:
    """One layer's. shift: of its predictor's threshold, in logits. read, right: neurons read ahead so far, and those of
    them that were needed."""

    def __init__(self):
        self.shift = FIRST_SHIFT
        self.read = self.right = 0

    def learn(self, read: np.ndarray, active: np.ndarray) -> int:
        """Become stricter where too little of what was read ahead is in the active set. Returns how much is."""
        right = int(np.count_nonzero(np.isin(read, active, assume_unique=True)))
        self.read, self.right = self.read + len(read), self.right + right
        self.shift += STEP * (RIGHT - right / len(read)) if len(read) else -RETRY
        self.shift = max(0.0, self.shift)
        return right
