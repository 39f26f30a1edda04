from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.host.recent_tokens import BIN_S, BINS, MAX_TOKENS, SPAN_S, RecentTokens
from tests.helpers.fake_engine import token_statistics

MB = 1_000_000


def token(bytes_read=MB, milliseconds=100.0):
    return replace(
        token_statistics(), bytes_read=bytes_read, io_ms=milliseconds, memory_ms=0.0, compute_ms=0.0, reads=50
    )


def test_it_keeps_the_last_tokens_only():
    history = RecentTokens()
    for index in range(3 * MAX_TOKENS):
        history.add(index * 0.1, token(bytes_read=index))
    assert [t.bytes_read for t in history.tokens] == list(range(2 * MAX_TOKENS, 3 * MAX_TOKENS))
    assert history.latest.bytes_read == 3 * MAX_TOKENS - 1


def test_the_prompt_is_traffic_but_no_token():
    history = RecentTokens()
    history.add(10.0, token(bytes_read=8 * MB), prefill=True)
    assert not history.tokens
    assert history.means() == {}
    assert sum(history.traffic(11.0)) * BIN_S == pytest.approx(8 * MB)


def test_rate_is_bytes_by_the_clock():
    history = RecentTokens()
    for index in range(20):
        history.add(100 + index * 0.1, token(bytes_read=MB, milliseconds=100))
    assert history.rate(102.0) == pytest.approx((10 * MB, 500))


def test_rate_of_slow_tokens_holds_until_the_next_is_due():
    history = RecentTokens()
    history.add(100.0, token(bytes_read=6 * MB, milliseconds=3000))
    assert history.rate(104.0)[0] == pytest.approx(2 * MB)
    assert history.rate(107.0) == (0.0, 0.0)


def test_a_slow_token_s_bytes_are_spread_over_its_time():
    history = RecentTokens()
    history.add(100.0, token(bytes_read=6 * MB, milliseconds=3000))
    traffic = history.traffic(100.0)
    assert len(traffic) == BINS + 1
    assert traffic[-7:-1] == pytest.approx([2 * MB] * 6)
    assert not any(traffic[:-7])
    assert traffic[-1] == 0  # the half second that has just begun


def test_a_minute_is_forgotten():
    history = RecentTokens()
    history.add(100.0, token())
    assert not history.quiet(100.0 + SPAN_S)
    assert history.quiet(102.0 + SPAN_S)
    assert not any(history.traffic(102.0 + SPAN_S))


def test_memory_stays_constant():
    history = RecentTokens()
    for index in range(10_000):
        history.add(index * 0.1, token())
    assert len(history._bytes) <= BINS + 3


def test_a_token_without_duration_is_harmless():
    history = RecentTokens()
    history.add(5.0, token(milliseconds=0.0))
    assert history.rate(5.0) == (MB, 50)
    assert sum(history.traffic(6.0)) * BIN_S == pytest.approx(MB)


@given(
    st.lists(st.tuples(st.floats(0.001, 4), st.floats(0, 1), st.integers(0, 10**9)), min_size=1, max_size=40),
    st.floats(0, 1),
)
def test_the_rate_and_the_line_are_one_quantity(steps, later):
    """Seconds of work, seconds of rest after it, bytes. Half a second's bytes can be all of a second's, no more."""
    history, now = RecentTokens(), 1000.0
    for work, rest, read in steps:
        now += work
        history.add(now, token(bytes_read=read, milliseconds=1000 * work))
        rate, traffic = history.rate(now)[0], history.traffic(now)
        assert rate <= sum(traffic[-3:]) * BIN_S * (1 + 1e-9) + 1e-6
        assert bool(rate > 1) is bool(any(value > 1 for value in traffic[-3:])) or rate <= 1
        now += rest


def test_the_latest_answer_s_mean_stays():
    history = RecentTokens()
    history.add(10.0, token(bytes_read=50 * MB), prefill=True)
    history.add(20.0, token(bytes_read=2 * MB, milliseconds=1000), prefill=True)
    history.add(21.0, token(bytes_read=4 * MB, milliseconds=900))
    assert history.answer_rate() == pytest.approx((56 * MB / 11.1, 150 / 11.1))  # by the clock, its pauses too
    history.add(30.0, token(bytes_read=2 * MB, milliseconds=100), prefill=True)
    assert history.answer_rate() == pytest.approx((2 * MB, 50))  # over a second at least, as the rate is
    assert RecentTokens().answer_rate() == (0.0, 0.0)
