"""The pace of drafts: how many tokens a pass is given, by what passes have taken here and how often drafts were right.

A pass of several tokens reads what it needs once, and computes more. Of each number of tokens the seconds are kept, and
of each kind of draft the share that was right; the number of drafts is the one with most tokens a second, perhaps none.

What was measured does not always hold. So drafts have a credit, counted in passes of one token: what they lose is taken
from it, what they win is added, and they risk no more than there is. Then an answer takes little more than without
them, whatever comes.
"""

from collections import deque
from collections.abc import Callable, Hashable
from math import inf
from statistics import median

from engine.arrays.packed import FEW_VECTORS

MAX_DRAFTS = FEW_VECTORS - 1  # beside the token before them: so many are computed to the bit as each alone
MEDIAN_PASSES = 5  # of a size whose median counts: one that something else held up must not decide
FIRST_SHARE = 0.4  # of drafts that are right, before any was tried,
FIRST_DRAFTS = 4.0  # and as how many tries that counts
TRIAL_DECAY = 0.95  # of a draft's weight, from one to the next of its kind
FIRST_SLOPE = 0.1  # of a token's time that each more takes in the same pass, before that was tried
MIN_GAIN = 1.02  # times the tokens a second without drafts that are to be expected of them
FIRST_PASSES = 2  # of one token, before several are given to one: a first pass may take longer
KNOWN_PASSES = 16  # of several, after which one of one token shows again what these save
FIRST_CREDIT = 0.6  # passes of one token that drafts may lose: the first ones may be wrong by chance
CREDIT_SHARE = 0.01  # of all time, by which that grows
ANSWER_CREDIT, MAX_CREDIT = 1.25, 4.0  # passes, as an answer begins, and ever: what was won before is soon lost again
MAX_RISK_SHARE = 0.25  # of the credit, that more than one draft may lose at once
MAX_TRIAL_SHARE = 0.02  # of the time that the tokens to come take by themselves, for what is done once
SETTLED_DRAFTS = 8  # of a kind that were judged, after which it is known how often they are right
USUAL_TOKENS = 128  # that still come, of an answer that may be longer
FORGOTTEN_PASSES = 64  # of one token, after which the cost of several is tried again


