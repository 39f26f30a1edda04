"""Guesses, before attention, of the neurons that a layer will need, so that flash works while attention computes.

The layer's own predictor is given what the FFN's input would be if attention added nothing. From one half of a layer to
the next the residual stream changes little (Deja Vu, arXiv 2310.17157): on the starter's held-out text two thirds of
what has to be read are found in this way, with one wrong guess for two right ones, and a third with one wrong in ten.
How bold to be differs from layer to layer and from drive to drive, and is learned while it is done.

Of experts it is the next layer's own router that guesses, asked with this layer's input.
"""

import numpy as np

RIGHT_SHARE = (
    0.6  # share of what is read ahead that should be needed; all, where the layer's own misses have to wait for it
)
FIRST_SHIFT, SHIFT_STEP = 2.0, 0.25  # logits: to begin with, and for each token that was all wrong
LATE_SHIFT_STEP = 1.0  # instead, where the drive was still at it when the layer's own misses came
RETRY_SHIFT = 0.02  # logits a token by which a layer that guesses nothing becomes bolder
SHARE_STEP, LATE_SHARE_STEP = 0.5, 1.0  # the same of experts, as a share of those guessed: for a token all wrong, late
RETRY_SHARE = 0.02  # a token


class LookAhead:
    """One layer's. shift: of its predictor's threshold, in logits. read, right: neurons read ahead so far, and those of
    them that were needed."""

    def __init__(self) -> None:
        self.shift = FIRST_SHIFT
        self.read = self.right = 0

    def learn(self, read: np.ndarray, active: np.ndarray, late: bool = False) -> int:
        """Become stricter where too little of what was read ahead is in the active set. Returns how much is.

        read, active: sorted ids. late: it was still being read when the active set was known.
        """
        places = np.searchsorted(active, read)
        right = int(np.count_nonzero(active.take(places, mode="clip") == read)) if len(active) else 0
        self.read, self.right = self.read + len(read), self.right + right
        self._adapt(right / len(read) if len(read) else None, late)
        return right

    def _adapt(self, right_share: float | None, late: bool) -> None:
        """right_share: of what was read; None where nothing was."""
        if right_share is None:
            self.shift -= RETRY_SHIFT
        elif late:
            self.shift += LATE_SHIFT_STEP * (1 - right_share)
        else:
            self.shift += SHIFT_STEP * (RIGHT_SHARE - right_share)
        self.shift = max(0.0, self.shift)


class ExpertLookAhead(LookAhead):
    """Of a layer's experts, which its router was asked for. share: of those that it said, the likeliest, that are
    read."""

    def __init__(self) -> None:
        super().__init__()
        self.share = 1.0

    def width(self, guessed: int) -> int:
        """The number of so many guessed experts that are to be read."""
        return round(self.share * guessed)

    def _adapt(self, right_share: float | None, late: bool) -> None:
        if right_share is None:
            self.share += RETRY_SHARE
        elif late:
            self.share -= LATE_SHARE_STEP * (1 - right_share)
        else:
            self.share -= SHARE_STEP * (RIGHT_SHARE - right_share)
        self.share = min(1.0, max(0.0, self.share))
