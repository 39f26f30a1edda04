"""`bench dense` on a tiny shape: what is compared is measured."""

import pytest

from engine.bench.dense import CONTEXT, run
from engine.bench.drafts import AFFINE4, DENSE_3B
from engine.bench.random_checkpoint import write_random_checkpoint
from engine.planning.outlook import Outlook
from engine.settings import Settings
from engine.store.installed import open_stored

TINY = DENSE_3B | {
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 128,
    "max_position_embeddings": 256,
}


def test_a_token_is_told_against_its_floor_and_mlx_lm_s(tmp_path):
    write_random_checkpoint(tmp_path / "model", TINY, AFFINE4)
    smallest = Outlook.of(open_stored(tmp_path / "model"), None).smallest_budget(Settings(context=CONTEXT))
    (tmp_path / "runs").mkdir()
    result = run(tmp_path / "runs", TINY, tokens=3, budget=smallest)
    theirs, resident, reading, streamed = result.rows
    assert resident.bytes_read == 0
    row = streamed.bytes_read - reading.bytes_read  # of the table of tokens
    assert 0 <= row < 0.001 * reading.bytes_read
    assert min(theirs.total_ms, resident.total_ms, streamed.total_ms, reading.io_ms) > 0
    assert result.details["reading_ms"] == reading.io_ms
    assert result.details["computing_ms"] == resident.total_ms
    floor = max(reading.io_ms, resident.total_ms)
    assert result.details["of_floor"] == pytest.approx(streamed.total_ms / floor)
    assert result.details["of_mlx_lm"] == pytest.approx(theirs.total_ms / resident.total_ms)
    assert list((tmp_path / "runs").iterdir()) == []
