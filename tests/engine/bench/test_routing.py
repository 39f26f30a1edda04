"""Routing traces: as the published ones, in every statistic that decides how much is read."""

import mlx.core as mx
import numpy as np
import pytest

from engine.bench.routing import ReplayedRouting, RoutingTrace, draw_routing, hit_rate, statistics
from engine.memory.pool import BundlePool
from engine.memory.window import Window


@pytest.fixture(scope="module")
def trace():
    return draw_routing(experts=128, top_k=8, layers=2, tokens=600)


def test_a_token_uses_each_expert_once(trace):
    assert trace.experts.shape == (600, 2, 8)
    assert (np.diff(trace.experts) > 0).all()
    assert trace.experts.min() >= 0
    assert trace.experts.max() < 128


def test_statistics_are_the_published_ones(trace):
    found = statistics(trace)
    assert 0.31 <= found.overlap <= 0.39
    assert 0.27 <= found.overlap_8 <= found.overlap
    assert 0.52 <= found.hits[0.125] <= 0.64
    assert 0.72 <= found.hits[0.25] <= 0.82
    assert 0.84 <= found.hits[0.5] <= 0.93


def test_many_experts_of_which_few_are_held():
    found = statistics(draw_routing(experts=256, top_k=8, layers=1, tokens=600), shares=(0.0625,))
    assert 0.52 <= found.hits[0.0625] <= 0.62


def test_layers_and_seeds_differ_and_the_same_seed_does_not(trace):
    assert (trace.experts[:, 0] != trace.experts[:, 1]).any()
    assert (draw_routing(128, 8, 2, 600).experts == trace.experts).all()
    assert (draw_routing(128, 8, 2, 600, seed=1).experts != trace.experts).any()


@pytest.mark.parametrize("slots", [8, 32, 128])
def test_no_policy_beats_the_best(trace, slots):
    lru, lfu, best = (hit_rate(trace, slots, policy) for policy in ("lru", "lfu", "best"))
    assert best >= max(lru, lfu)
    if slots == 8:
        assert lru == lfu  # nothing but the last token's is there
    if slots == 128:
        assert best == lfu
        assert lfu > 0.99


def test_policies_on_a_trace_that_can_be_counted_by_hand():
    tokens = np.array([[0, 1], [0, 2], [0, 1], [0, 2], [0, 1], [0, 2], [0, 1], [0, 2]])[:, None]
    trace = RoutingTrace(tokens, 4)
    assert hit_rate(trace, 2, "lru") == 0.5
    assert hit_rate(trace, 3, "lru") == 1.0


def test_what_a_prompt_used_most_is_there_for_the_tokens_after_it():
    trace = RoutingTrace(np.array([[0, 1], [0, 1], [0, 2], [0, 1], [2, 3]])[:, None], 4)
    assert hit_rate(trace, 2, "lfu", prompt_tokens=3, judged_from=3) == 0.5
    assert hit_rate(trace, [3], "lru", prompt_tokens=3, judged_from=3) == 0.75


def pool_hit_rate(trace: RoutingTrace, slots: int, prompt_tokens: int, judged_from: int) -> float:
    """Of the engine's own pool, as `hit_rate` of a plain policy."""
    return float(np.mean([_pool_hits(layer, trace.of, slots, prompt_tokens, judged_from)
                          for layer in trace.experts.transpose(1, 0, 2)]))  # fmt: skip


def _pool_hits(tokens: np.ndarray, experts: int, slots: int, prompt_tokens: int, judged_from: int) -> float:
    pool, window = BundlePool(slots, 16, "U32", experts, keep_hot=True, dense=False), Window(1)
    window.advance(prompt_tokens)
    used, counts = np.unique(tokens[:prompt_tokens], return_counts=True)
    pool.count_uses(used, counts, prompt_tokens)
    kept = pool.most_used(used, slots)
    pool.seed(kept, np.full(len(kept), window.token), window)
    missed = 0
    for token, ids in enumerate(tokens[prompt_tokens:], prompt_tokens):
        window.advance()
        missing = pool.admit(ids, window).bundles
        missed += len(missing) if token >= judged_from else 0
    return 1 - missed / tokens[judged_from:].size


@pytest.mark.parametrize(("experts", "slots"), [(64, 25), (128, 16), (128, 64)])
@pytest.mark.parametrize("seed", range(3))
def test_the_pool_finds_at_least_what_lfu_and_lru_find(experts, slots, seed):
    trace = draw_routing(experts, 8, 2, 700, seed)
    ours = pool_hit_rate(trace, slots, 64, 160)
    assert ours >= hit_rate(trace, slots, "lfu", 64, 160) - 0.002
    assert ours > hit_rate(trace, slots, "lru", 64, 160)
    assert ours < hit_rate(trace, slots, "best", 64, 160)


@pytest.mark.parametrize("seed", range(3))
def test_a_text_that_changes_its_subject_does_not_starve(seed):
    """Experts of a subject, few enough for the slots, and then others: what was used a thousand times must go."""
    rng = np.random.default_rng(seed)
    subjects = [rng.permutation(128)[:24] for _ in range(3)]
    tokens = np.stack([np.sort(rng.permutation(subjects[t // 400])[:8]) for t in range(1200)])
    trace = RoutingTrace(tokens[:, None], 128)
    found, lru = pool_hit_rate(trace, 32, 64, 160), hit_rate(trace, 32, "lru", 64, 160)
    assert found > hit_rate(trace, 32, "lfu", 64, 160)
    assert found > lru - 0.05
    for change in (400, 800):  # a while after it, everything is there again
        late = RoutingTrace(tokens[: change + 200, None], 128)
        assert pool_hit_rate(late, 32, 64, change + 100) > 0.99


class Experts:
    """A stand-in behind a replayed router, which is told what that says."""

    asked = False

    def __call__(self, x, indices):
        return np.array(indices)


def test_tokens_use_what_the_trace_says_and_a_router_that_is_asked_before_is_often_right():
    trace, experts = draw_routing(64, 8, 1, 200), Experts()
    replayed = ReplayedRouting(experts, trace.experts[:, 0], trace.of)
    x, said = mx.zeros((1, 1, 4)), mx.zeros((1, 1, 8), mx.int32)
    assert (replayed(x, mx.zeros((1, 5, 8), mx.int32)) == trace.experts[None, :5, 0]).all()
    right = []
    for token in range(5, 105):
        experts.asked = True
        guess = replayed(x, said)
        experts.asked = False
        assert (replayed(x, said) == trace.experts[token, 0]).all()
        right.append(np.isin(trace.experts[token, 0], guess).mean())
    assert 0.75 < np.mean(right) < 0.9
