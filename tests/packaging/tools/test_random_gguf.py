"""Random GGUF files: another implementation of the format finds in them what llama.cpp wants of each architecture."""

import numpy as np
import pytest
from gguf import GGUFReader, dequantize

from engine.bench.shapes import opt_config
from random_gguf import write_random_gguf

DENSE = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 96,
    "max_position_embeddings": 64,
}
EXPERTS = DENSE | {"model_type": "olmoe", "num_experts": 4, "num_experts_per_tok": 2, "tie_word_embeddings": False}


def written(path, config, kind):
    size = write_random_gguf(path, config, kind)
    reader = GGUFReader(path)
    assert size == path.stat().st_size
    return reader, {tensor.name: tensor for tensor in reader.tensors}


@pytest.mark.parametrize("config", [DENSE, EXPERTS, EXPERTS | {"model_type": "qwen3_moe", "head_dim": 32}])
def test_matrices_are_of_the_type_that_was_asked_for_and_their_mean_is_near_0(tmp_path, config):
    reader, tensors = written(tmp_path / "model.gguf", config, "Q4_0")
    assert reader.get_field("llama.vocab_size" if config is DENSE else f"{_name(config)}.vocab_size").contents() == 96
    packed = {name: tensor for name, tensor in tensors.items() if tensor.tensor_type.name == "Q4_0"}
    assert "blk.1.attn_q.weight" in packed
    for tensor in packed.values():
        values = dequantize(tensor.data, tensor.tensor_type)
        assert 0.01 < values.std() < 0.04
        assert abs(values.mean()) < 0.002
    assert ("output.weight" in packed) == (config is not DENSE)
    assert (np.array(tensors["output_norm.weight"].data) == 1).all()


def _name(config):
    return {"olmoe": "olmoe", "qwen3_moe": "qwen3moe"}[config["model_type"]]


def test_experts_lie_one_after_the_other(tmp_path):
    _, tensors = written(tmp_path / "model.gguf", EXPERTS, "Q4_0")
    assert tensors["blk.0.ffn_gate_exps.weight"].shape.tolist() == [64, 96, 4]
    assert tensors["blk.0.ffn_down_exps.weight"].shape.tolist() == [96, 64, 4]
    assert tensors["blk.0.ffn_gate_inp.weight"].tensor_type.name == "F32"


def test_opt_is_written_as_the_architecture_that_is_like_it(tmp_path):
    reader, tensors = written(tmp_path / "model.gguf", opt_config(64, 2, 4), "BF16")
    assert reader.get_field("general.architecture").contents() == "gpt2"
    assert tensors["blk.1.attn_qkv.weight"].shape.tolist() == [64, 192]
    assert tensors["blk.1.ffn_up.weight"].tensor_type.name == "BF16"
    assert tensors["blk.1.ffn_up.bias"].shape.tolist() == [256]
