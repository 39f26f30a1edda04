"""The reuse of neurons: the paper's aggregated use over a window (section 3.1, fig. 4), as a curve.

Neurons differ: some fire for most tokens, most never. Here a share `live` of a layer's neurons fires at all, each for
every token with a probability of its own, and these probabilities are Beta distributed. Three numbers then give the
whole curve, for any window, and can be fitted to three measured ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, lgamma

import numpy as np

SEEN_TOKENS = 32  # since the first prompt, before which nothing is known of hot neurons: the middle of a usual answer
EXPONENTS = -2.0, 6.0  # of ten: spreads that a curve is looked for in


@dataclass(frozen=True)
class Reuse:
    """live: share of neurons that ever fire. mean, spread: of their probabilities, Beta(mean * spread, ...)."""

    live: float
    mean: float
    spread: float

    @property
    def selected(self) -> float:
        """Share of a layer's neurons that one token needs."""
        return self.live * self.mean

    def aggregated(self, window: float) -> float:
        """Share of a layer's neurons that `window` consecutive tokens need together; windows between whole ones too."""
        return self.live * (1 - self._unused(window))

    def loaded(self, window: float, kept: float = 0.0) -> float:
        """Share that a token needs and the `window` tokens before it did not: what has to be read.

        kept: share of the layer's neurons that stay in memory beside the window's: the most used ones of the last
        `SEEN_TOKENS` tokens.
        """
        if kept <= 0:
            return self.aggregated(window + 1) - self.aggregated(window)
        chance, weight = _probabilities(self.mean, self.spread)
        outside = self.live * weight * (1 - chance) ** window  # of the neurons with that chance, not in the window
        unseen = (1 - chance) ** SEEN_TOKENS
        fits = np.cumsum(outside * (1 - unseen)) <= kept
        return float((outside * chance * np.where(fits, unseen, 1)).sum())

    def window_of(self, share: float, most: float = inf) -> float:
        """The window, not necessarily whole and at most `most`, whose neurons fill `share` of a layer; 0 if not one
        token's fit."""
        low, high = 0.0, 1.0
        if self.aggregated(1) > share:
            return 0.0
        if most < inf:
            return most if self.aggregated(most) <= share else _root(lambda w: self.aggregated(w) - share, low, most)
        while self.aggregated(high) < share and high < 1e6:
            low, high = high, 2 * high
        return _root(lambda window: self.aggregated(window) - share, low, high)

    def scaled(self, selected: float) -> "Reuse":
        """The same use of another share of the neurons."""
        live = selected / self.mean
        return Reuse(min(live, 1.0), self.mean if live <= 1 else selected, self.spread)

    def _unused(self, tokens: float) -> float:
        """Expected (1 - q) ** tokens, q a live neuron's probability."""
        return _unused(self.mean, self.spread, tokens)

    @classmethod
    def fit(cls, selected: float, resident: float, loaded: float, window: int) -> "Reuse":
        """The curve on which one token needs `selected` of a layer, `window` tokens together `resident`, and of a
        token's neurons `loaded` were used by none of the `window` tokens before it.

        Real text comes back to a subject: a window of it then holds fewer neurons than chance says. Where that would
        take more neurons than there are, all are live, and only the first and the last figure are kept to.
        Raises ValueError for figures that no such use of neurons has.
        """

        def of_spread(spread: float) -> "Reuse":
            mean = _root(lambda mean: loaded / selected - cls(1 / mean, mean, spread).loaded(window), 1e-6, 1 - 1e-6)
            return cls(selected / mean, mean, spread)

        def excess(exponent: float) -> float:
            return of_spread(10**exponent).aggregated(window) - resident

        if not 0 < loaded < selected < resident <= 1 or excess(EXPONENTS[0]) * excess(EXPONENTS[1]) > 0:
            raise ValueError(f"no use of neurons selects {selected}, holds {resident} and loads {loaded}")
        fitted = of_spread(10 ** _root(excess, *EXPONENTS))
        return fitted if fitted.live <= 1 else cls._all_live(selected, resident, loaded, window)

    @classmethod
    def _all_live(cls, selected: float, resident: float, loaded: float, window: int) -> "Reuse":
        """As `fit`, of neurons all of which are live. What is loaded rises with the spread to a peak and then falls: of
        two curves that load so much, the one whose window holds more nearly as much as was measured."""

        def excess(exponent: float) -> float:
            return cls(1.0, selected, 10**exponent).loaded(window) - loaded

        low, high = EXPONENTS
        peak = (
            _root(lambda e: _rise(selected, 10**e, window), low, high)
            if _rise(selected, 10**high, window) < 0
            else high
        )
        sides = [side for side in ((low, peak), (peak, high)) if excess(side[0]) * excess(side[1]) <= 0]
        exponents = [_root(excess, *side) for side in sides] or [peak]
        return min((cls(1.0, selected, 10**e) for e in exponents), key=lambda c: abs(c.aggregated(window) - resident))


@lru_cache
def _probabilities(mean: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of live neurons, from high to low, and the share that has each: float64 [points]."""
    a, b = mean * spread, (1 - mean) * spread
    logit = np.linspace(30, -30, 6001)
    log_chance, log_rest = -np.logaddexp(0, -logit), -np.logaddexp(0, logit)
    weight = np.exp(a * log_chance + b * log_rest + lgamma(spread) - lgamma(a) - lgamma(b))
    return np.exp(log_chance), weight / weight.sum()


@lru_cache(maxsize=1 << 10)  # the layers of a model often differ by nothing but their share of live neurons
def _unused(mean: float, spread: float, tokens: float) -> float:
    b = (1 - mean) * spread
    if b <= 0:  # all are always live
        return 0.0
    return exp(lgamma(b + tokens) + lgamma(spread) - lgamma(b) - lgamma(spread + tokens))


def _rise(mean: float, spread: float, window: int) -> float:
    """A number with the sign of how what is loaded changes with the spread: it is the product over i below `window` of
    ((1 - mean) * spread + i) / (spread + 1 + i), times the mean; this is its logarithm's derivative."""
    step = np.arange(window)
    return float(((1 - mean * (1 + step)) / (((1 - mean) * spread + step) * (spread + 1 + step))).sum())


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """The place between low and high where a function changes its sign, once."""
    rising = function(high) > 0
    while abs(high - low) > 1e-12 * abs(high):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if (function(middle) > 0) == rising:
            high = middle
        else:
            low = middle
    return (low + high) / 2


# What is known of the models that the paper measured. OPT: appendix C.1; Falcon: C.2, whose selected share is not
# given and follows from the other two.
OPT = Reuse.fit(selected=0.10, resident=0.24, loaded=0.024, window=4)
FALCON = Reuse.fit(selected=0.14, resident=0.33, loaded=0.031, window=4)


def like_opt(selected: float) -> Reuse:
    """The curve of a model of which only one token's share is known: used again as OPT's neurons are."""
    selected = min(selected, 1 - 1e-6)  # a neuron that always fires has no spread
    return OPT.scaled(selected)


@lru_cache  # a model's layers do not change, and are asked for as often as a slider moves
def curve(selected: float, resident: float, loaded: float, window: int) -> Reuse:
    """The curve of a layer's measured shares, see `Reuse.fit`; used again as OPT's neurons are, where there is none."""
    try:
        return Reuse.fit(selected, resident, loaded, window)
    except (ValueError, ZeroDivisionError):
        return like_opt(max(selected, 1e-6))
