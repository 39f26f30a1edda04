"""The config that a GGUF file's metadata describe, and the sampling that they advise."""

from typing import Any

import numpy as np

from engine.errors import CheckpointError, FlawError
from engine.store.gguf import GGUFFile, GGUFTensor, Value
from engine.system.documents import DOWNLOAD_AGAIN, parsing

MODEL_TYPES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "qwen3moe": "qwen3_moe", "olmoe": "olmoe"}
FIELDS = {  # of a config: the metadata's name below the architecture's
    "hidden_size": "embedding_length",
    "num_hidden_layers": "block_count",
    "intermediate_size": "feed_forward_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "rope_theta": "rope.freq_base",
    "max_position_embeddings": "context_length",
    "num_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count",
    "moe_intermediate_size": "expert_feed_forward_length",
}
REQUIRED_KEYS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "rms_norm_eps")
SAMPLING = {  # of generation_config.json: the metadata's name
    "temperature": "temp",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "penalty_repeat",
}
# By `tokenizer.ggml.pre`, where a file says nothing. So small a model talks nonsense wherever something else than the
# likeliest token is taken (its makers advise a temperature of 0.2), and then repeats itself without a penalty.
USUAL_SAMPLING: dict[object, dict[str, float]] = {"smollm": {"temperature": 0.0, "repetition_penalty": 1.1}}
LLAMA_3_CONTEXT = 8192  # tokens, of the models whose rotary frequencies are scaled


def config_of(file: GGUFFile, architecture: str) -> dict[str, Any]:
    """The config.json of the model, but for how its weights are quantised. Raises CheckpointError."""
    with parsing(file.path, CheckpointError, DOWNLOAD_AGAIN):
        found = {name: file.metadata.get(f"{architecture}.{key}") for name, key in FIELDS.items()}
        config: dict[str, Any] = {name: value for name, value in found.items() if value is not None}
        for name in REQUIRED_KEYS:
            if name not in config:
                raise FlawError("it does not say {name}", name=FIELDS[name])
        for name, value in config.items():
            if type(value) not in (int, float):
                raise FlawError("its {name} is no number", name=FIELDS[name])
        config.setdefault("num_key_value_heads", config["num_attention_heads"])
        config |= {
            "model_type": MODEL_TYPES[architecture],
            "vocab_size": file.tensors["token_embd.weight"].shape[0],
            "tie_word_embeddings": "output.weight" not in file.tensors,
            **_ending(file.metadata),
        }
        if architecture == "llama":
            config["attention_bias"] = "blk.0.attn_q.bias" in file.tensors
        if "num_experts" in config:
            config |= {"norm_topk_prob": architecture == "qwen3moe", "decoder_sparse_step": 1, "mlp_only_layers": []}
            config.setdefault("intermediate_size", config.get("moe_intermediate_size"))
        if "rope_freqs.weight" in file.tensors:
            config["rope_scaling"] = _rope_scaling(file.tensors["rope_freqs.weight"])
        return config


def _ending(metadata: dict[str, Value]) -> dict[str, Any]:
    names = {"bos_token_id": "bos_token_id", "eos_token_id": "eos_token_id", "pad_token_id": "padding_token_id"}
    found = {name: metadata.get(f"tokenizer.ggml.{key}") for name, key in names.items()}
    ids = {name: value for name, value in found.items() if type(value) is int}
    turn = metadata.get("tokenizer.ggml.eot_token_id")
    if type(turn) is int and turn != ids.get("eos_token_id"):
        return ids | {"eos_token_id": [*([ids["eos_token_id"]] if "eos_token_id" in ids else []), turn]}
    return ids


def sampling_of(metadata: dict[str, Value]) -> dict[str, float]:
    """The sampling that suits a model, by the names of generation_config.json."""
    said = {name: metadata.get(f"general.sampling.{key}") for name, key in SAMPLING.items()}
    found = {name: value for name, value in said.items() if type(value) in (int, float)}
    return found or USUAL_SAMPLING.get(metadata.get("tokenizer.ggml.pre"), {})  # type: ignore[return-value]


def _rope_scaling(tensor: GGUFTensor) -> dict[str, Any]:
    """Llama 3's scaling, whose factors the file holds instead of the numbers that they come from."""
    factors = np.frombuffer(tensor.read(), np.float32)
    return {
        "rope_type": "llama3",
        "factor": float(factors.max()),
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": LLAMA_3_CONTEXT,
    }
