"""GGUF files of random weights, of the shapes that a config on the Hub describes: for llama.cpp, beside ours."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter

Config = dict[str, Any]
SPREAD = 0.02  # of the weights
TILE_BYTES = 1 << 24  # of random weights, which are repeated: a processor and a drive do not notice
ARCHITECTURES = {"opt": "gpt2", "olmoe": "olmoe", "qwen3_moe": "qwen3moe", "llama": "llama"}  # llama.cpp has no OPT


@dataclass(frozen=True)
class Tensor:
    """A tensor of a model: its name in GGUF, its shape with rows first, and whether it is a matrix of weights."""

    name: str
    shape: tuple[int, ...]
    is_weight: bool = True


def write_random_gguf(path: Path, config: Config, kind: str) -> int:
    """Write a model; returns the file's bytes. kind: GGML's name of the matrices' type: BF16, Q4_0."""
    writer, found = GGUFWriter(path, ARCHITECTURES[config["model_type"]]), list(tensors(config))
    _describe(writer, config)
    forms = [GGMLQuantizationType[kind] if tensor.is_weight else GGMLQuantizationType.F32 for tensor in found]
    for tensor, form in zip(found, forms, strict=True):
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), _bytes(tensor.shape, form), form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    tiles = {form: _tile(form) for form in set(forms)}
    for tensor, form in zip(found, forms, strict=True):
        ones = np.ones(tensor.shape, np.float32) if "norm.weight" in tensor.name else None
        writer.write_tensor_data(np.resize(tiles[form], _bytes(tensor.shape, form)) if ones is None else ones)
    writer.close()
    return path.stat().st_size


def tensors(config: Config) -> Iterator[Tensor]:
    """All tensors of a model."""
    width, vocabulary = config["hidden_size"], config["vocab_size"]
    yield Tensor("token_embd.weight", (vocabulary, width))
    if config["model_type"] == "opt":
        yield Tensor("position_embd.weight", (config["max_position_embeddings"], width), is_weight=False)
        yield Tensor("output_norm.bias", (width,), is_weight=False)
    yield Tensor("output_norm.weight", (width,), is_weight=False)
    if not config.get("tie_word_embeddings", True):
        yield Tensor("output.weight", (vocabulary, width))
    for layer in range(config["num_hidden_layers"]):
        for tensor in (_of_opt if config["model_type"] == "opt" else _of_layer)(config):
            yield Tensor(f"blk.{layer}.{tensor.name}", tensor.shape, tensor.is_weight)


def _of_opt(config: Config) -> Iterator[Tensor]:
    width, neurons = config["hidden_size"], config["ffn_dim"]
    matrices = {"attn_qkv": (3 * width, width), "attn_output": (width, width)}
    for name, shape in (matrices | {"ffn_up": (neurons, width), "ffn_down": (width, neurons)}).items():
        yield Tensor(f"{name}.weight", shape)
        yield Tensor(f"{name}.bias", shape[:1], is_weight=False)
    for name in ("attn_norm", "ffn_norm"):
        yield Tensor(f"{name}.weight", (width,), is_weight=False)
        yield Tensor(f"{name}.bias", (width,), is_weight=False)


def _of_layer(config: Config) -> Iterator[Tensor]:
    width, (heads, key_heads, dim) = config["hidden_size"], _heads(config)
    yield Tensor("attn_q.weight", (heads * dim, width))
    yield Tensor("attn_k.weight", (key_heads * dim, width))
    yield Tensor("attn_v.weight", (key_heads * dim, width))
    yield Tensor("attn_output.weight", (width, heads * dim))
    normed = {"olmoe": (heads * dim, key_heads * dim), "qwen3_moe": (dim, dim)}.get(config["model_type"])
    for name, size in zip(("attn_q_norm", "attn_k_norm"), normed or (), strict=False):
        yield Tensor(f"{name}.weight", (size,), is_weight=False)
    yield Tensor("attn_norm.weight", (width,), is_weight=False)
    yield Tensor("ffn_norm.weight", (width,), is_weight=False)
    yield from _of_ffn(config, width)


def _of_ffn(config: Config, width: int) -> Iterator[Tensor]:
    experts = config.get("num_experts")
    neurons = config.get("moe_intermediate_size") or config["intermediate_size"]
    outer, suffix = ((experts,), "_exps") if experts else ((), "")
    if experts:
        yield Tensor("ffn_gate_inp.weight", (experts, width), is_weight=False)
    yield Tensor(f"ffn_gate{suffix}.weight", (*outer, neurons, width))
    yield Tensor(f"ffn_up{suffix}.weight", (*outer, neurons, width))
    yield Tensor(f"ffn_down{suffix}.weight", (*outer, width, neurons))


def _heads(config: Config) -> tuple[int, int, int]:
    """Heads of queries, heads of keys, and a head's width."""
    heads = config["num_attention_heads"]
    return heads, config.get("num_key_value_heads", heads), config.get("head_dim", config["hidden_size"] // heads)


def _describe(writer: GGUFWriter, config: Config) -> None:
    heads, key_heads, dim = _heads(config)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config.get("intermediate_size", config.get("ffn_dim")))
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_heads)
    writer.add_key_length(dim)
    writer.add_value_length(dim)
    writer.add_layer_norm_eps(1e-5)
    writer.add_layer_norm_rms_eps(config.get("rms_norm_eps", 1e-5))
    writer.add_rope_freq_base(config.get("rope_theta", 1e4))
    if "num_experts" in config:
        writer.add_expert_count(config["num_experts"])
        writer.add_expert_used_count(config["num_experts_per_tok"])
        writer.add_expert_feed_forward_length(config.get("moe_intermediate_size", config["intermediate_size"]))
    writer.add_tokenizer_model("none")
    writer.add_vocab_size(config["vocab_size"])


def _bytes(shape: tuple[int, ...], form: GGMLQuantizationType) -> int:
    block, size = GGML_QUANT_SIZES[form]
    return int(np.prod(shape)) // block * size


def _tile(form: GGMLQuantizationType) -> np.ndarray:
    """Random weights around 0 as bytes, in whole blocks."""
    random, (_, size) = np.random.default_rng(0), GGML_QUANT_SIZES[form]
    blocks = TILE_BYTES // size
    if form == GGMLQuantizationType.Q4_0:
        tile = random.integers(1, 16, (2, blocks, size), np.uint8)  # no 0: the mean of 1 to 15 stands for 0
        tile = tile[0] << 4 | tile[1]
        tile[:, :2] = np.full((blocks, 1), SPREAD / 4, np.float16).view(np.uint8)
        return tile.reshape(-1)
    values = (SPREAD * random.standard_normal(blocks)).astype(np.float32)
    if form == GGMLQuantizationType.BF16:
        values = (values.view(np.uint32) >> 16).astype(np.uint16)
    return values.view(np.uint8)
