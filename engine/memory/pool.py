"""The neuron pool: one layer's preallocated rows in unified memory (paper, section 3.3)."""

from typing import NamedTuple

import numpy as np

from engine.arrays.aligned import aligned_rows
from engine.memory.window import Window

ROW_BOOKKEEPING = 8 + 4  # bytes a row: pointer, bias
NEURON_BOOKKEEPING = 1 + 1 + 4 + 4  # bytes a neuron of the layer: absent, idle, last_k_active, how often it was used
SLACK = 1 / 8  # of the rows in use: as many may belong to neurons that left the window
FADING = 0.99  # of a use, from token to token: what counts is the last hundred tokens
HEAVY = 1e6  # weight of a use at which all are scaled down
AHEAD = 5  # a pool's rows for each that may be filled with what is only likely to be needed
SAMPLED = 4  # rows looked at for each that is given away: nearly as good as the least used of all, and much cheaper
MORE, LEAST = 2, 16  # rows kept ready for the next token: for each that this one took, and beside
NO_ROWS = np.empty(0, np.int64)


class Admission(NamedTuple):
    """Neurons that have to be read, and the row of the pool for each (int64 arrays of equal length)."""

    neurons: np.ndarray
    rows: np.ndarray


class NeuronPool:
    """Rows `[0, num_used)` hold the neurons in use, dense and in any order: the FFN is two matmuls over that slice.

    matrix: MLX array [capacity, row], never written by MLX; view: the same memory, uint8 [capacity, row_bytes].
    pointer: int64 [capacity], the neuron in each row, -1 in rows that are not in use. bias: float32 [capacity], that
    neuron's bias. absent: bool [neurons + 1], whether each neuron is in no row; its last entry, which pointer -1
    reaches, belongs to no neuron. last_k_active: int32 [neurons + 1], the token at which each neuron that is not absent
    was last active: the paper's list of the neurons of the last k tokens, as one number each.

    After a wait for flash, the processor's caches hold neither this code nor these arrays. What has to be done before
    the next reads can begin is therefore little, on small arrays; the rest is done while they are under way.
    """

    def __init__(self, capacity: int, row_bytes: int, dtype: str, bias: np.ndarray, keep_hot: bool = False):
        """bias: float32 [neurons], of the bundles' first part, or zeros. dtype: safetensors' name.

        keep_hot: neurons that left the window stay while nothing else needs their row, the most used ones longest.
        """
        self.capacity, self.keep_hot, self._dtype = capacity, keep_hot, dtype
        self.matrix, self.view = aligned_rows(capacity, row_bytes, dtype)
        self.pointer = np.full(capacity, -1, np.int64)
        self.bias = np.zeros(capacity, np.float32)
        self.absent = np.ones(len(bias) + 1, bool)
        self.last_k_active = np.zeros(len(bias) + 1, np.int32)
        self.num_used = 0
        self.left_early = 0  # neurons of the window that had to leave because the pool was full
        self._all_bias = bias
        self._uses = np.zeros(len(bias), np.float32) if keep_hot else None  # of each neuron, later ones weigh more
        self._weight, self._turn = 1.0, 0
        self._idle = np.ones(len(bias) + 1, bool)  # whether the present token does not need it, until that is settled
        self._leaving: Admission | None = None  # what the window will have left, unless it is used again,
        self._leaving_before = 0  # once its oldest token is this one
        self._tight = False  # whether the window did not fit, the last time that it was looked at

    def admit(self, active: np.ndarray, window: Window) -> Admission:
        """Make room for a token's active set (sorted int64 ids, at most `capacity`) and forget what left the window.

        Rows of neurons that left the window are given to incoming ones. A few that nothing needs stay as they are; of
        many, the holes are closed with the last rows. The caller fills `rows` with the bundles of `neurons`, or calls
        `discard` if it cannot. Where the window does not fit, its oldest neurons leave first.
        """
        admission = self.make_room(active, window)
        self.settle(admission, active, window)
        return admission

    def make_room(self, active: np.ndarray, window: Window) -> Admission:
        """The half of `admit` that says what to read where. The other half, `settle`, has time until that is read."""
        if len(active) > self.capacity:
            raise ValueError(f"{len(active)} active neurons do not fit {self.capacity} rows")
        if window.size == 0:
            self.clear()
        if not self.num_used:
            return Admission(active, self._append(NO_ROWS, len(active)))
        missing = active[self.absent[active]]
        return Admission(missing, self._rows_for(len(missing), active, window))

    def settle(self, admission: Admission, active: np.ndarray, window: Window) -> None:
        """Take in what `make_room` made room for."""
        self._idle[active] = True
        self._place(admission.neurons, admission.rows, window.token)
        self.last_k_active[active] = window.token
        if self.keep_hot:
            self._count_uses(active)
        self._look_for_leaving(len(admission.neurons), window)

    def expect(self, likely: np.ndarray, window: Window) -> Admission:
        """Make room for neurons that may be needed next (sorted int64 ids): in free rows, in those of neurons that the
        window has left, and, where it does not fit and its oldest have to leave anyway, in theirs. They become at most
        a fifth of the pool; what has no room is left out. Until they are admitted, they count as used by nobody.
        """
        missing = likely[self.absent[likely]][: self.capacity // AHEAD]
        free = self.capacity - self.num_used
        last_k_active = self.last_k_active.copy()
        last_k_active[likely] = window.token  # these stay
        last = last_k_active[self.pointer[: self.num_used]]
        rows = np.flatnonzero(last < window.oldest)
        wanted = max(0, len(missing) - free)
        if len(rows) < wanted and self._tight:
            rows = np.argpartition(last, wanted)[:wanted]
            self.left_early += int(np.count_nonzero(last[rows] >= window.oldest))
        else:
            rows = self._least_used(rows, wanted)
        missing = missing[: free + len(rows)]
        return self._place(missing, self._append(rows, len(missing)), window.oldest - 1)

    def seed(self, neurons: np.ndarray, last_active: np.ndarray, window: Window) -> Admission:
        """Take in neurons that a prompt's last tokens used; returns those that were not here. What the window has left
        makes room for them, the least used first, and where that is too little, the least recent of all.

        neurons: int64 ids. last_active: int64, token at which each was last active.
        """
        new = self.absent[neurons]
        self.last_k_active[neurons[~new]] = last_active[~new]
        neurons, last_active = neurons[new], last_active[new]
        rows, excess = NO_ROWS, self.num_used + len(neurons) - self.capacity
        if excess > 0:
            rows = self._least_used(np.flatnonzero(self._last() < window.oldest), excess)
            if len(rows) < excess:
                self.remove(rows)
                rows, (neurons, last_active) = NO_ROWS, self._most_recent(neurons, last_active)
        return self._place(neurons, self._append(rows, len(neurons)), last_active)

    def discard(self, admission: Admission) -> None:
        """Take back an admission whose bundles could not be read."""
        self.remove(admission.rows)

    def smaller(self, capacity: int) -> "NeuronPool":
        """A pool of fewer rows with the neurons that were active last. This one must not be used any more."""
        pool = NeuronPool(capacity, self.view.shape[1], self._dtype, self._all_bias, self.keep_hot)
        pool.left_early, pool._uses, pool._weight = self.left_early, self._uses, self._weight
        last = self._last()
        kept = np.argsort(-last, kind="stable")[:capacity]
        rows = pool._place(self.pointer[kept], pool._append(NO_ROWS, len(kept)), last[kept]).rows
        pool.view[rows] = self.view[kept]
        return pool

    def forget(self) -> None:
        """Empty all rows, and know no more which neurons are hot: as if the pool were new."""
        self.clear()
        if self.keep_hot:
            self._uses.fill(0)
            self._weight, self._turn = 1.0, 0

    def clear(self) -> None:
        """Empty all rows."""
        self._leaving = None
        self.absent.fill(True)
        self.pointer[: self.num_used] = -1
        self.num_used = 0

    def remove(self, rows: np.ndarray) -> None:
        """Empty these rows (integers, any order) and close the holes."""
        self._empty(rows)
        self._close(rows)

    def _most_recent(self, neurons: np.ndarray, last_active: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of these and the neurons in the pool, the least recent go, until the others fit: what stays of these."""
        used, excess = self.num_used, self.num_used + len(neurons) - self.capacity
        # Of two as recent as each other, the one that is here stays: moving bundles takes time.
        everyone = np.concatenate([2 * self._last() + 1, 2 * last_active])
        leaving = np.argpartition(everyone, excess - 1)[:excess]
        self.left_early += excess
        self.remove(leaving[leaving < used])
        staying = np.ones(len(neurons), bool)
        staying[leaving[leaving >= used] - used] = False
        return neurons[staying], last_active[staying]

    def _rows_for(self, count: int, active: np.ndarray, window: Window) -> np.ndarray:
        """That many rows for what is missing of the active set: of what the window has left, then, where that and the
        free tail are too few, of its oldest."""
        needed = max(0, count - (self.capacity - self.num_used))
        stale = self._left(needed, active, window)
        self._tight = len(stale) < needed
        if self._tight:
            stale = np.concatenate([stale, self._oldest(needed - len(stale), active, window)])
        elif self.keep_hot:
            stale = stale[:needed]
        elif len(stale) - count > SLACK * self.num_used:
            # Moving bundles takes longer than multiplying a few too many: those that nothing needs yet stay.
            self.remove(stale[count:])
        return self._append(stale[:count], count)

    def _left(self, needed: int, active: np.ndarray, window: Window) -> np.ndarray:
        """Rows that the window has left; where the most used are to stay, not all, but those needed if there are."""
        if self._leaving is not None and self._leaving_before == window.oldest:
            self._idle[active] = False
            rows = self._leaving.rows[self._idle[self._leaving.neurons]]
            if not self.keep_hot or len(rows) >= needed:
                return rows
        self.last_k_active[active] = window.token
        rows = np.flatnonzero(self._last() < window.oldest)
        return self._least_used(rows, needed) if self.keep_hot else rows

    def _oldest(self, count: int, active: np.ndarray, window: Window) -> np.ndarray:
        """That many rows of neurons of the window which were active longest ago."""
        self.last_k_active[active] = window.token
        last = self._last()
        candidates = np.flatnonzero((last >= window.oldest) & (last < window.token))
        self.left_early += count
        return candidates[np.argpartition(last[candidates], count - 1)[:count]]

    def _look_for_leaving(self, count: int, window: Window) -> None:
        """Find, while there is time, what the window will have left at the next token, unless that needs it."""
        self._leaving_before = window.oldest + 1
        rows = np.flatnonzero(self._last() < self._leaving_before)
        if self.keep_hot:
            rows = self._least_used(rows, MORE * count + LEAST)
            rows = rows[np.argsort(self._uses[self.pointer[rows]])]
        self._leaving = Admission(self.pointer[rows], rows)

    def _last(self) -> np.ndarray:
        """The token at which the neuron of each row in use was last active: int32 [num_used]."""
        return self.last_k_active[self.pointer[: self.num_used]]

    def _count_uses(self, active: np.ndarray) -> None:
        """Older uses fade by what later ones weigh more: nothing but the active neurons is touched."""
        self._weight /= FADING
        if self._weight > HEAVY:
            self._uses /= self._weight
            self._weight = 1.0
        self._uses[active] += self._weight

    def _least_used(self, rows: np.ndarray, count: int) -> np.ndarray:
        """`count` of the rows, or all: the least used of a sample that moves on from token to token, where uses are
        counted."""
        if count >= len(rows) or not self.keep_hot:
            return rows[:count]
        if SAMPLED * count < len(rows):
            self._turn = (self._turn + SAMPLED * count) % (len(rows) - SAMPLED * count)
            rows = rows[self._turn : self._turn + SAMPLED * count]
        return rows[np.argpartition(self._uses[self.pointer[rows]], count)[:count]]

    def _append(self, rows: np.ndarray, count: int) -> np.ndarray:
        """`count` rows: these, and as many behind the rows in use as it takes."""
        more = count - len(rows)
        if not more:
            return rows
        self.num_used += more
        return np.concatenate([rows, np.arange(self.num_used - more, self.num_used, dtype=np.int64)])

    def _place(self, neurons: np.ndarray, rows: np.ndarray, last_active: int | np.ndarray) -> Admission:
        """Give these rows to these neurons; whoever was there is absent from now on."""
        self._leaving = None
        self.absent[self.pointer[rows]] = True
        self.pointer[rows] = neurons
        self.absent[neurons] = False
        self.bias[rows] = self._all_bias[neurons]
        self.last_k_active[neurons] = last_active
        return Admission(neurons, rows)

    def _empty(self, rows: np.ndarray) -> None:
        """Whoever is in these rows is absent from now on, and nobody is in them."""
        self._leaving = None
        self.absent[self.pointer[rows]] = True
        self.pointer[rows] = -1

    def _close(self, holes: np.ndarray) -> None:
        """Move the last used rows into holes, so that rows [0, num_used) are dense again."""
        used = self.num_used - len(holes)
        into = holes[holes < used]
        tail = np.arange(used, self.num_used, dtype=np.int64)
        movers = tail[self.pointer[tail] >= 0]
        for array in (self.view, self.pointer, self.bias):
            array[into] = array[movers]
        self.pointer[tail] = -1
        self.num_used = used
