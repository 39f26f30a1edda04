"""Tiny configs of the other architectures of mlx-lm that have no experts, one for each of its files."""

from typing import Any

import mlx.core as mx

from tests.helpers.moe_configs import CONTEXT, SHARED, VOCABULARY

DENSE = SHARED | {"hidden_size": 128, "intermediate_size": 192, "num_key_value_heads": 2, "head_dim": 32,
                  "num_hidden_layers": 2, "tie_word_embeddings": False}  # fmt: skip
BIASES = {"attention_bias": False, "mlp_bias": False}
MIXED = ["sliding_attention", "full_attention"]
LLAMA = {"text_config": DENSE | {"model_type": "llama"}, "vocab_size": VOCABULARY}
GPT = {"n_embd": 128, "n_head": 4, "n_layer": 2, "n_positions": CONTEXT, "n_ctx": CONTEXT, "n_inner": 192,
       "layer_norm_epsilon": 1e-5, "vocab_size": VOCABULARY}  # fmt: skip
OTHERS: dict[str, dict[str, Any]] = {  # by model_type
    "afm7": {"vocab_size": VOCABULARY, "hidden_dim": 128, "num_layers": 3, "num_kv_reuse_layers": 1, "num_heads": 4,
             "num_kv_heads": 2, "hidden_dim_scale_factor": 2.0},
    "apertus": DENSE | BIASES | {"post_norm": False, "qk_norm": True},
    "baichuan_m1": DENSE | {"sliding_window": 8, "sliding_window_layers": [1], "conv_window": 2},
    "bitnet": DENSE,
    "cohere": DENSE | {"layer_norm_eps": 1e-5},
    "cohere2": DENSE | {"layer_norm_eps": 1e-5, "sliding_window": 8, "sliding_window_pattern": 2},
    "dbrx": {"vocab_size": VOCABULARY, "d_model": 128, "n_layers": 2, "n_heads": 4,
             "attn_config": {"kv_n_heads": 2, "clip_qkv": 8, "rope_theta": 1e4},
             "ffn_config": {"ffn_hidden_size": 64, "moe_num_experts": 4, "moe_top_k": 2}},
    "ernie4_5": DENSE | {"use_bias": False},
    "exaone": DENSE | {"num_layers": 2, "layer_norm_epsilon": 1e-5},
    "falcon_h1": DENSE | {"mamba_d_ssm": 128, "mamba_n_heads": 4, "mamba_d_head": 32, "mamba_d_state": 16},
    "gear": DENSE | {"layer_types": ["full_attention", "conv_mixer"], "sliding_window": 8, "query_pre_attn_scalar": 32},
    "gemma": DENSE,
    "gemma3": {"text_config": DENSE | {"model_type": "gemma3_text", "query_pre_attn_scalar": 32, "sliding_window": 8,
                                       "sliding_window_pattern": 2}, "vocab_size": VOCABULARY},
    "glm": DENSE,
    "gpt2": GPT,
    "gpt_bigcode": GPT,
    "gptj": GPT | {"rotary_dim": 16},
    "helium": DENSE | BIASES,
    "internlm3": DENSE,
    "iquestloopcoder": DENSE,
    "lfm2-vl": {"text_config": DENSE | {
        "model_type": "lfm2", "norm_eps": 1e-5, "conv_bias": False, "conv_L_cache": 3, "block_dim": 128,
        "block_ff_dim": 192, "block_multiple_of": 32, "block_ffn_dim_multiplier": 1.0,
        "block_auto_adjust_ff_dim": False, "full_attn_idxs": [1]}},
    "lille-130m": {"block_size": CONTEXT, "layer_norm_eps": 1e-5, "n_embd": 128, "n_head": 4, "n_kv_heads": 2,
                   "n_layer": 2, "rope_theta": 1e4, "vocab_size": VOCABULARY},
    "llama4_text": DENSE | {"intermediate_size_mlp": 192, "no_rope_layers": [1, 0], "use_qk_norm": True},
    "mamba": DENSE | {"state_size": 16, "conv_kernel": 4, "use_bias": False, "use_conv_bias": True,
                      "time_step_rank": 8},
    "mamba2": DENSE | {"num_heads": 4, "head_dim": 64, "state_size": 16, "layer_norm_epsilon": 1e-5, "conv_kernel": 4,
                       "intermediate_size": 256, "n_groups": 2, "use_bias": False, "use_conv_bias": True,
                       "time_step_limit": [0.0, 1e9], "time_step_rank": "auto"},
    "mimo": DENSE,
    "minicpm": DENSE | {"dim_model_base": 64, "scale_depth": 1.4, "scale_emb": 12},
    "minicpm3": DENSE | {"dim_model_base": 64, "scale_depth": 1.4, "scale_emb": 12, "q_lora_rank": 64,
                         "qk_nope_head_dim": 16, "qk_rope_head_dim": 16, "kv_lora_rank": 32,
                         "rope_scaling": {"type": "longrope", "long_factor": [1.0] * 8, "short_factor": [1.0] * 8,
                                          "original_max_position_embeddings": CONTEXT}},
    "muse_glimmer": DENSE | {"layer_types": MIXED, "sliding_window": 8},
    "nanbeige": DENSE,
    "nanochat": DENSE | {"num_key_value_heads": 4},
    "nemotron-nas": DENSE | {"block_configs": [
        {"attention": {"no_op": False, "replace_with_linear": False, "n_heads_in_group": 2},
         "ffn": {"no_op": False, "replace_with_linear": False, "ffn_mult": 1.5}},
        {"attention": {"no_op": True, "replace_with_linear": False},
         "ffn": {"no_op": False, "replace_with_linear": True}}]},
    "olmo3": DENSE | {"sliding_window": 8, "layer_types": MIXED},
    "olmo_hybrid": DENSE | BIASES | {
        "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 32, "linear_value_head_dim": 32,
        "linear_conv_kernel_dim": 4, "linear_allow_neg_eigval": True,
        "layer_types": ["linear_attention", "full_attention"]},
    "openelm": {"head_dim": 32, "num_transformer_layers": 2, "model_dim": 128, "vocab_size": VOCABULARY,
                "ffn_dim_divisor": 32, "num_query_heads": [4, 4], "num_kv_heads": [2, 2],
                "ffn_multipliers": [1.0, 2.0]},
    "phi": DENSE | {"num_key_value_heads": 4, "partial_rotary_factor": 0.5},
    "phi3small": DENSE | {"dense_attention_every_n_layers": 2, "ff_intermediate_size": 192, "gegelu_limit": 20.0,
                          "layer_norm_epsilon": 1e-5, "vocab_size": 100_352},  # it names tokens of its own
    "pixtral": LLAMA,
    "plamo": DENSE | {"n_shared_head": 2},
    "plamo2": DENSE | {"hidden_size_per_head": 32, "mamba_d_state": 16, "mamba_num_heads": 4},
    "plamo3": DENSE | {"sliding_window": 8, "sliding_window_pattern": 2, "window_size": 8},
    "qwen": DENSE | {"kv_channels": 32, "layer_norm_epsilon": 1e-6, "intermediate_size": 384},
    "qwen2_vl": {"text_config": DENSE | {"model_type": "qwen2"}},
    "qwen3_vl": {"text_config": DENSE | {"model_type": "qwen3"}},
    "recurrent_gemma": DENSE | {"attention_bias": False, "conv1d_width": 4, "logits_soft_cap": 30.0,
                                "attention_window_size": 8, "block_types": ["recurrent", "attention"],
                                "num_key_value_heads": 1},
    "rwkv7": DENSE | {"norm_eps": 1e-5, "a_low_rank_dim": 64, "v_low_rank_dim": 64, "gate_low_rank_dim": 64,
                      "decay_low_rank_dim": 64, "head_dim": 32},
    "spark2_5": DENSE | {"sliding_window": 8, "layer_types": MIXED, "rope_parameters": {
        name: {"rope_theta": 1e4, "rope_type": "default"} for name in MIXED}},
    "stablelm": DENSE | {"use_qkv_bias": False, "partial_rotary_factor": 0.5, "layer_norm_eps": 1e-5},
    "talkie": DENSE,
    "telechat3": DENSE,
    "youtu_llm": DENSE | {"num_key_value_heads": 4, "kv_lora_rank": 32, "q_lora_rank": 64, "qk_rope_head_dim": 16,
                          "v_head_dim": 32, "qk_nope_head_dim": 16},
}  # fmt: skip
WITHOUT_METAL = {} if mx.metal.is_available() else {"bitnet": "No Metal back-end"}
FAILURES: dict[str, str] = WITHOUT_METAL  # of mlx-lm itself: by model_type, what it says
PLAIN = {"afm7"}  # whose linears mlx-lm cannot quantise
PARTLY_PLAIN = {"falcon_h1", "mamba2"}  # some of whose linears no group divides: a prompt's products are numpy's
LEFT_OUT = {
    "olmo": "its file ends the process without the package ai2-olmo",
    "prism_hadamard_qwen35": "its linears are its own, of a form that no other model has",
}
