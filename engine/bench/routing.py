"""Routing traces: which experts the tokens of a text use, drawn so that their statistics are the published ones.

Of eight experts that a token uses, the one before used 35 %, and the eighth before 31 %. A pool that keeps the most
used experts finds 56 to 60 % of them where it holds 6 % of a layer's (of 256), 74 to 82 % at 25 %, 84 % at 35 %, 92 %
at 47 % and 95 % at 71 % (streamlx, slotstream, BigMoeOnEdge, TurboFieldfare; top-8 of 128 to 512 experts). Real routers
are so because some experts are liked by all texts, and some by the subject of the moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module
from numpy.typing import NDArray

from engine.models.checkpoint import replace_module
from engine.streaming.experts import StreamedExperts

POPULAR_EXPONENT = 1.8  # of experts by rank, over all texts
SUBJECT_EXPONENT = 1.4  # by rank, within a subject
SUBJECT_SHARE = 0.4  # of a token's choice is the subject's
SUBJECT_TOKENS = 150  # until it changes
FIRST_RANK = 2  # the most popular expert is not liked without bounds
REPEAT_CHANCE = 0.03  # of an expert that the last token used, beside its popularity
MIN_CHANCE = 1e-4  # shared by all experts: none is never used
USE_DECAY = 0.99  # a token, of what was used: the oracle's ageing
GUESS_ACCURACY = 0.8  # of a router that is asked with the input of the layer before (published: 72 to 89 %)
WARM_SHARE = 0.25  # of a trace, until a policy is judged


@dataclass(frozen=True)
class RoutingTrace:
    """experts: ids by token and layer, sorted, int64 [tokens, layers, top_k]. of: experts of a layer."""

    experts: NDArray[np.int64]
    of: int


@dataclass(frozen=True)
class RoutingStatistics:
    """overlap, overlap_8: shares of a token's experts that the token before, and the eighth before, used. hits: by the
    share of a layer's experts that are in memory, the hit rate of the most used ones."""

    overlap: float
    overlap_8: float
    hits: dict[float, float]


def draw_routing(experts: int, top_k: int, layers: int, tokens: int, seed: int = 0) -> RoutingTrace:
    """A trace whose statistics are the published ones; every layer has popular experts and subjects of its own."""
    random = np.random.default_rng(seed)
    drawn = np.stack([_draw_layer(experts, top_k, tokens, random) for _ in range(layers)], axis=1)
    return RoutingTrace(drawn, experts)


def _draw_layer(experts: int, top_k: int, tokens: int, random: np.random.Generator) -> NDArray[np.int64]:
    popular, subject = _chances(experts, POPULAR_EXPONENT, random), _chances(experts, SUBJECT_EXPONENT, random)
    chosen, last = np.empty((tokens, top_k), np.int64), np.empty(0, np.int64)
    for token in range(tokens):
        if token % SUBJECT_TOKENS == 0:
            subject = _chances(experts, SUBJECT_EXPONENT, random)
        chance = (1 - SUBJECT_SHARE) * popular + SUBJECT_SHARE * subject + MIN_CHANCE / experts
        order = np.log(chance) + random.gumbel(size=experts)  # the largest are a draw without replacement
        order[last[random.random(len(last)) < REPEAT_CHANCE]] = np.inf
        last = np.argpartition(-order, top_k - 1)[:top_k]
        chosen[token] = np.sort(last)
    return chosen


def _chances(experts: int, exponent: float, random: np.random.Generator) -> NDArray[np.float64]:
    chances = random.permutation((np.arange(experts) + float(FIRST_RANK)) ** -exponent)
    share: NDArray[np.float64] = chances / chances.sum()
    return share


def statistics(trace: RoutingTrace, shares: tuple[float, ...] = (0.125, 0.25, 0.5)) -> RoutingStatistics:
    """The statistics of a trace, over its layers."""
    hits = {share: hit_rate(trace, round(share * trace.of), "lfu") for share in shares}
    return RoutingStatistics(_overlap(trace, 1), _overlap(trace, 8), hits)