class Pace:
    """rolls_back: the tokens of a pass cannot be taken back one by one; those that were right are computed again."""

    def __init__(self, rolls_back: bool = False):
        self._rolls_back = rolls_back
        self._seconds: dict[int, deque[float]] = {}  # of passes, by their tokens
        self._right: dict[Hashable, tuple[float, float]] = {}  # drafts by kind: right, and all; later ones weigh more
        self._single = 0  # passes of one token, since one of several
        self._several = 0  # of several, since one of one token
        self._credit = FIRST_CREDIT
        self._owed_s = 0.0  # of what was done once, for which the credit does not grow yet

    def begin(self) -> None:
        """Another answer begins."""
        self._credit = min(self._credit, ANSWER_CREDIT)

    def tokens_of(self, kind: Hashable, most: int, drafting_s: float = 0.0) -> int:
        """The number of drafts that a pass is worth giving, at most `most`. drafting_s: that one takes to be made."""
        return self.best(kind, most, drafting_s)[0]

    def best(self, kind: Hashable, most: int, drafting_s: float = 0.0) -> tuple[int, float]:
        """The same number, and the times as many tokens a second that are to be expected of it, 1 of none."""
        if not self._knows_one_token or self.is_overdrawn:
            return 0, 1.0
        share, counts = self.right_share(kind), range(min(most, MAX_DRAFTS) + 1)
        speeds = [self._speed(drafts, share, drafting_s) for drafts in counts if self._dares(drafts, drafting_s)]
        best = max(range(len(speeds)), key=speeds.__getitem__)
        gain = speeds[best] / speeds[0]
        return (best, gain) if gain >= MIN_GAIN else (0, 1.0)

    def allows(self, catching_up_s: float, kind: Hashable, gain: float, most: int) -> bool:
        """True where so long, once, before drafts that bring times as many tokens a second, is worth it for the tokens
        to come, at most `most`: it takes half of what is to be saved at most, and little while nobody has tried."""
        if not catching_up_s:
            return True
        _, tried = self._right.get(kind, (0.0, 0.0))
        share = (1 - 1 / gain) / 2 if tried >= SETTLED_DRAFTS else MAX_TRIAL_SHARE
        return catching_up_s <= share * min(most, USUAL_TOKENS) * self.seconds_of(1)

    def allows_again(self, seconds: float) -> bool:
        """True where so long, once, may be spent on drafts that have lost what they might, or had no room: there is as
        much credit as at first, nothing of the like is owed, and it is little beside the tokens to come."""
        most = MAX_TRIAL_SHARE * USUAL_TOKENS * self.seconds_of(1) if 1 in self._seconds else inf
        return self._credit >= FIRST_CREDIT and not self._owed_s and seconds <= most

    def forget(self, is_one: Callable[[Hashable], bool]) -> None:
        """Know nothing any more of how often drafts of some kinds were right."""
        self._right = {kind: counts for kind, counts in self._right.items() if not is_one(kind)}

    def right_share(self, kind: Hashable) -> float:
        """The share of drafts of a kind, of those that came after right ones alone, that was right."""
        right, tried = self._right.get(kind, (0.0, 0.0))
        return (right + FIRST_SHARE * FIRST_DRAFTS) / (tried + FIRST_DRAFTS)

    def judge(self, kind: Hashable, right: int, tried: int) -> None:
        """So many drafts were right, of those that came to be looked at: the first that is wrong ends that."""
        for i in range(tried):
            was_right, was_tried = self._right.get(kind, (0.0, 0.0))
            self._right[kind] = TRIAL_DECAY * was_right + (i < right), TRIAL_DECAY * was_tried + 1

    def did_once(self, seconds: float) -> None:
        """So long was spent for the tokens to come."""
        self._owed_s += seconds

    def took(self, tokens: int, seconds: float, decided: int, drafting_s: float = 0.0, room_s: float = 0.0) -> None:
        """A pass of so many tokens took so long, and decided some. drafting_s: before it. room_s: of it, that it would
        not have taken, had drafters left their memory to the model."""
        self._seconds.setdefault(tokens, deque(maxlen=MEDIAN_PASSES)).append(seconds)
        self._account(tokens, seconds + drafting_s, decided, room_s)
        if tokens > 1:
            self._single, self._several = 0, self._several + 1
            return
        self._single, self._several = self._single + 1, 0
        if self._single == FORGOTTEN_PASSES:
            self._seconds = {1: self._seconds[1]}

    @property
    def is_overdrawn(self) -> bool:
        """True where drafts have lost as much as they may."""
        return self._credit < 0

    def seconds_of(self, tokens: int) -> float:
        """The time that a pass of so many tokens takes: as measured, or between what was measured of fewer and more."""
        below = max(size for size in self._seconds if size <= tokens)
        above = min((size for size in self._seconds if size >= tokens), default=None)
        least = median(self._seconds[below])
        if above is None:
            return least + (tokens - below) * self._slope(below)
        most = median(self._seconds[above])
        return least if above == below else least + (most - least) * (tokens - below) / (above - below)

    @property
    def _knows_one_token(self) -> bool:
        """True where it is known what a pass of one token takes these days."""
        return len(self._seconds.get(1, ())) >= FIRST_PASSES and self._several < KNOWN_PASSES

    def _dares(self, drafts: int, drafting_s: float) -> bool:
        """True where so many drafts, if none is right, leave some of the credit."""
        if not drafts:
            return True
        lost = (self.seconds_of(drafts + 1) + drafts * drafting_s) / self.seconds_of(1) - 1
        return lost <= self._credit * (1 if drafts == 1 else MAX_RISK_SHARE)

    def _account(self, tokens: int, seconds: float, decided: int, room_s: float) -> None:
        """Compare a pass with those of one token that would have decided as much, had drafters held no memory."""
        if 1 not in self._seconds:
            return  # nobody knows what was lost: tokens that are certain need no trial
        one = self.seconds_of(1)
        lost = room_s if tokens == 1 else seconds - decided * (one - room_s)
        granted_s = CREDIT_SHARE * seconds
        repaid_s = min(self._owed_s, granted_s)
        self._owed_s -= repaid_s
        self._credit = min(MAX_CREDIT, self._credit + (granted_s - repaid_s - lost) / one)

    def _slope(self, largest: int) -> float:
        """Seconds that each token adds to a pass of more than were tried."""
        one = median(self._seconds[1])
        return max(0.0, median(self._seconds[largest]) - one) / (largest - 1) if largest > 1 else FIRST_SLOPE * one

    def _speed(self, drafts: int, share: float, drafting_s: float) -> float:
        """Tokens a second to be expected."""
        tokens = float(sum(share**i for i in range(drafts + 1)))
        seconds = self.seconds_of(drafts + 1) + drafts * drafting_s
        if self._rolls_back:
            wrong = 1 - share**drafts
            tokens, seconds = tokens + wrong, seconds + wrong * self.seconds_of(1 + round(tokens))
        return tokens / seconds
