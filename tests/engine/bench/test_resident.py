"""`bench resident` on a tiny model: both are measured, and what is compared is theirs over ours."""

import json
from statistics import median

import pytest

from engine.bench.resident import beside_mlx_lm, run
from engine.cli.main import main
from tests.helpers.dense_models import write_dense


def test_both_are_measured_in_turns(tmp_path):
    folder = write_dense(tmp_path / "model")
    result = run(folder, tokens=2, turns=3)
    theirs, ours = result.rows
    assert min(theirs.total_ms, ours.total_ms) > 0
    assert result.details["of_mlx_lm"] == pytest.approx(theirs.total_ms / ours.total_ms)
    both = beside_mlx_lm(folder, 2, 3)
    assert [len(found) for found in both] == [6, 6]
    assert median(both[0]) > 0


def test_it_is_a_command(tmp_path, capsys):
    folder = write_dense(tmp_path / "model")
    assert main(["bench", "resident", str(folder), "--tokens", "1", "--turns", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["of_mlx_lm"] > 0
