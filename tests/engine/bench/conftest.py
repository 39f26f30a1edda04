"""Benchmarks at a tiny size, whose drive may be memory and whose runs stay in this process."""

import pytest

from engine.bench import measure as measuring
from engine.bench.drive import measure_drive
from engine.bench.shapes import SHAPES, Shape
from engine.planning.reuse import OPT

CONFIG = SHAPES["opt-6.7b"].config | {
    "vocab_size": 100, "hidden_size": 1024, "word_embed_proj_dim": 1024, "ffn_dim": 4096, "num_hidden_layers": 2,
    "num_attention_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip


@pytest.fixture(scope="session")
def drive(tmp_path_factory):
    """A profile and its result."""
    folder = tmp_path_factory.mktemp("drive")
    found = measure_drive(folder, (4096, 32768), (1, 4), 1 << 20, runs=2, seconds=0.01, cached=True, matrix=(64, 512))
    assert list(folder.iterdir()) == []
    return found


@pytest.fixture
def profile(drive):
    return drive[0]


@pytest.fixture
def shape() -> Shape:
    return Shape(CONFIG, OPT, table2=SHAPES["opt-6.7b"].table2)


@pytest.fixture
def in_process(monkeypatch):
    """Runs are made here, one after the other, instead of each in a process of its own."""

    def measure(specification, folder):
        try:
            return measuring.measure_here(specification)
        except measuring.BudgetError as error:
            return measuring.Measured(failed=str(error))

    for module in ("table3", "window"):
        monkeypatch.setattr(f"engine.bench.{module}.measure", measure)
