"""`bench experts` on a tiny shape: every row is measured, and what is read is what was missing."""

import shutil

import pytest

from engine.bench import experts
from engine.bench.expert_shapes import EXPERT_SHAPES, ExpertShape
from engine.bench.experts import ROWS, run_shape
from engine.bench.random_checkpoint import write_random_checkpoint
from engine.errors import BudgetError
from engine.inference.load import load
from engine.settings import Settings
from tests.helpers.moe_sizes import TINY_EXPERTS


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Without a process for each row, and without a cap."""
    from engine.bench.measure import measure_here

    monkeypatch.setattr(experts, "measure", lambda specification, place: measure_here(specification))
    tiny = ExpertShape(EXPERT_SHAPES["qwen3-30b-a3b"].config | TINY_EXPERTS, experts=32, top_k=4)
    monkeypatch.setitem(EXPERT_SHAPES, "tiny", tiny)
    monkeypatch.setattr(experts, "WARM_TOKENS", 24)


def smallest_budget(folder):
    tiny = EXPERT_SHAPES["tiny"]
    write_random_checkpoint(folder, tiny.config, tiny.quantization)
    with pytest.raises(BudgetError) as error:
        load(folder, Settings(memory_budget=1, context=experts.CONTEXT))
    shutil.rmtree(folder)
    return error.value.smallest


def test_rows(tmp_path):
    limit = smallest_budget(tmp_path / "model") + 700_000  # all linears, and a dozen experts of a layer
    result = run_shape("tiny", tmp_path, None, tokens=8, cap=False, limit_bytes=limit)
    rows = {row.name: row for row in result.rows}
    assert list(rows) == list(ROWS)
    assert rows["everything read"].hit_rate == 0
    assert rows["everything read"].bundles_read == 2 * 4
    ours, lru = rows["ours: the most used stay"], rows["the last used stay (LRU)"]
    assert 0 < lru.hit_rate < 1
    assert 0 < ours.hit_rate < 1
    assert ours.bytes_read < rows["everything read"].bytes_read
    runs = result.details["runs"]
    for name in ("the last used stay (LRU)", "ours: the most used stay"):  # with overlap, wrong guesses are read too
        expected = runs["everything read"]["bytes_of_an_expert_read"]
        assert runs[name]["bytes_of_an_expert_read"] == pytest.approx(expected, rel=0.01)
    assert all(run["resident_experts"] > 0 for run in runs.values())
    assert list(tmp_path.iterdir()) == []
    for name in ("the last used stay (LRU)", "ours: the most used stay"):  # no run knows what comes
        oracles = result.details["oracles"][name]
        assert rows[name].hit_rate <= oracles["best"]
        assert rows[name].lfu_hit_rate == oracles["lfu"]
    assert lru.hit_rate == pytest.approx(result.details["oracles"]["the last used stay (LRU)"]["lru"], abs=0.05)
    assert 0 < result.details["trace"]["overlap"] < 1
