"""Random checkpoints: what `prepare` makes of them."""

import pytest

from engine.bench.random_model import write_random_checkpoint
from engine.errors import FlashbulbError
from engine.prepare.prepare import prepare
from tests.helpers.checkpoints import OPT, write_text, write_tokenizer

CONFIG = OPT | {"hidden_size": 64, "word_embed_proj_dim": 64, "ffn_dim": 256}


@pytest.fixture
def tokenizer(tmp_path):
    (tmp_path / "tokenizer").mkdir()
    write_tokenizer(tmp_path / "tokenizer", OPT["vocab_size"])
    return tmp_path / "tokenizer"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_random_checkpoint_is_as_sparse_as_real_ones(tokenizer, tmp_path, dtype):
    write_random_checkpoint(tmp_path / "random", CONFIG, dtype, tokenizer)
    content = prepare(tmp_path / "random", tmp_path / "out", write_text(tmp_path / "text"))
    assert content["dtype"] == dtype
    assert content["calibration"]["text"] == "text"
    for layer in content["layers"]:
        assert 0.88 < layer["sparsity"] < 0.99
        assert layer["recall"] >= 0.97


def test_a_folder_in_use_is_not_written_to(tokenizer, tmp_path):
    with pytest.raises(FlashbulbError, match="Give a new folder"):
        write_random_checkpoint(tokenizer, CONFIG, "float16", tokenizer)
