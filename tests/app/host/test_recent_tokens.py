from dataclasses import replace

import pytest

from app.host.recent_tokens import BIN_SECONDS, BINS, SECONDS, TOKENS, RecentTokens
from tests.helpers.fake_engine import token_statistics

MB = 1_000_000


def token(bytes_read=MB, milliseconds=100.0):
    return replace(
        token_statistics(), bytes_read=bytes_read, io_ms=milliseconds, memory_ms=0.0, compute_ms=0.0, reads=50
    )


def test_it_keeps_the_last_tokens_only():
    history = RecentTokens()
    for index in range(3 * TOKENS):
        history.add(index * 0.1, token(bytes_read=index))
    assert [t.bytes_read for t in history.tokens] == list(range(2 * TOKENS, 3 * TOKENS))
    assert history.latest.bytes_read == 3 * TOKENS - 1


def test_the_prompt_is_traffic_but_no_token():
    history = RecentTokens()
    history.add(10.0, token(bytes_read=8 * MB), prefill=True)
    assert not history.tokens
    assert history.means() == {}
    assert sum(history.traffic(11.0)) * BIN_SECONDS == pytest.approx(8 * MB)


def test_rate_is_bytes_by_the_time_that_the_tokens_took():
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
    assert len(traffic) == BINS
    assert traffic[-6:] == pytest.approx([2 * MB] * 6)
    assert not any(traffic[:-6])


def test_a_minute_is_forgotten():
    history = RecentTokens()
    history.add(100.0, token())
    assert not history.quiet(100.0 + SECONDS)
    assert history.quiet(102.0 + SECONDS)
    assert not any(history.traffic(102.0 + SECONDS))


def test_memory_stays_constant():
    history = RecentTokens()
    for index in range(10_000):
        history.add(index * 0.1, token())
    assert len(history._bytes) <= BINS + 3


def test_a_token_without_duration_is_harmless():
    history = RecentTokens()
    history.add(5.0, token(milliseconds=0.0))
    assert history.rate(5.0) == (0.0, 0.0)
    assert sum(history.traffic(6.0)) * BIN_SECONDS == pytest.approx(MB)
