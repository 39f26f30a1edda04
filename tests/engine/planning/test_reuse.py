"""The curve of reuse: what it is fitted to, it says; and what it says of windows agrees with itself."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.planning.reuse import FALCON, OPT, SEEN_TOKENS, Reuse, like_opt


def test_the_papers_figures():
    assert (OPT.selected, OPT.aggregated(4), OPT.loaded(4)) == pytest.approx((0.10, 0.24, 0.024))
    assert (FALCON.aggregated(4), FALCON.loaded(4)) == pytest.approx((0.33, 0.031))


@settings(deadline=None, max_examples=60)
@example(live=1.0, mean=0.28125, spread=4.0, window=8)  # all are live: two curves load as much as this one
@example(live=1.0, mean=0.02, spread=2.0, window=2)
@example(live=1.0, mean=0.6, spread=50.0, window=8)
@given(live=st.floats(0.1, 1), mean=st.floats(0.02, 0.6), spread=st.floats(2, 50), window=st.integers(2, 8))
def test_a_curve_is_fitted_back(live, mean, spread, window):
    curve = Reuse(live, mean, spread)
    fitted = Reuse.fit(curve.selected, curve.aggregated(window), curve.loaded(window), window)
    for k in range(1, 12):
        assert fitted.aggregated(k) == pytest.approx(curve.aggregated(k), rel=0.02)


@settings(deadline=None, max_examples=60)
@given(mean=st.floats(0.02, 0.6), spread=st.floats(2, 50), window=st.integers(2, 8))
def test_a_curve_is_fitted_back_where_all_neurons_are_live(mean, spread, window):
    curve = Reuse(1.0, mean, spread)
    fitted = Reuse.fit(curve.selected, curve.aggregated(window), curve.loaded(window), window)
    for k in range(1, 12):
        assert fitted.aggregated(k) == pytest.approx(curve.aggregated(k), rel=0.02)


@settings(deadline=None)
@given(mean=st.floats(0.02, 0.9), spread=st.floats(0.5, 50), share=st.floats(0, 1))
def test_what_is_loaded_is_what_the_next_token_adds(mean, spread, share):
    curve = Reuse(0.5, mean, spread)
    assert curve.loaded(0) == pytest.approx(curve.selected)
    assert curve.aggregated(3) + curve.loaded(3) == pytest.approx(curve.aggregated(4))
    window = curve.window_of(share)
    assert window == 0 or window > 1e5 or curve.aggregated(window) == pytest.approx(share, abs=1e-3)


def test_figures_that_no_use_has_are_refused():
    for figures in [(0.1, 0.9, 0.05, 4), (0.1, 0.05, 0.01, 4), (0.1, 0.24, 0.2, 4)]:
        with pytest.raises(ValueError, match="no use of neurons"):
            Reuse.fit(*figures)


@pytest.mark.parametrize("selected", [0.01, 0.1, 0.5, 0.9])
def test_a_share_alone_is_enough(selected):
    assert like_opt(selected).selected == pytest.approx(selected)
    assert like_opt(selected).aggregated(1000) <= 1.0001


def test_text_that_comes_back_to_a_subject_is_fitted_with_all_neurons_live():
    curve = Reuse.fit(selected=0.098, resident=0.272, loaded=0.046, window=4)  # measured on the starter's first layer
    assert curve.live == 1.0
    assert curve.selected == pytest.approx(0.098)
    assert curve.loaded(4) == pytest.approx(0.046, rel=1e-3)
    assert curve.aggregated(4) == pytest.approx(0.272, rel=0.1)


@pytest.mark.parametrize("window", [0, 2, 5])
def test_kept_neurons_are_needed_no_more(window):
    kept = np.linspace(1e-9, OPT.live - OPT.aggregated(window), 6)
    loaded = [OPT.loaded(window, share) for share in kept]
    assert loaded[0] == pytest.approx(OPT.loaded(window), rel=0.02)
    assert all(more > less for more, less in itertools.pairwise(loaded))
    assert loaded[-1] < 0.05 * loaded[0]
    assert loaded[1] < loaded[0] - 0.5 * (loaded[0] / 5)  # the most used ones first


def test_keeping_the_most_used_is_what_a_trace_says():
    rng, neurons, tokens, window, share = np.random.default_rng(0), 50_000, 250, 3, 0.15
    live = rng.random(neurons) < OPT.live
    chance = np.where(live, rng.beta(OPT.mean * OPT.spread, (1 - OPT.mean) * OPT.spread, neurons), 0)
    used = rng.random((tokens, neurons)) < chance
    order, loaded = np.argsort(-chance), []
    for t in range(SEEN_TOKENS, tokens):
        seen = used[t - SEEN_TOKENS : t].any(axis=0)
        free = order[(seen & ~used[t - window : t].any(axis=0))[order]]
        held = used[t - window : t].any(axis=0)
        held[free[: int(share * neurons)]] = True
        loaded.append(np.count_nonzero(used[t] & ~held))
    assert np.mean(loaded) / neurons == pytest.approx(OPT.loaded(window, share), rel=0.1)
