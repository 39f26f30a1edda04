import pytest

from app.library.verdict import Kind, judge, weight_bytes

GB = 1_000_000_000


@pytest.mark.parametrize(
    ("size", "sparsity", "available", "total", "kind"),
    [
        (1 * GB, 0.96, 8 * GB, 16 * GB, Kind.IN_MEMORY),
        (13.4 * GB, 0.97, 10 * GB, 16 * GB, Kind.STREAMS),
        (13.4 * GB, None, 10 * GB, 16 * GB, Kind.STREAMS),
        (60 * GB, 0.97, 10 * GB, 16 * GB, Kind.TOO_LARGE),
        (13.4 * GB, 0.0, 10 * GB, 16 * GB, Kind.TOO_LARGE),
    ],
)
def test_what_a_machine_can_do_with_a_model(size, sparsity, available, total, kind):
    assert judge(size, sparsity, available, total).kind is kind


def test_a_sparser_model_needs_less():
    needs = [judge(10 * GB, sparsity, GB, 16 * GB).needed_bytes for sparsity in (0.5, 0.9, 0.99)]
    assert needs == sorted(needs, reverse=True)


def test_what_cannot_be_prepared_is_not_promised():
    assert judge(GB, 0.9, 8 * GB, 16 * GB, supported=False).kind is Kind.UNSUPPORTED


def test_a_size_that_nobody_published_is_two_bytes_a_parameter():
    assert weight_bytes({"bytes": None, "parameters": 125_000_000}) == 250_000_000
    assert weight_bytes({"bytes": 7, "parameters": 125_000_000}) == 7
