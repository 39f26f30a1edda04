"""`bench window` and `bench report`: curves, budgets, a page with plots."""

import json

import numpy as np
import pytest

from engine.bench import report, window
from engine.errors import FlashbulbError

TOKENS = np.random.default_rng(0).integers(3, 320, size=40).tolist()


@pytest.fixture(scope="module")
def recorded(tiny_model):
    return window.record(str(tiny_model), TOKENS)


def test_a_recorded_trace_is_what_the_model_selected(recorded):
    assert (recorded.layers, len(recorded.tokens), recorded.neurons) == (2, len(TOKENS), 96)


def test_more_window_means_more_resident_and_less_loaded(tiny_model, profile, tmp_path, in_process):
    result = window.run(str(tiny_model), tmp_path, profile, TOKENS, (1, 2, 4, 8), (0.0, 1.0), measured=3)
    curves = result.details["curves"]
    resident, loaded = np.array(curves["resident"]), np.array(curves["loaded"])
    assert (np.diff(resident) >= 0).all()
    assert (np.diff(loaded) <= 0).all()
    assert (loaded <= np.array(curves["selected"])[:, None]).all()
    small, _, large, hot = result.details["budgets"]
    assert small["budget_bytes"] < large["budget_bytes"]
    assert small["predicted_ms"] > 0
    assert hot["hot"]
    assert hot["resident_neurons"] >= large["resident_neurons"]
    page = report.write(tmp_path, [(report.Part("window", "Windows", None), result.to_dict())]).read_text()
    assert "Predicted against measured" in page
    assert "| the model's order, gaps of 0 |" in page
    assert "- a random order, gaps of 0: " in page
    for name in ("window-neurons.png", "window-orders.png", "window-budget.png"):
        assert name in page
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_a_report_measures_only_what_it_does_not_have(drive, tmp_path):
    calls = []

    def run():
        calls.append(1)
        return drive[1]

    parts = [report.Part("drive", "The drive", run)]
    results = report.collect(tmp_path, parts)
    assert report.collect(tmp_path, parts) == results
    assert len(calls) == 1
    report.collect(tmp_path, parts, again=True)
    assert len(calls) == 2
    page = report.write(tmp_path, results).read_text()
    assert "| 4 KiB |" in page
    assert f"{results[0][1]['rows'][0]['bytes_per_s'] / 1e9:.2f}" in page
    (tmp_path / "drive.json").write_text("{")
    with pytest.raises(FlashbulbError, match=r"drive\.json is damaged"):
        report.collect(tmp_path, parts)


def test_tables_plot_too(shape, profile, tmp_path, in_process):
    from engine.bench import table2, table3

    results = [
        table2.run("tiny", tmp_path, profile, 2, 1, shape=shape, cached=True),
        table3.run_shape("tiny", tmp_path, profile, tokens=2, cap=False, shape=shape, context=64),
    ]
    parts = [report.Part(r.benchmark, r.benchmark, None) for r in results]
    shown = [json.loads(json.dumps(r.to_dict())) for r in results]
    page = report.write(tmp_path, list(zip(parts, shown, strict=True))).read_text()
    assert "| naive |" in page
    assert "Tokens a second over naive" in page
    assert page.count("each stage evaluated by itself: embedding ") == 1
    assert (tmp_path / "table2.png").exists()
    assert (tmp_path / "table3.png").exists()
