"""Drafts: tokens that probably come next. One pass of the model verifies several of them.

A draft changes nothing that is said: what the model itself chooses after each token counts, and the first draft that is
something else ends what the pass decides. So a greedy answer is that of decoding token by token, and a sampled one has
the model's own distribution.

The usual rule accepts a draft with probability min(1, p/q), where the model gives it p and the drafter drew it with q,
and draws another where it does not: then a seed's answer would depend on how many drafts there were, which follows from
what was measured. Here model and drafter draw with the same random numbers for the same place of the text
(`sampling.sampler`), from p and from q, both after temperature, top-p and whatever else: what the model draws is what
it would have drawn without drafts, whatever q is. They draw the same in nearly as many cases as that rule accepts: in
all where p = q, and where these are d apart (in total variation) in (1 - d) / (1 + d) of them at least; no rule can
exceed 1 - d.

All that as far as a pass of several tokens computes what passes of one do. Without a GPU that is to the bit, up to
`packed.FEW_VECTORS` tokens, where caches keep the tokens' order; rotating ones, and recurrent layers, sum in another.
On Metal, kernels for several vectors may round otherwise. There, an answer can differ where two tokens are as likely as
each other to the last bits; it is the model's own all the same.
"""

from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from time import perf_counter
from typing import Protocol

from engine.inference.pace import MAX_DRAFTS, Pace
from engine.inference.sampling import Sample
from engine.statistics import CERTAIN, LOOKUP

MIN_MATCH, MAX_MATCH = 2, 8  # tokens: the end of the text that is looked for before
CANDIDATES = 16  # places with the same last tokens that are compared, the latest ones


@dataclass(frozen=True)
class Draft:
    """Tokens that may come next. kind: of drafts that are right about as often."""

    tokens: Sequence[int]
    kind: Hashable


@dataclass(frozen=True)
class Answer:
    """An answer that begins, as far as drafters need it. draw: the choice of its tokens, from logits
    [1, vocabulary]; it may be asked ahead. ends: tokens after which no other counts."""

    draw: Sample
    vocabulary: int
    ends: Collection[int] = ()
    cancelled: Event | None = None


class Drafter(Protocol):
    """A source of drafts."""

    @property
    def name(self) -> str:
        """Its name, as a receipt has it."""

    @property
    def drafting_s(self) -> float:
        """Seconds that a token's draft takes."""

    @property
    def room_share(self) -> float:
        """The share of what a pass reads that it would not, had the model the memory that this takes."""

    def begin(self, answer: Answer) -> None:
        """Another answer begins."""

    def kind_after(self, known: Sequence[int]) -> Hashable:
        """The kind of draft that there would be after all tokens so far; None for none. known: only grows."""

    def catching_up_s(self, known: Sequence[int]) -> float:
        """Seconds that `catch_up` is expected to take."""

    def catch_up(self, known: Sequence[int]) -> None:
        """Take in what is known, where that is more than a draft does by the way."""

    def draft(self, known: Sequence[int], count: int) -> Sequence[int]:
        """At most so many tokens."""


class PromptLookup:
    """Looks for the last tokens in the text before them, and proposes what followed there. It takes no memory to speak
    of, and helps where an answer repeats its prompt or itself: quotations, edits, code, JSON."""

    name = LOOKUP
    drafting_s = room_share = 0.0

    def __init__(self) -> None:
        self.begin()

    def begin(self, answer: Answer | None = None) -> None:  # noqa: ARG002
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

    def catching_up_s(self, known: Sequence[int]) -> float:  # noqa: ARG002
        """None: it has read all that is known."""
        return 0.0

    def catch_up(self, known: Sequence[int]) -> None:
        """Nothing is to be taken in."""

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


@dataclass(frozen=True)
class _Offer:
    """The drafts that a drafter would make: so many, and the times as many tokens a second that they would bring."""

    drafter: Drafter
    kind: Hashable
    count: int
    gain: float


