"""GGUF files of small random models, written by another implementation of the format."""

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType, quants

WIDTH, HEADS, KEY_HEADS, NEURONS, LAYERS, EXPERTS = 256, 4, 2, 512, 2, 4
CHAT = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' + '\n' }}{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def vocabulary() -> tuple[list[str], list[str]]:
    """Tokens and merges of a byte-level vocabulary."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    merges = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "w"), ("o", "r")]
    tokens = [*SPECIAL, *letters, *("".join(pair) for pair in merges)]
    return tokens, [" ".join(pair) for pair in merges]


def _describe(writer: GGUFWriter, architecture: str, tokens: list[str], merges: list[str]) -> None:
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(NEURONS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_key_length(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    if architecture == "qwen3moe":
        writer.add_expert_count(EXPERTS)
        writer.add_expert_used_count(2)
        writer.add_expert_feed_forward_length(NEURONS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    kinds = [TokenType.CONTROL] * len(SPECIAL) + [TokenType.NORMAL] * (len(tokens) - len(SPECIAL))
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_chat_template(CHAT)


def write_gguf(
    path: Path, architecture: str = "llama", kind: str = "Q4_1", seed: int = 0, tied: bool = True, **metadata
) -> dict[str, np.ndarray]:
    """Write a model; returns its weights, dequantised, by GGUF's names. metadata: more of it, or another."""
    random, weights = np.random.default_rng(seed), {}
    writer = GGUFWriter(path, architecture)
    tokens, merges = vocabulary()
    _describe(writer, architecture, tokens, merges)
    for name, value in metadata.items():
        writer.add_key_value(name, *value)

    def add(name, *shape, plain=False):
        values = (0.05 * random.standard_normal(shape) + (name.endswith("norm.weight"))).astype(np.float32)
        if plain:
            writer.add_tensor(name, values)
            weights[name] = values
            return
        type_ = GGMLQuantizationType[kind]
        packed = quants.quantize(values, type_)
        writer.add_tensor(name, packed, raw_dtype=type_)
        weights[name] = quants.dequantize(packed, type_)

    add("token_embd.weight", len(tokens), WIDTH)
    add("output_norm.weight", WIDTH, plain=True)
    if not tied:
        add("output.weight", len(tokens), WIDTH)
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        add(f"{at}attn_norm.weight", WIDTH, plain=True)
        add(f"{at}ffn_norm.weight", WIDTH, plain=True)
        add(f"{at}attn_q.weight", WIDTH, WIDTH)
        add(f"{at}attn_k.weight", WIDTH * KEY_HEADS // HEADS, WIDTH)
        add(f"{at}attn_v.weight", WIDTH * KEY_HEADS // HEADS, WIDTH)
        add(f"{at}attn_output.weight", WIDTH, WIDTH)
        if architecture.startswith("qwen3"):
            add(f"{at}attn_q_norm.weight", WIDTH // HEADS, plain=True)
            add(f"{at}attn_k_norm.weight", WIDTH // HEADS, plain=True)
        if architecture == "qwen3moe":
            add(f"{at}ffn_gate_inp.weight", EXPERTS, WIDTH, plain=True)
            add(f"{at}ffn_gate_exps.weight", EXPERTS, NEURONS, WIDTH)
            add(f"{at}ffn_up_exps.weight", EXPERTS, NEURONS, WIDTH)
            add(f"{at}ffn_down_exps.weight", EXPERTS, WIDTH, NEURONS)
        else:
            add(f"{at}ffn_gate.weight", NEURONS, WIDTH)
            add(f"{at}ffn_up.weight", NEURONS, WIDTH)
            add(f"{at}ffn_down.weight", WIDTH, NEURONS)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights
