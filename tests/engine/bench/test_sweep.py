"""A sweep of a model that streams, against what a token reads."""

from contextlib import closing

import pytest

from engine.bench.sweep import reading_alone, reading_rate
from engine.inference.load import load
from engine.planning.outlook import Outlook
from engine.settings import Settings
from engine.store.mlx_folder import MlxFolder
from tests.helpers.dense_models import write_dense


def test_a_sweep_reads_what_a_token_does(tmp_path):
    folder = write_dense(tmp_path / "model")
    smallest = Outlook.of(MlxFolder.open(folder), None).smallest_budget(Settings())
    with closing(load(folder, Settings(memory_budget=smallest))) as model:
        model.prefill([1, 2, 3])
        model.decode(4)
        _, token = model.decode(5)
        sweep = reading_alone(model)
        assert 0 < sweep.bytes_read <= token.bytes_read < 1.01 * sweep.bytes_read  # and a row of a table
        assert sweep.io_ms == pytest.approx(sweep.total_ms)
        assert reading_rate(model) > 0
        model.streaming.drop()