def _overlap(trace: RoutingTrace, lag: int) -> float:
    later, earlier = trace.experts[lag:], trace.experts[:-lag]
    both = (later[..., :, None] == earlier[..., None, :]).any(-1)
    return float(both.mean())


def hit_rate(
    trace: RoutingTrace, slots: int | Sequence[int], policy: str, prompt_tokens: int = 0, judged_from: int | None = None
) -> float:
    """The share of a token's experts that are in `slots` slots, of every layer or by layer, from token `judged_from`
    on: by default after the first quarter of a trace.

    prompt_tokens: computed at once; they leave their most used experts in the slots. policy: "lru", "lfu" (with
    ageing), or "best": whoever is needed last leaves first, which no policy beats. What the token itself uses never
    leaves. These are plain oracles, to compare the pool with.
    """
    layers, begins = trace.experts.shape[1], int(WARM_SHARE * len(trace.experts))
    capacities = [slots] * layers if isinstance(slots, int) else slots
    held = _Held(trace.of, policy, prompt_tokens, begins if judged_from is None else judged_from)
    found = [held.hits(trace.experts[:, layer], capacities[layer]) for layer in range(layers)]
    return float(np.mean(found))


@dataclass(frozen=True)
class _Held:
    """A policy's way through a layer's tokens. of: experts of the layer."""

    of: int
    policy: str
    prompt_tokens: int
    judged_from: int

    def hits(self, tokens: NDArray[np.int64], slots: int) -> float:
        uses, used_last = np.zeros(self.of), np.full(self.of, -1)
        following = _following(tokens, self.of) if self.policy == "best" else None
        held, hits, asked = set[int](), 0, 0
        for token, ids in enumerate(tokens):
            uses[ids] += 1
            used_last[ids] = token
            if token < self.prompt_tokens:
                held = set(np.argsort(-uses, kind="stable")[: min(slots, np.count_nonzero(uses))].tolist())
                continue
            missing = [expert for expert in ids.tolist() if expert not in held]
            if token >= self.judged_from:
                hits, asked = hits + len(ids) - len(missing), asked + len(ids)
            staying = -following[token] if following is not None else used_last if self.policy == "lru" else uses
            for expert in missing:
                if len(held) >= slots:
                    held.remove(min(held.difference(ids.tolist()), key=staying.__getitem__))
                held.add(expert)
            uses *= USE_DECAY
        return hits / asked


def _following(tokens: NDArray[np.int64], experts: int) -> NDArray[np.float64]:
    """By token, the token at which each expert is needed next, [tokens, experts]."""
    following, after = np.empty((len(tokens), experts)), np.full(experts, np.inf)
    for token in range(len(tokens) - 1, -1, -1):
        following[token] = after
        after[tokens[token]] = token
    return following


class ReplayedRouting(Module):
    """Stands before a layer's streamed experts: each token uses the experts that a trace says, whatever the router
    says. Asked beforehand, it answers as the router of a real model does: often, not always, what will be used.

    trace: ids, int64 [tokens, top_k]. of: experts of the layer.
    """

    def __init__(self, experts: StreamedExperts, trace: NDArray[np.int64], of: int):
        super().__init__()
        self.experts, self._trace, self._of, self._token = experts, trace, of, 0
        self._random = np.random.default_rng(0)

    def __call__(self, x: mx.array, indices: mx.array) -> mx.array:
        """The experts' output for x, of the experts that the trace says."""
        tokens = indices.size // self._trace.shape[1]
        said = self._trace[(self._token + np.arange(tokens)) % len(self._trace)]
        if self.experts.asked:
            wrong = self._random.random(said.shape) >= GUESS_ACCURACY
            said = np.where(wrong, self._random.integers(0, self._of, said.shape), said)
        else:
            self._token += tokens
        return self.experts(x, mx.array(said.reshape(indices.shape)))


def replay(trace: RoutingTrace, network: Module) -> None:
    """Let a model's streamed experts follow a trace, layer by layer."""
    found = [(path, module) for path, module in network.named_modules() if isinstance(module, StreamedExperts)]
    for layer, (path, experts) in enumerate(reversed(found)):  # mlx names the last first
        replace_module(network, path, ReplayedRouting(experts, trace.experts[:, layer], trace.of))
