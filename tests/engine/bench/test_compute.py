"""`bench compute` has a row of every kind of weights, each with its rate and memory's."""

import pytest

from engine.arrays import packed
from engine.bench.compute import FORMS, PLAIN, run
from engine.bench.results import markdown
from engine.errors import FlashbulbError


@pytest.mark.skipif(not packed.available(), reason="MLX computes on the GPU here")
def test_every_kind_has_a_rate():
    seen = []
    result = run(1 << 22, lambda share, note="": seen.append(share)).to_dict()
    assert [row["name"] for row in result["rows"]] == [*PLAIN, *FORMS]
    assert all(row["bytes_per_s"] > 0 and row["memory_bytes_per_s"] > 0 for row in result["rows"])
    assert seen == sorted(seen)
    assert "of memory's %" in markdown(result["rows"])


def test_with_a_gpu_there_is_nothing_to_measure(monkeypatch):
    monkeypatch.setattr("engine.bench.compute.available", lambda: False)
    with pytest.raises(FlashbulbError, match="GPU"):
        run(1 << 22)
