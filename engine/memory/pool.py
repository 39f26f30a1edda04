"""The pool: one layer's preallocated rows in unified memory, and which bundle is in each (paper, section 3.3)."""

from typing import NamedTuple, TypeAlias

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.arrays.aligned import lasting_rows
from engine.memory.window import Window

Integers: TypeAlias = NDArray[np.int64]

ROW_BOOKKEEPING = 8  # bytes a row: pointer
BUNDLE_BOOKKEEPING = 1 + 1 + 4 + 4  # bytes a bundle of the layer: absent, idle, last_k_active, how often it was used
MAX_STALE_SHARE = 1 / 8  # of the rows in use: as many may hold bundles that left the window
USE_DECAY = 0.98  # of a use, from token to token
MISS_DECAY = 1 / 4  # more, at a token all of whose bundles were missed; by the square of the share that was
MAX_USE_WEIGHT = 1e6  # of a use; beyond it all are scaled down
MIN_HOT_SHARE = 1 / 3  # of the rows in use that the window must leave, or uses alone say who stays
MAX_GUESSED_SHARE = 1 / 5  # of a pool's rows that may be filled with what is only likely to be needed
CANDIDATES_PER_ROW = 4  # rows looked at for each that is given away: nearly as good as all, and much cheaper
READY_ROWS_PER_MISS, MIN_READY_ROWS = 2, 16  # kept for the next token: for each that this one took, and beside
NO_TOKEN = -(1 << 29)  # the token at which a hole was last active
NO_ROWS = np.empty(0, np.int64)


class Admission(NamedTuple):
    """Bundles that have to be read, and the row of the pool for each (int64 arrays of equal length)."""

    bundles: Integers
    rows: Integers


