"""`bench drive`: a whole grid, whose rows and profile agree."""

import pytest


def test_rows_and_profile_say_the_same(drive):
    profile, result = drive
    assert [row.name for row in result.rows] == [f"{s} KiB, {t} threads" for s in (4, 32) for t in (1, 4)]
    for row, point in zip(result.rows, profile.points, strict=True):
        assert row.bytes_per_s == point.bytes_per_s > 0
        assert row.bytes_read == row.reads * point.size
        assert row.io_ms == pytest.approx(1e3 * row.bytes_read / row.bytes_per_s)
        low, high = row.spread["bytes_per_s"]
        assert low <= row.bytes_per_s <= high
        assert 0 < point.p50_s <= point.p99_s
    assert profile.threads in (1, 4)
    assert profile.reads_per_s(4096, 4) == pytest.approx(profile.points[1].bytes_per_s / 4096)


def test_the_processor_was_measured(drive):
    processor = drive[0].processor
    rates = [*processor.resident_bytes_per_s.values(), *processor.pool_bytes_per_s.values()]
    rates.append(processor.packed_bytes_per_s)
    assert len(rates) == 9
    assert min(rates) > 0
    assert processor.layer_s > 0
    assert processor.bookkeeping_s + processor.bookkeeping_row_s > 0
