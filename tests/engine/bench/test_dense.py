"""`bench dense` on a tiny shape: what is compared is measured."""

import pytest

from engine.bench.dense import run
from engine.bench.drafts import DENSE_3B

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
    result = run(tmp_path, TINY, tokens=3, budget=29_000_000)
    theirs, resident, reading, streamed = result.rows
    assert resident.bytes_read == 0
    assert reading.bytes_read == streamed.bytes_read > 0
    assert min(theirs.total_ms, resident.total_ms, streamed.total_ms, reading.io_ms) > 0
    assert result.details["reading_ms"] == reading.io_ms
    assert result.details["computing_ms"] == resident.total_ms
    floor = max(reading.io_ms, resident.total_ms)
    assert result.details["of_floor"] == pytest.approx(streamed.total_ms / floor)
    assert result.details["of_mlx_lm"] == pytest.approx(theirs.total_ms / resident.total_ms)
    assert list(tmp_path.iterdir()) == []
