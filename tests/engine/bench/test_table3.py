"""`bench table3`: whole tokens of a random model and of a real one, and a run in a process of its own."""

import statistics

import pytest

from engine.bench import table3
from engine.bench.measure import Specification, measure
from engine.bench.random_model import model_bytes
from engine.bench.stages import REST, STAGES
from engine.statistics import TokenStatistics

NAMES = ["naive", "hybrid", "paper", "+ coalescing and gap reads", "ours: + hot neurons", "+ overlap"]


def check(result) -> dict:
    rows = {row.name: row for row in result.rows}
    assert [name for name in rows if name != table3.SPECULATIVE_ROW] == NAMES
    for row in rows.values():
        assert row.note is None
        assert min(row.io_ms, row.memory_ms, row.compute_ms) >= 0
        assert row.p50_ms == row.total_ms <= row.p99_ms
        assert result.details["speedup_over_naive"][row.name] == pytest.approx(
            row.tokens_per_second / rows["naive"].tokens_per_second
        )
    assert rows["naive"].bytes_read > rows["hybrid"].bytes_read
    assert rows["naive"].bytes_read > rows["paper"].bytes_read > 0
    assert rows["paper"].predicted_ms > 0
    return rows


def test_a_shape(shape, profile, tmp_path, in_process):
    # The limit is far more than so small a model needs, so nothing is read for the hybrid row.
    result = table3.run_shape("tiny", tmp_path, profile, tokens=5, cap=False, shape=shape, context=64)
    assert list(tmp_path.iterdir()) == []
    rows = check(result)
    flash, resident, _ = model_bytes(shape.config, "bfloat16")
    assert rows["naive"].bytes_read == pytest.approx(flash + resident, abs=1 << 20)
    assert rows["paper"].bytes_read == pytest.approx(0.024 * flash, rel=0.3)
    assert result.settings["limit_bytes"] == (flash + resident) // 2 + table3.ROOM_BYTES
    drafted = rows[table3.SPECULATIVE_ROW]
    assert drafted.tokens_per_second > 0
    neurons = result.details["runs"]["paper"]["neurons_a_token"]
    assert neurons["active"] == pytest.approx(0.1 * 2 * 4096, rel=0.1)
    assert neurons["resident"] == pytest.approx(0.24 * 2 * 4096, rel=0.15)
    runs = result.details["runs"]
    assert [name for name in NAMES if runs[name]["stages_ms"]] == [table3.WATCHED_ROW]
    assert runs[table3.WATCHED_ROW]["stages_ms"].keys() == {*STAGES, REST}


def test_layers_with_attention_beside_the_ffn_have_a_row_of_their_own():
    assert [name for name, _, _ in table3.rows_of(False)] == NAMES
    parallel = table3.rows_of(True)
    assert [name for name, _, _ in parallel] == [*NAMES[:-1], table3.EARLY_ROW, NAMES[-1]]
    early = {
        name: settings.get("early_reads", True) for name, settings, _ in parallel if settings["selection"] != "dense"
    }
    assert [name for name, on in early.items() if on] == [table3.EARLY_ROW, NAMES[-1]]


def test_a_prepared_model(tiny_model, profile, tmp_path, in_process):
    prompt = [5, 6, 7, 8]
    rows = check(table3.run_model(str(tiny_model), tmp_path, profile, prompt, tokens=4))
    assert rows["paper"].budget_bytes > 0


def test_a_run_in_its_own_process_has_its_own_footprint(tiny_model, tmp_path):
    settings = {"selection": "exact", "window": 3}
    found = measure(Specification(str(tiny_model), settings, [5, 6, 7], tokens=3, warm=1), tmp_path)
    assert found.failed is None
    assert len(found.costs) == 3
    assert found.footprint_bytes >= found.baseline_bytes > 1_000_000
    assert all(TokenStatistics(**cost).total_ms > 0 for cost in found.costs)
    refused = measure(Specification(str(tiny_model), settings | {"memory_budget": 1000}, [5], tokens=1), tmp_path)
    assert "smallest that works" in refused.failed
    assert list(tmp_path.iterdir()) == []


def test_a_row_is_the_median_of_its_tokens():
    from engine.bench.results import quantile, summarise

    costs = [TokenStatistics(i, 1.0, 2 * i, 100 * i, i, (1,), (1,), (1,), 4, 0) for i in (1, 5, 2, 9, 3)]
    row = summarise("x", costs)
    assert (row.io_ms, row.compute_ms, row.reads, row.bytes_read) == (3, 6, 3, 300)
    assert row.p50_ms == statistics.median(c.total_ms for c in costs)
    assert row.tokens_per_second == pytest.approx(1e3 * 5 / sum(c.total_ms for c in costs))
    assert row.spread["io_ms"] == pytest.approx([1.4, 7.4])
    assert quantile([4.0], 0.99) == 4.0
