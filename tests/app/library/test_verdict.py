import pytest

from app.library.verdict import Kind, judge, weight_bytes
from engine.planning.estimate import estimate, usual_config
from tests.helpers.drives import FAST, profile

GB = 1_000_000_000


def judged(size, sparsity, available, total, supported=True, budget=None):
    config = usual_config(round(size / 2), "llama")
    return judge(size, estimate(config, sparsity, profile(processor=FAST), budget, 5), available, total, supported)


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
    assert judged(size, sparsity, available, total).kind is kind


def test_a_sparser_model_needs_less():
    needs = [judged(10 * GB, sparsity, GB, 16 * GB).needed_bytes for sparsity in (0.5, 0.9, 0.99)]
    assert needs == sorted(needs, reverse=True)


def test_a_larger_budget_streams_faster_and_one_that_is_not_free_is_told():
    slow, fast = (judged(14 * GB, 0.9, 10 * GB, 16 * GB, budget=round(b * GB)) for b in (7.9, 12))
    assert slow.tokens_per_second < fast.tokens_per_second
    assert not slow.crowded
    assert judged(14 * GB, 0.9, 2 * GB, 16 * GB).crowded


def test_what_cannot_be_prepared_is_not_promised():
    verdict = judged(GB, 0.9, 8 * GB, 16 * GB, supported=False)
    assert (verdict.kind, verdict.tokens_per_second) == (Kind.UNSUPPORTED, None)


def test_a_size_that_nobody_published_is_two_bytes_a_parameter():
    assert weight_bytes({"bytes": None, "parameters": 125_000_000}) == 250_000_000
    assert weight_bytes({"bytes": 7, "parameters": 125_000_000}) == 7
