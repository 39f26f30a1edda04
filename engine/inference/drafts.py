"""Drafts: tokens that probably come next. One pass of the model verifies several of them.

A draft changes nothing that is said: what the model itself chooses after each token counts, and the first draft that is
something else ends what the pass decides. So a greedy answer is that of decoding token by token, and a sampled one has
the model's own distribution: to draw from it, and to go on where that is the draft, is the usual acceptance rule for
drafts that are certain. As the same numbers are drawn for the same tokens, a seed's answer does not depend on drafts
either.

All that as far as a pass of several tokens computes what passes of one do. Without a GPU that is to the bit, up to
`packed.FEW_VECTORS` tokens, where caches keep the tokens' order; rotating ones, and recurrent layers, sum in another.
On Metal, kernels for several vectors may round otherwise. There, an answer can differ where two tokens are as likely as
each other to the last bits; it is the model's own all the same.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.inference.pace import MAX_DRAFTS, Pace

MIN_MATCH, MAX_MATCH = 2, 8  # tokens: the end of the text that is looked for before
CANDIDATES = 16  # places with the same last tokens that are compared, the latest ones


@dataclass(frozen=True)
class Draft:
    """Tokens that may come next. kind: of drafts that are right about as often."""

    tokens: Sequence[int]
    kind: Hashable


class Drafter(Protocol):
    """A source of drafts."""

    @property
    def drafting_s(self) -> float:
        """Seconds that a token's draft takes."""

    def begin(self) -> None:
        """Another answer begins."""

    def kind_after(self, known: Sequence[int]) -> Hashable:
        """The kind of draft that there would be after all tokens so far; None for none. known: only grows."""

    def draft(self, known: Sequence[int], count: int) -> Sequence[int]:
        """At most so many tokens."""


class PromptLookup:
    """Looks for the last tokens in the text before them, and proposes what followed there. It takes no memory to speak
    of, and helps where an answer repeats its prompt or itself: quotations, edits, code, JSON."""

    drafting_s = 0.0

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Another answer begins: nothing is known."""
        self._places: dict[tuple[int, ...], list[int]] = {}  # after each run of MIN_MATCH tokens
        self._indexed = MIN_MATCH - 1
        self._found = (0, 0)  # the place to go on from, for so many known tokens

    def kind_after(self, known: Sequence[int]) -> Hashable:
        """The number of tokens that are the same before both places."""
        self._index(known)
        end = tuple(known[-MIN_MATCH:])
        places = self._places.get(end, [])[-CANDIDATES:] if len(known) >= MIN_MATCH else []
        if not places:
            return None
        length, place = max((_same(known, place), place) for place in places)
        self._found = place, len(known)
        return length

    def draft(self, known: Sequence[int], count: int) -> Sequence[int]:
        """The tokens that followed there; where these are the last that are known, it goes on in a circle."""
        place, length = self._found
        return [known[place + i % (length - place)] for i in range(count)]

    def _index(self, known: Sequence[int]) -> None:
        """Take in what is known, but for the end of it, which is what is looked for."""
        for place in range(self._indexed + 1, len(known)):
            self._places.setdefault(tuple(known[place - MIN_MATCH : place]), []).append(place)
        self._indexed = max(self._indexed, len(known) - 1)


def _same(known: Sequence[int], place: int) -> int:
    """Tokens before a place that are those at the end."""
    count = 0
    while count < min(MAX_MATCH, place) and known[place - 1 - count] == known[len(known) - 1 - count]:
        count += 1
    return count


class Drafts:
    """The drafts of several drafters, as far as they pay. drafters: the first that has something is asked."""

    def __init__(self, drafters: Sequence[Drafter], rolls_back: bool = False):
        self._drafters, self._pace = drafters, Pace(rolls_back)
        self._proposed: Draft | None = None  # what is next, whether or not it is verified

    def begin(self) -> None:
        """Another answer begins."""
        self._proposed = None
        for drafter in self._drafters:
            drafter.begin()

    def after(self, known: Sequence[int], most: int, certain: Sequence[int] = ()) -> Sequence[int]:
        """The drafts to be verified with the last of all tokens so far, at most `most`, perhaps none. certain: tokens
        that come next in any case, which are no guess: as many as fit."""
        self._proposed = None
        if certain:
            return list(certain)[: min(most, MAX_DRAFTS)]
        for drafter in self._drafters:
            kind = drafter.kind_after(known)
            if kind is not None:
                return self._draft(drafter, kind, known, most)
        return []

    def verified(self, passed: int, decided: Sequence[int], seconds: float, drafting_s: float) -> None:
        """A pass of so many tokens has decided some, the first of which were drafts where these were right."""
        self._pace.took(passed, seconds, len(decided), drafting_s)
        if self._proposed is None:
            return
        proposed, right = self._proposed.tokens, 0
        while right < min(len(proposed), len(decided)) and proposed[right] == decided[right]:
            right += 1
        self._pace.judge(self._proposed.kind, right, min(right + 1, len(proposed), len(decided)))

    def _draft(self, drafter: Drafter, kind: Hashable, known: Sequence[int], most: int) -> Sequence[int]:
        """The drafts that are worth a pass's time. One that costs nothing is compared with what comes in any case: so
        it shows when they become worth it."""
        count = self._pace.tokens_of((type(drafter), kind), most, drafter.drafting_s)
        tokens = drafter.draft(known, count or int(not drafter.drafting_s))
        self._proposed = Draft(tokens, (type(drafter), kind))
        return tokens[:count]