class BundlePool:
    """Rows `[0, num_used)` are in use, in any order.

    matrix: MLX array [capacity, row], never written by MLX; view: the same memory, uint8 [capacity, row_bytes].
    pointer: int64 [capacity], the bundle in each row, -1 in rows that hold none. absent: bool [bundles + 1], true for
    each bundle that is in no row; its last entry, which pointer -1 reaches, belongs to no bundle. last_k_active: int32
    [bundles + 1], the token at which each bundle that is not absent was last active: the paper's list of the bundles of
    the last k tokens, as one number each.

    After a wait for flash, the processor's caches hold neither this code nor these arrays. What has to be done before
    the next reads can begin is therefore little, on small arrays; the rest is done while they are under way.
    """

    def __init__(
        self, capacity: int, row_bytes: int, dtype: str, bundles: int, keep_hot: bool = False, dense: bool = True
    ):
        """dtype: safetensors' name. bundles: of the layer.

        keep_hot: bundles that left the window stay while nothing else needs their row, the most used ones longest.
        dense: all rows in use hold bundles, so that a product runs over one slice; holes are closed by moving bundles.
        Else nothing ever moves, and holes are the first rows to be filled.
        """
        self.capacity, self.keep_hot, self.dense, self.dtype = capacity, keep_hot, dense, dtype
        self.slab = lasting_rows(capacity, row_bytes, dtype)
        self.pointer = np.full(capacity, -1, np.int64)
        self.absent = np.ones(bundles + 1, np.bool_)
        self.last_k_active = np.full(bundles + 1, NO_TOKEN, np.int32)
        self.num_used = 0
        self.left_early = 0  # bundles of the window that had to leave because the pool was full
        self._uses = np.zeros(bundles + 1, np.float32)  # of each bundle, later ones weigh more; where they are counted
        self._uses[-1] = -1  # holes are taken first
        self._weight, self._turn = 1.0, 0
        self._idle = np.ones(bundles + 1, np.bool_)  # false while the present token needs it, until that is settled
        self._leaving: Admission | None = None  # what the window will have left, unless it is used again,
        self._leaving_before = 0  # once its oldest token is this one
        self._tight = False  # true where the window did not fit, the last time that it was looked at
        self._expected = NO_ROWS  # bundles that may still be on their way to their rows,
        self._expected_last: NDArray[np.integer] = NO_ROWS  # and the token at which each was last active

    @property
    def bundles(self) -> int:
        """Bundles of the layer, in memory or not."""
        return len(self.absent) - 1

    @property
    def matrix(self) -> mx.array:
        """The slots, as MLX sees them."""
        return self.slab.matrix

    @property
    def view(self) -> NDArray[np.uint8]:
        """The slots' bytes, uint8 [slots, row_bytes]."""
        return self.slab.view

    @property
    def num_held(self) -> int:
        """Bundles in the pool: rows in use, less holes."""
        return self.num_used if self.dense else len(self.held)

    @property
    def holds_all(self) -> bool:
        """True once every bundle of the layer is in the pool."""
        return self.num_used >= self.bundles and not self.absent[:-1].any()

    def rows_of(self, bundles: Integers) -> Integers:
        """The row of each of these bundles, all of which are here."""
        rows = np.empty(self.bundles + 1, np.int64)
        rows[self.pointer[: self.num_used]] = np.arange(self.num_used)  # holes point to the last
        return rows[bundles]

    @property
    def held(self) -> Integers:
        """The bundles that are here, in no order."""
        pointer = self.pointer[: self.num_used]
        return pointer[pointer >= 0]

    def most_used(self, bundles: Integers, count: int) -> Integers:
        """`count` of these, or all: the most used; sorted."""
        order = np.argsort(-self._uses[bundles], kind="stable")
        return np.sort(bundles[order[:count]])

    def count_uses(self, bundles: Integers, times: Integers, tokens: int) -> None:
        """Count what so many tokens used at once, as if it had been spread over them evenly."""
        share = (1 - USE_DECAY**tokens) / (1 - USE_DECAY) / tokens
        self._fade(USE_DECAY**tokens)
        self._uses[bundles] += (self._weight * share * times).astype(np.float32)
        self._leaving = None  # chosen by what was used before

    def admit(self, active: Integers, window: Window) -> Admission:
        """Make room for a token's active set (sorted int64 ids, at most `capacity`) and forget what left the window.

        Rows of bundles that left the window are given to incoming ones. A few that nothing needs stay as they are; of
        many, the holes are closed with the last rows. The caller fills `rows` with the bundles of `bundles`, or calls
        `discard` if it cannot. Where the window does not fit, its oldest bundles leave first. Where uses are counted,
        the least used do, and those of the window are spared only where it leaves room enough for what is used most.
        """
        admission = self.make_room(active, window)
        self.settle(admission, active, window)
        return admission

    def make_room(self, active: Integers, window: Window) -> Admission:
        """The half of `admit` that says what to read where. The other half, `settle`, has time until that is read."""
        if len(active) > self.capacity:
            raise ValueError(f"{len(active)} active bundles do not fit {self.capacity} rows")
        if window.size == 0:
            self.clear()
        if self.spares_expected(active):
            self.last_k_active[self._expected] = window.token  # tokens may have passed since, and its rows stay
        else:
            self._let_expected_go()
        missing = active[self.absent[active]]
        rows = self._rows_for(len(missing), active, window) if self.num_used else self._append(NO_ROWS, len(missing))
        self._let_expected_go()
        return Admission(missing, rows)

    def spares_expected(self, active: Integers) -> bool:
        """True where room for an active set is made without the rows of what is expected: that may then still be on its
        way."""
        moves = self.dense and not self.keep_hot
        return not len(self._expected) or (not moves and len(active) + len(self._expected) <= self.capacity)

    def settle(self, admission: Admission, active: Integers, window: Window) -> None:
        """Take in what `make_room` made room for."""
        self._idle[active] = True
        self._place(admission.bundles, admission.rows, window.token)
        self.last_k_active[active] = window.token
        if self.keep_hot:
            self._count_uses(active, len(admission.bundles))
        self._look_for_leaving(len(admission.bundles), window)

    def expect(self, likely: Integers, window: Window) -> Admission:
        """Make room for bundles that may be needed next (sorted int64 ids): in free rows, in those of bundles that the
        window has left, and, where it does not fit and some have to leave it anyway, in theirs. They become at most a
        fifth of the pool; what has no room is left out. They stay until room was made for an active set, and count as
        used by nobody.
        """
        most = int(self.capacity * MAX_GUESSED_SHARE) if window.size else 0  # else they would not stay
        missing = likely[self.absent[likely]][:most]
        free = self.capacity - self.num_used
        last_k_active = self.last_k_active.copy()
        last_k_active[likely] = window.token  # these stay
        last, wanted = last_k_active[self.pointer[: self.num_used]], max(0, len(missing) - free)
        rows = self._least_used(self._leavable(last, wanted, window.oldest, window.token), wanted)
        if self._tight and len(rows) < wanted:
            rows = self._crowded_out(wanted, last, window)
        missing = self._expected = missing[: free + len(rows)]
        self._expected_last = self.last_k_active[missing]
        return self._place(missing, self._append(rows, len(missing)), window.token)

    def seed(self, bundles: Integers, last_active: Integers, window: Window) -> Admission:
        """Take in bundles that a prompt's last tokens used; returns those that were not here. What the window has left
        makes room for them, the least used first, and where that is too little, the least recent of all.

        bundles: int64 ids. last_active: int64, token at which each was last active.
        """
        new = self.absent[bundles]
        self.last_k_active[bundles[~new]] = last_active[~new]
        bundles, last_active = bundles[new], last_active[new]
        rows, excess = NO_ROWS, self.num_used + len(bundles) - self.capacity
        if excess > 0:
            rows = self._least_used(np.flatnonzero(self._last() < window.oldest), excess)
            if len(rows) < excess:
                self.remove(rows)
                bundles, last_active, rows = self._most_recent(bundles, last_active)
        return self._place(bundles, self._append(rows, len(bundles)), last_active)

    def redate(self, bundles: Integers, last_active: Integers) -> None:
        """Let the window see these bundles as active last at other tokens."""
        self.last_k_active[bundles] = last_active
        self._leaving = None

    def discard(self, admission: Admission) -> None:
        """Take back an admission whose bundles could not be read."""
        self.remove(admission.rows)

    def resize(self, capacity: int, movable_bytes: int) -> None:
        """Have another number of rows. Bundles that were active last stay, or, where nothing moves and uses are
        counted, the most used; so many as `movable_bytes` hold, which is all that is needed beside the rows."""
        last = self._last()
        worth = last if self.dense or not self.keep_hot else self._uses[self.pointer[: self.num_used]]
        count = min(capacity, self.num_held, movable_bytes // self.view.shape[1])
        kept = np.sort(np.argsort(-worth, kind="stable")[:count])
        bundles, last, moved = self.pointer[kept], last[kept], self.view[kept]
        row_bytes = self.view.shape[1]
        self.clear()
        del self.slab  # there is no room for two
        mx.clear_cache()
        self.capacity, self.slab = capacity, lasting_rows(capacity, row_bytes, self.dtype)
        self.pointer = np.full(capacity, -1, np.int64)
        self.view[: len(moved)] = moved
        self._place(bundles, self._append(NO_ROWS, len(bundles)), last)

    def forget(self) -> None:
        """Empty all rows, and know no more which bundles are hot: as if the pool were new."""
        self.clear()
        self._uses[:-1] = 0
        self._weight, self._turn = 1.0, 0

    def clear(self) -> None:
        """Empty all rows."""
        self._leaving, self._expected, self._expected_last = None, NO_ROWS, NO_ROWS
        self.absent.fill(True)
        self.pointer[: self.num_used] = -1
        self.num_used = 0

    def remove(self, rows: Integers) -> Integers:
        """Empty these rows (any order), and close the holes where rows are dense. Returns the holes that are left."""
        self._empty(rows)
        if not self.dense:
            return rows
        self._close(rows)
        return NO_ROWS

    def _most_recent(self, bundles: Integers, last_active: Integers) -> tuple[Integers, Integers, Integers]:
        """Of these and the bundles in the pool, the least recent go, until the others fit: those of these that stay,
        when each was last active, and the holes that the others left."""
        used, excess = self.num_used, self.num_used + len(bundles) - self.capacity
        # Of two as recent as each other, the one that is here stays: moving bundles takes time.
        everyone = np.concatenate([2 * self._last() + 1, 2 * last_active])
        leaving = np.argpartition(everyone, excess - 1)[:excess]
        gone = leaving[leaving < used]
        self.left_early += excess - int(np.count_nonzero(self.pointer[gone] < 0))
        staying = np.ones(len(bundles), np.bool_)
        staying[leaving[leaving >= used] - used] = False
        return bundles[staying], last_active[staying], self.remove(gone)

    def _rows_for(self, count: int, active: Integers, window: Window) -> Integers:
        """That many rows for what is missing of the active set: of what the window has left, or, where that and the
        free tail are too few, of the least used of all that the token does not need."""
        needed = max(0, count - (self.capacity - self.num_used))
        stale = self._left(needed, active, window)
        self._tight = len(stale) < needed
        if self._tight:
            self.last_k_active[active] = window.token
            stale = self._crowded_out(needed, self._last(), window)
        elif self.keep_hot:
            stale = stale[:needed]
            self.left_early += int(np.count_nonzero(self.last_k_active[self.pointer[stale]] >= window.oldest))
        elif self.dense and len(stale) - count > MAX_STALE_SHARE * self.num_used:
            # Moving bundles takes longer than multiplying a few too many: those that nothing needs yet stay.
            self.remove(stale[count:])
        return self._append(stale[:count], count)

    def _let_expected_go(self) -> None:
        """Let what was expected leave from now on, unless it is needed: it is as old as it was before."""
        self.last_k_active[self._expected] = self._expected_last
        self._expected = self._expected_last = NO_ROWS

    def _left(self, needed: int, active: Integers, window: Window) -> Integers:
        """Rows that the window has left; where the most used are to stay, not all, but those needed if there are."""
        if self._leaving is not None and self._leaving_before == window.oldest:
            self._idle[active] = False
            rows = self._leaving.rows[self._idle[self._leaving.bundles]]
            if not self.keep_hot or len(rows) >= needed:
                return rows
        self.last_k_active[active] = window.token
        rows = self._leavable(self._last(), needed, window.oldest, window.token)
        return self._least_used(rows, needed) if self.keep_hot else rows

    def _leavable(self, last: NDArray[np.int32], needed: int, oldest: int, token: int) -> Integers:
        """Rows that the window has left. Where uses are counted and these are fewer than are needed, or than should
        hold what is used most, all but those of the token: of two bundles the more used one is then worth more, however
        recent the other is. last: int32 [num_used], the token at which each row's bundle was last active."""
        rows = np.flatnonzero(last < oldest)
        if self.keep_hot and len(rows) < max(needed, MIN_HOT_SHARE * len(last)):
            return np.flatnonzero(last < token)
        return rows

    def _crowded_out(self, count: int, last: NDArray[np.int32], window: Window) -> Integers:
        """That many rows, or all but the present token's, where the window does not fit: of those bundles that were
        active longest ago. last: int32 [num_used], the token at which each row's was active last."""
        rows = np.flatnonzero(last < window.token)
        if count < len(rows):
            rows = rows[np.argpartition(last[rows], count)[:count]]
        self.left_early += int(np.count_nonzero(last[rows] >= window.oldest))
        return rows

    def _look_for_leaving(self, count: int, window: Window) -> None:
        """Find, while there is time, what the window will have left at the next token, unless that needs it."""
        self._leaving_before, ready = window.oldest + 1, READY_ROWS_PER_MISS * count + MIN_READY_ROWS
        rows = self._leavable(self._last(), ready, self._leaving_before, window.token + 1)
        if self.keep_hot:
            rows = self._least_used(rows, ready)
            rows = rows[np.argsort(self._uses[self.pointer[rows]])]
        self._leaving = Admission(self.pointer[rows], rows)

    def _last(self) -> NDArray[np.int32]:
        """The token at which the bundle of each row in use was last active: int32 [num_used]."""
        return self.last_k_active[self.pointer[: self.num_used]]

    def _count_uses(self, active: Integers, missed: int) -> None:
        """Least frequently used, with ageing. A token that misses much has another subject than those before it, which
        therefore count less: else what they used most would keep its rows long after."""
        self._fade(USE_DECAY * (1 - MISS_DECAY * (missed / max(1, len(active))) ** 2))
        self._uses[active] += self._weight

    def _fade(self, decay: float) -> None:
        """Older uses fade by what later ones weigh more: none of them is touched."""
        self._weight /= decay
        if self._weight > MAX_USE_WEIGHT:
            self._uses /= self._weight
            self._weight = 1.0

    def _least_used(self, rows: Integers, count: int) -> Integers:
        """`count` of the rows, or all: the least used, where uses are counted; where rows are dense and so many, those
        of a sample that moves on from token to token."""
        if count >= len(rows) or not self.keep_hot:
            return rows[:count]
        if self.dense and CANDIDATES_PER_ROW * count < len(rows):
            self._turn = (self._turn + CANDIDATES_PER_ROW * count) % (len(rows) - CANDIDATES_PER_ROW * count)
            rows = rows[self._turn : self._turn + CANDIDATES_PER_ROW * count]
        return rows[np.argpartition(self._uses[self.pointer[rows]], count)[:count]]

    def _append(self, rows: Integers, count: int) -> Integers:
        """`count` rows: these, and as many behind the rows in use as it takes."""
        more = count - len(rows)
        if not more:
            return rows
        self.num_used += more
        return np.concatenate([rows, np.arange(self.num_used - more, self.num_used, dtype=np.int64)])

    def _place(self, bundles: Integers, rows: Integers, last_active: int | Integers | NDArray[np.int32]) -> Admission:
        """Give these rows to these bundles; whoever was there is absent from now on."""
        self._leaving = None
        self.absent[self.pointer[rows]] = True
        self.pointer[rows] = bundles
        self.absent[bundles] = False
        self.last_k_active[bundles] = last_active
        return Admission(bundles, rows)

    def _empty(self, rows: Integers) -> None:
        """Empty these rows: whoever is in them is absent from now on."""
        self._leaving = None
        self.absent[self.pointer[rows]] = True
        self.pointer[rows] = -1

    def _close(self, holes: Integers) -> None:
        """Move the last used rows into holes, so that rows [0, num_used) are dense again."""
        used = self.num_used - len(holes)
        into = holes[holes < used]
        tail = np.arange(used, self.num_used, dtype=np.int64)
        movers = tail[self.pointer[tail] >= 0]
        self.view[into] = self.view[movers]
        self.pointer[into] = self.pointer[movers]
        self.pointer[tail] = -1
        self.num_used = used
