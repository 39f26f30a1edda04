"""The neuron pool: one layer's preallocated rows in unified memory (paper, section 3.3)."""

from dataclasses import dataclass

import numpy as np

from engine.memory.buffers import aligned_rows
from engine.memory.window import Window

ROW_BOOKKEEPING = 8 + 4 + 8  # bytes a row: pointer, bias, last_k_active
NEURON_BOOKKEEPING = 8 + 4  # bytes a neuron of the layer: row_of, and how often it was used
SLACK = 1 / 8  # of the rows in use: as many may belong to neurons that left the window
FADING = 0.99  # of a use, from token to token: what counts is the last hundred tokens
HEAVY = 1e6  # weight of a use at which all are scaled down
AHEAD = 5  # a pool's rows for each that may be filled with what is only likely to be needed
SAMPLED = 4  # rows looked at for each that is given away: nearly as good as the least used of all, and much cheaper
MORE, LEAST = 2, 16  # rows kept ready for the next token: for each that this one took, and beside


@dataclass(frozen=True)
class Admission:
    """Neurons that have to be read, and the row of the pool for each (int64 arrays of equal length)."""

    neurons: np.ndarray
    rows: np.ndarray


class NeuronPool:
    """Rows `[0, num_used)` hold the neurons in use, dense and in any order: the FFN is two matmuls over that slice.

    matrix: MLX array [capacity, row], never written by MLX; view: the same memory, uint8 [capacity, row_bytes].
    pointer: int64 [capacity], the neuron in each row. bias: float32 [capacity], that neuron's bias.
    last_k_active: int64 [capacity + 1], the token at which that neuron was last active: the paper's list of the neurons
    of the last k tokens, kept as one number a row; its last entry belongs to no row. row_of: int64 [neurons], -1 for a
    neuron that is not in the pool. All indices are int64, which numpy uses without converting them.
    """

    def __init__(self, capacity: int, row_bytes: int, dtype: str, bias: np.ndarray, keep_hot: bool = False):
        """bias: float32 [neurons], of the bundles' first part, or zeros. dtype: safetensors' name.

        keep_hot: neurons that left the window stay while nothing else needs their row, the most used ones longest.
        """
        self.capacity, self._dtype = capacity, dtype
        self.matrix, self.view = aligned_rows(capacity, row_bytes, dtype)
        self.pointer = np.full(capacity, -1, np.int64)
        self.bias = np.zeros(capacity, np.float32)
        self.last_k_active = np.zeros(capacity + 1, np.int64)
        self.num_used = 0
        self.row_of = np.full(len(bias), -1, np.int64)
        self.left_early = 0  # neurons of the window that had to leave because the pool was full
        self._all_bias = bias
        self._uses = np.zeros(len(bias), np.float32) if keep_hot else None  # of each neuron, later ones weigh more
        self._weight, self._turn = 1.0, 0
        self._leaving: np.ndarray | None = None  # rows that the window will have left once its oldest token is
        self._leaving_before = 0  # this one
        self._tight = False  # whether the window did not fit, the last time that it was looked at

    def admit(self, active: np.ndarray, window: Window) -> Admission:
        """Make room for a token's active set (sorted integer ids, at most `capacity`) and forget what left the window.

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
        active = active.astype(np.int64, copy=False)
        rows = self.row_of.take(active)
        self.last_k_active[rows] = window.token  # -1 is the spare entry
        missing = active.compress(rows < 0)
        free = self._stale_rows(len(missing), window)
        rows, holes = free[: len(missing)], free[len(missing) :]
        self.row_of[self.pointer[free]] = -1
        if len(rows) < len(missing):
            end = self.num_used + len(missing) - len(rows)
            rows = np.concatenate([rows, np.arange(self.num_used, end, dtype=np.int64)])
            self.num_used = end
        self.pointer[holes] = -1
        self._close(holes)
        return Admission(missing, rows)

    def settle(self, admission: Admission, active: np.ndarray, window: Window) -> None:
        """Take in what `make_room` made room for."""
        self._place(admission.neurons, admission.rows, window.token)
        if self._uses is not None:
            self._count_uses(active)
        self._look_for_leaving(len(admission.neurons), window)

    def expect(self, likely: np.ndarray, window: Window) -> Admission:
        """Make room for neurons that may be needed next (sorted ids): in free rows, in those of neurons that the window
        has left, and, where it does not fit and its oldest have to leave anyway, in theirs. They become at most a fifth
        of the pool; what has no room is left out. Until they are admitted, they count as used by nobody.
        """
        present = self.row_of[likely]
        missing = likely.astype(np.int64, copy=False).compress(present < 0)[: self.capacity // AHEAD]
        free = self.capacity - self.num_used
        last = self.last_k_active[: self.num_used].copy()
        last[present.compress(present >= 0)] = window.token  # these stay
        rows = np.flatnonzero(last < window.oldest)
        wanted = max(0, len(missing) - free)
        if len(rows) < wanted and self._tight:
            rows = np.argpartition(last, wanted)[:wanted]
            self.left_early += int(np.count_nonzero(last[rows] >= window.oldest))
        else:
            rows = rows[:wanted] if self._uses is None else self._least_used(rows, wanted)
        missing = missing[: free + len(rows)]
        self._forget(rows)
        end = self.num_used + len(missing) - len(rows)
        rows = np.concatenate([rows, np.arange(self.num_used, end, dtype=np.int64)])
        self.num_used = end
        return self._place(missing, rows, window.oldest - 1)

    def seed(self, neurons: np.ndarray, last_active: np.ndarray) -> Admission:
        """Add neurons that a prompt's last tokens used, keeping the most recent where they do not all fit.

        neurons: integer ids, none in the pool. last_active: int64, token at which each was last active.
        """
        excess = self.num_used + len(neurons) - self.capacity
        if excess > 0:
            # Of two as recent as each other, the one that is here stays: moving bundles takes time.
            everyone = np.concatenate([2 * self.last_k_active[: self.num_used] + 1, 2 * last_active])
            leaving = np.argpartition(everyone, excess - 1)[:excess]
            self.left_early += excess
            self.remove(leaving[leaving < self.num_used].astype(np.int64))
            staying = np.ones(len(neurons), bool)
            staying[leaving[leaving >= len(everyone) - len(neurons)] - (len(everyone) - len(neurons))] = False
            neurons, last_active = neurons[staying], last_active[staying]
        rows = np.arange(self.num_used, self.num_used + len(neurons), dtype=np.int64)
        self.num_used += len(neurons)
        return self._place(neurons, rows, last_active)

    def discard(self, admission: Admission) -> None:
        """Take back an admission whose bundles could not be read."""
        self.remove(self.row_of[admission.neurons])

    def smaller(self, capacity: int) -> "NeuronPool":
        """A pool of fewer rows with the neurons that were active last. This one must not be used any more."""
        pool = NeuronPool(capacity, self.view.shape[1], self._dtype, self._all_bias, self._uses is not None)
        pool.left_early, pool._uses, pool._weight = self.left_early, self._uses, self._weight
        last = self.last_k_active[: self.num_used]
        kept = np.argsort(-last, kind="stable")[:capacity]
        rows = pool.seed(self.pointer[kept], last[kept]).rows
        pool.view[rows] = self.view[kept]
        return pool

    def clear(self) -> None:
        self._forget(np.arange(self.num_used))
        self.num_used = 0

    def remove(self, rows: np.ndarray) -> None:
        """Empty these rows (integers, any order) and close the holes."""
        self._forget(rows)
        self._close(rows)

    def _stale_rows(self, wanted: int, window: Window) -> np.ndarray:
        """Rows to give away: of what the window has left, and, where that and the free tail are fewer than wanted, of
        its oldest."""
        needed = max(0, wanted - (self.capacity - self.num_used))
        stale, keep_hot = self._left(needed, window), self._uses is not None
        short = needed - len(stale)
        self._tight = short > 0
        if short <= 0 and keep_hot:
            return stale[:needed]
        if short <= 0:
            # Moving bundles takes longer than multiplying a few too many: what nothing needs yet stays.
            return stale if len(stale) - wanted > SLACK * self.num_used else stale[: max(wanted, 0)]
        last = self.last_k_active[: self.num_used]
        candidates = np.flatnonzero((last >= window.oldest) & (last < window.token))
        oldest = candidates[np.argpartition(last[candidates], short - 1)[:short]]
        self.left_early += short
        return np.concatenate([stale, oldest])

    def _left(self, needed: int, window: Window) -> np.ndarray:
        """Rows that the window has left; where the most used are to stay, not all, but those needed if there are."""
        if self._leaving is not None and self._leaving_before == window.oldest:
            rows = self._leaving.compress(self.last_k_active.take(self._leaving) < window.oldest)
            if self._uses is None or len(rows) >= needed:
                return rows
        rows = np.flatnonzero(self.last_k_active[: self.num_used] < window.oldest)
        return rows if self._uses is None else self._least_used(rows, needed)

    def _look_for_leaving(self, count: int, window: Window) -> None:
        """Find, while there is time, what the window will have left at the next token, unless that needs it."""
        self._leaving_before = window.oldest + 1
        rows = np.flatnonzero(self.last_k_active[: self.num_used] < self._leaving_before)
        if self._uses is not None:
            rows = self._least_used(rows, MORE * count + LEAST)
            rows = rows[np.argsort(self._uses[self.pointer[rows]])]
        self._leaving = rows

    def _count_uses(self, active: np.ndarray) -> None:
        """Older uses fade by what later ones weigh more: nothing but the active neurons is touched."""
        self._weight /= FADING
        if self._weight > HEAVY:
            self._uses /= self._weight
            self._weight = 1.0
        self._uses[active] += self._weight

    def _least_used(self, rows: np.ndarray, count: int) -> np.ndarray:
        """`count` of the rows, or all, the least used of a sample that moves on from token to token."""
        if count >= len(rows):
            return rows
        if SAMPLED * count < len(rows):
            self._turn = (self._turn + SAMPLED * count) % (len(rows) - SAMPLED * count)
            rows = rows[self._turn : self._turn + SAMPLED * count]
        return rows[np.argpartition(self._uses[self.pointer[rows]], count)[:count]]

    def _place(self, neurons: np.ndarray, rows: np.ndarray, last_active: int | np.ndarray) -> Admission:
        self._leaving = None
        self.pointer[rows] = neurons
        self.row_of[neurons] = rows
        self.bias[rows] = self._all_bias[neurons]
        self.last_k_active[rows] = last_active
        return Admission(neurons, rows)

    def _forget(self, rows: np.ndarray) -> None:
        self._leaving = None
        self.row_of[self.pointer[rows]] = -1
        self.pointer[rows] = -1

    def _close(self, holes: np.ndarray) -> None:
        """Move the last used rows into holes, so that rows [0, num_used) are dense again."""
        if not len(holes):
            return
        used = self.num_used - len(holes)
        into = holes[holes < used]
        tail = np.arange(used, self.num_used, dtype=np.int64)
        movers = tail[self.pointer[tail] >= 0]
        for array in (self.view, self.pointer, self.bias, self.last_k_active):
            array[into] = array[movers]
        self.row_of[self.pointer[into]] = into
        self.pointer[tail] = -1
        self.num_used = used
