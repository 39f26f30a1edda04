import pytest

from app.widgets import units


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 MB"),
        (512, "512 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (12_345_678, "12.3 MB"),
        (201_000_000, "201 MB"),
        (999_700_000, "1.0 GB"),
        (13.3e9, "13.3 GB"),
        (2e15, "2,000 TB"),
    ],
)
def test_size(value, text):
    assert units.size(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0 %"),
        (0.0243, "2.4 %"),
        (0.0996, "10 %"),
        (0.956, "96 %"),
        (0.9984, "99.8 %"),
        (0.99999, "99.9 %"),
        (1, "100 %"),
    ],
)
def test_percent(share, text):
    assert units.percent(share).replace("\u00a0", " ") == text


def test_times_rates_and_counts():
    texts = [
        units.milliseconds(302.4),
        units.milliseconds(4.06),
        units.seconds(1.84),
        units.seconds(0.12),
        units.rate(2.1e9),
        units.count(2648),
        units.count(134_000),
    ]
    expected = ["302 ms", "4.1 ms", "1.8 s", "120 ms", "2.1 GB/s", "2,648", "134 k"]
    assert [text.replace("\u00a0", " ") for text in texts] == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [(12.3, "12 s"), (89, "89 s"), (90, "2 min"), (3540, "59 min"), (3600, "1 h 0 min"), (11100, "3 h 5 min")],
)
def test_duration(value, text):
    assert units.duration(value).replace(units.NO_BREAK_SPACE, " ") == text


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0.0 %"), (-0.0, "0.0 %"), (-0.0004, "0.0 %"), (0.00051, "+0.1 %"), (-0.001, "−0.1 %"), (0.02, "+2.0 %")],
)
def test_a_change_has_its_sign_and_zero_has_none(share, words):
    assert units.signed_percent(share).replace(units.NO_BREAK_SPACE, " ") == words


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "0.000 %"), (4.6e-7, "below 0.001 %"), (2e-5, "0.002 %"), (0.007, "0.7 %")]
)
def test_a_small_share_keeps_one_unit(share, words):
    assert units.small_percent(share).replace(units.NO_BREAK_SPACE, " ") == words