class Drafts:
    """The drafts of several drafters, as far as they pay: of each pass, those of whoever is expected to bring most by
    what was measured.

    source: the name of what made the last drafts; CERTAIN where they were no guess. answers: that have begun.
    """

    def __init__(self, drafters: Sequence[Drafter], rolls_back: bool = False):
        self._drafters, self._pace, self.source = list(drafters), Pace(rolls_back), ""
        self._answer: Answer | None = None
        self.answers = 0
        self._proposed: list[Draft] = []  # what is next, whether or not it is verified
        self._catching_up_s = 0.0  # of the last drafts

    def begin(self, answer: Answer) -> None:
        """Another answer begins."""
        self._proposed, self._answer = [], answer
        self.answers += 1
        self._pace.begin()
        for drafter in self._drafters:
            drafter.begin(answer)

    def after(self, known: Sequence[int], most: int, certain: Sequence[int] = ()) -> Sequence[int]:
        """The drafts to be verified with the last of all tokens so far, at most `most`, perhaps none. certain: tokens
        that come next in any case, which are no guess: as many as fit."""
        self._proposed, self._catching_up_s = [], 0.0
        if certain:
            self.source = CERTAIN
            return list(certain)[: min(most, MAX_DRAFTS)]
        offers = [self._offer(each, kind, known, most) for each, kind in self._kinds(known)]
        best = max(offers, key=lambda offer: offer.gain, default=None)
        drafts: Sequence[int] = ()
        for offer in offers:
            found = self._made(offer, known, offer.count if offer is best else 0)
            drafts = found if offer is best else drafts
        return drafts

    def verified(
        self, passed: int, decided: Sequence[int], seconds: float, drafting_s: float, waited_s: float = 0.0
    ) -> None:
        """A pass of so many tokens has decided some, the first of which were drafts where these were right. waited_s:
        of its time, for flash."""
        room_s = min(waited_s, seconds * sum(drafter.room_share for drafter in self._drafters))
        self._pace.took(passed, seconds, len(decided), drafting_s - self._catching_up_s, room_s)
        for proposed in self._proposed:
            right, most = 0, min(len(proposed.tokens), len(decided))
            while right < most and proposed.tokens[right] == decided[right]:
                right += 1
            self._pace.judge(proposed.kind, right, min(right + 1, most))

    def pays(self, drafter: Drafter) -> bool:
        """False where what a drafter holds is of more use to the model: drafts have lost as much as they may."""
        return not (drafter.room_share and self._pace.is_overdrawn)

    def allow_again(self, seconds: float) -> bool:
        """True where a drafter that has given its room back may come again, which takes so long."""
        return self._pace.allows_again(seconds)

    def take_again(self, drafter: Drafter, seconds: float) -> None:
        """Ask a drafter that has come again, which took so long, in place of the one of its name. It is as unknown as
        at first."""
        self._drafters = [*(each for each in self._drafters if each.name != drafter.name), drafter]
        self._pace.forget(lambda kind: isinstance(kind, tuple) and kind[0] == drafter.name)
        self._pace.did_once(seconds)
        if self._answer:
            drafter.begin(self._answer)

    def _kinds(self, known: Sequence[int]) -> Iterator[tuple[Drafter, Hashable]]:
        """The drafters that have something to say."""
        for drafter in self._drafters:
            kind = drafter.kind_after(known)
            if kind is not None:
                yield drafter, kind

    def _offer(self, drafter: Drafter, kind: Hashable, known: Sequence[int], most: int) -> _Offer:
        kind = drafter.name, kind
        count, gain = self._pace.best(kind, most, drafter.drafting_s)
        if count and not self._pace.allows(drafter.catching_up_s(known), kind, gain, most):
            count, gain = 0, 1.0
        return _Offer(drafter, kind, count, gain)

    def _made(self, offer: _Offer, known: Sequence[int], count: int) -> Sequence[int]:
        """So many drafts. One that costs nothing is compared with what comes in any case: so it shows when they become
        worth it."""
        drafter, began = offer.drafter, perf_counter()
        if count and drafter.catching_up_s(known):
            drafter.catch_up(known)
            self._catching_up_s = perf_counter() - began
            self._pace.did_once(self._catching_up_s)
        tokens = drafter.draft(known, count or int(not drafter.drafting_s))
        if tokens:
            self._proposed.append(Draft(tokens, offer.kind))
        self.source = drafter.name if count else self.source
        return tokens[:count]
