"""Tiny configs of every architecture of mlx-lm that has experts: one for each of its files, and for what inherits."""

from typing import Any

import mlx.core as mx

VOCABULARY, CONTEXT = 320, 512

SHARED = {"vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "num_hidden_layers": 3, "rms_norm_eps": 1e-6,
          "rope_theta": 1e4, "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4}  # fmt: skip
QWEN = SHARED | {"num_key_value_heads": 2, "head_dim": 16, "num_experts": 16, "num_experts_per_tok": 4,
                 "moe_intermediate_size": 32, "decoder_sparse_step": 1, "mlp_only_layers": [], "norm_topk_prob": True,
                 "tie_word_embeddings": False}  # fmt: skip
LINEAR = {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 16,
          "linear_value_head_dim": 16, "linear_conv_kernel_dim": 4, "full_attention_interval": 2,
          "partial_rotary_factor": 0.5, "shared_expert_intermediate_size": 32}  # fmt: skip
DEEPSEEK = SHARED | {"num_key_value_heads": 4, "scoring_func": "sigmoid", "topk_method": "noaux_tc",
                     "norm_topk_prob": True, "moe_layer_freq": 1, "rope_scaling": None, "attention_bias": False,
                     "moe_intermediate_size": 32, "n_routed_experts": 16, "num_experts_per_tok": 4,
                     "n_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1,
                     "routed_scaling_factor": 1.5}  # fmt: skip
LATENT = {"q_lora_rank": 32, "kv_lora_rank": 32, "qk_rope_head_dim": 16, "qk_nope_head_dim": 16, "v_head_dim": 16}
MIXTRAL = SHARED | {"num_key_value_heads": 2, "num_local_experts": 8, "num_experts_per_tok": 2}
BAILING = QWEN | {"num_shared_experts": 1, "first_k_dense_replace": 1, "use_bias": False, "use_qkv_bias": False,
                  "n_group": 4, "topk_group": 2, "score_function": "sigmoid", "moe_router_enable_expert_bias": True,
                  "layer_group_size": 2, "group_norm_size": 2, "routed_scaling_factor": 1.5}  # fmt: skip
LONGCAT = SHARED | LATENT | {"attention_method": "MLA", "zero_expert_type": "identity", "ffn_hidden_size": 96,
                             "moe_topk": 4, "expert_ffn_hidden_size": 32, "n_routed_experts": 16, "num_layers": 2,
                             "zero_expert_num": 4, "routed_scaling_factor": 1.5, "mla_scale_q_lora": True,
                             "mla_scale_kv_lora": True, "attention_bias": False}  # fmt: skip
DELTA = {"kda_layers": [1, 2], "full_attn_layers": [3], "num_heads": 4, "head_dim": 16, "short_conv_kernel_size": 4}
KIMI = SHARED | LATENT | {"q_lora_rank": None, "num_key_value_heads": 4, "head_dim": 16, "num_experts": 16,
                          "model_max_length": CONTEXT, "num_experts_per_token": 4, "moe_intermediate_size": 32,
                          "num_shared_experts": 1, "first_k_dense_replace": 1, "num_expert_group": 1,
                          "topk_group": 1, "mla_use_nope": True, "linear_attn_config": DELTA}  # fmt: skip
INDEXER = {"index_head_dim": 16, "index_n_heads": 4, "index_topk": 8}
HYBRID = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 8}
ROPE = {"rope_theta": 1e4, "rope_type": "default"}
ROPES = {"rope_parameters": {"sliding_attention": ROPE, "full_attention": ROPE}}
MISTRAL4 = DEEPSEEK | LATENT | {"model_type": "mistral4", "rope_parameters": ROPE | {
    "llama_4_scaling_beta": 0.1, "original_max_position_embeddings": 128}}  # fmt: skip
GEMMA4 = QWEN | {"top_k_experts": 4, "enable_moe_block": True, "hidden_size_per_layer_input": 0,
                           "num_kv_shared_layers": 0, "use_double_wide_mlp": False, "num_global_key_value_heads": 1,
                           "global_head_dim": 32, "attention_k_eq_v": True, "sliding_window": 8,
                           "sliding_window_pattern": 2}  # fmt: skip
QWEN35 = QWEN | LINEAR | {"model_type": "qwen3_5_moe_text", "rope_parameters": {
        "type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {  # by model_type
    "qwen3_moe": QWEN,
    "qwen2_moe": QWEN | {"shared_expert_intermediate_size": 32},
    "qwen3_next": QWEN | LINEAR,
    "qwen3_5_moe": {"text_config": QWEN35},
    "olmoe": QWEN | {"intermediate_size": 32},
    "gpt_oss": MIXTRAL | {"head_dim": 16, "intermediate_size": 64, "sliding_window": 8, "num_experts_per_tok": 3},
    "mixtral": MIXTRAL,
    "phimoe": MIXTRAL | {"original_max_position_embeddings": CONTEXT, "rope_scaling": {
        "type": "su", "long_factor": [1.0] * 8, "short_factor": [1.0] * 8, "long_mscale": 1.0, "short_mscale": 1.0,
        "original_max_position_embeddings": CONTEXT}},
    "minimax": MIXTRAL | {"head_dim": 16, "shared_intermediate_size": 0, "rotary_dim": 8, "use_qk_norm": True,
                          "tie_word_embeddings": False},
    "granitemoehybrid": MIXTRAL | {
        "shared_intermediate_size": 32, "layer_types": ["mamba", "attention", "mamba"], "mamba_n_heads": 4,
        "mamba_d_head": 16, "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_n_groups": 1, "mamba_proj_bias": False,
        "mamba_conv_bias": True, "embedding_multiplier": 12.0, "attention_multiplier": 0.1, "logits_scaling": 16.0,
        "residual_multiplier": 0.22, "attention_bias": False, "position_embedding_type": "nope", "mlp_bias": False,
        "tie_word_embeddings": True, "time_step_limit": [0.0, 1e9]},
    "granitemoe": MIXTRAL | {"intermediate_size": 64, "logits_scaling": 16.0, "attention_multiplier": 0.1,
                             "embedding_multiplier": 12.0, "residual_multiplier": 0.22, "attention_bias": False},
    "deepseek_v2": DEEPSEEK | LATENT | {"q_lora_rank": None, "rope_scaling": {
        "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, "mscale": 1.0, "mscale_all_dim": 1.0,
        "beta_fast": 32, "beta_slow": 1}},
    "deepseek_v3": DEEPSEEK | LATENT | {"n_group": 4, "topk_group": 2},
    "glm4_moe": DEEPSEEK | {"num_key_value_heads": 2, "head_dim": 16, "use_qk_norm": True,
                            "partial_rotary_factor": 0.5, "tie_word_embeddings": False},
    "glm4_moe_lite": DEEPSEEK | LATENT | {"tie_word_embeddings": False},
    "dots1": DEEPSEEK | {"head_dim": 16, "mlp_bias": False, "tie_word_embeddings": False},
    "ernie4_5_moe": QWEN | {"moe_num_experts": 16, "moe_k": 4, "moe_num_shared_experts": 1,
                            "moe_layer_start_index": 1, "moe_layer_end_index": 2, "moe_layer_interval": 1,
                            "use_bias": False, "moe_use_aux_free": True, "moe_capacity": []},
    "hunyuan": QWEN | {"moe_intermediate_size": [32] * 3, "moe_topk": [4] * 3, "num_shared_expert": [1] * 3,
                       "use_mixed_mlp_moe": True, "use_qk_norm": True, "use_cla": False, "cla_share_factor": 2,
                       "rope_scaling": {"alpha": 1000.0, "factor": 1.0, "type": "dynamic"}, "attention_bias": False},
    "bailing_moe": QWEN | {"num_shared_experts": 1, "first_k_dense_replace": 1, "use_bias": False,
                           "use_qkv_bias": False, "n_group": 4, "topk_group": 2, "score_function": "sigmoid",
                           "moe_router_enable_expert_bias": True},
    "lfm2_moe": QWEN | {"num_dense_layers": 1, "use_expert_bias": True, "norm_eps": 1e-5, "conv_bias": False,
                        "conv_L_cache": 3, "layer_types": ["conv", "full_attention", "conv"]},
    "gemma4_text": GEMMA4,
    "llama4": {"text_config": MIXTRAL | {
        "num_hidden_layers": 4,
        "model_type": "llama4_text", "num_experts_per_tok": 1, "intermediate_size_mlp": 96, "head_dim": 16,
        "interleave_moe_layer_step": 2, "attention_bias": False, "attention_chunk_size": 256, "rope_scaling": None,
        "use_qk_norm": True, "tie_word_embeddings": False}},
    "nemotron_h": DEEPSEEK | {
        "hybrid_override_pattern": "ME*", "num_key_value_heads": 2, "head_dim": 16, "mamba_num_heads": 4,
        "moe_shared_expert_intermediate_size": 32, "mamba_head_dim": 16, "ssm_state_size": 16, "n_groups": 2,
        "conv_kernel": 4, "mamba_proj_bias": False, "use_bias": False, "use_conv_bias": True, "mlp_bias": False,
        "layer_norm_epsilon": 1e-5, "mlp_hidden_act": "relu2", "residual_in_fp32": False,
        "time_step_limit": [0.0, 1e9], "time_step_min": 0.001, "time_step_max": 0.1, "num_logits_to_keep": 1,
        "tie_word_embeddings": False},
    "afmoe": QWEN | HYBRID | {"num_dense_layers": 1, "num_shared_experts": 1, "n_group": 4, "topk_group": 2},
    "bailing_hybrid": BAILING | LATENT,
    "bailing_moe_linear": BAILING,
    "bailing_moe_v3": BAILING | LATENT | {"layer_group_size": 3, "moe_shared_expert_intermediate_size": 32},
    "deepseek": DEEPSEEK | {"num_key_value_heads": 2},
    "deepseek_v32": DEEPSEEK | LATENT | INDEXER,
    "deepseek_v41": SHARED | INDEXER | {
        "head_dim": 16, "q_lora_rank": 32, "qk_rope_head_dim": 8, "o_groups": 2, "o_lora_rank": 32,
        "moe_intermediate_size": 32, "n_routed_experts": 16, "num_experts_per_tok": 4, "sliding_window": 8,
        "compress_ratios": [0, 4, 4], "kv_source_layer_ids": [-1] * 3, "index_source_layer_ids": [-1] * 3},
    "exaone_moe": QWEN | HYBRID | {"num_shared_experts": 1, "is_moe_layer": [False, True, True], "n_group": 4,
                                   "topk_group": 2},
    "gemma4": {"text_config": GEMMA4 | {"model_type": "gemma4_text"}, "vocab_size": VOCABULARY},
    "glm_moe_dsa": DEEPSEEK | LATENT | INDEXER | {"rope_parameters": ROPE},
    "jamba": MIXTRAL | {"attn_layer_offset": 1, "attn_layer_period": 2, "expert_layer_offset": 1,
                        "expert_layer_period": 1, "mamba_d_conv": 4, "mamba_d_state": 16, "mamba_expand": 2,
                        "num_experts": 8},
    "kimi_k25": {"text_config": DEEPSEEK | LATENT},
    "kimi_k3": {"text_config": KIMI | {
        "model_type": "kimi_linear", "activation_situ_beta": 4.0, "activation_situ_linear_beta": 25.0,
        "attn_res_block_size": 2, "routed_expert_hidden_size": 32, "latent_moe_use_norm": True, "q_lora_rank": 32,
        "mla_use_output_gate": True,
        "linear_attn_config": DELTA | {"use_full_rank_gate": False, "gate_lower_bound": -5.0}}},
    "kimi_linear": KIMI,
    "kimi_vl": {"text_config": DEEPSEEK | LATENT},
    "Klear": QWEN | {"attention_bias": False, "n_shared_experts": 1},
    "laguna": QWEN | HYBRID | ROPES | {"shared_expert_intermediate_size": 32},
    "longcat_flash": LONGCAT,
    "longcat_flash_ngram": LONGCAT | {"ngram_vocab_size_ratio": 3, "emb_neighbor_num": 2, "emb_split_num": 2},
    "mellum": QWEN | HYBRID | ROPES,
    "mimo_v2_flash": DEEPSEEK | {
        "num_key_value_heads": 2, "hybrid_layer_pattern": [1, 0, 1], "moe_layer_freq": [0, 1, 1],
        "add_swa_attention_sink_bias": True, "add_full_attention_sink_bias": False, "sliding_window_size": 8,
        "layernorm_epsilon": 1e-6, "swa_rope_theta": 1e4, "swa_num_attention_heads": 4, "swa_num_key_value_heads": 2,
        "head_dim": 16, "v_head_dim": 16, "swa_head_dim": 16, "swa_v_head_dim": 16, "partial_rotary_factor": 0.5,
        "n_shared_experts": None, "n_group": 4, "topk_group": 2},
    "minimax_m3_vl": {"text_config": MIXTRAL | {
        "num_local_experts": 16, "num_experts_per_tok": 4, "intermediate_size": 32, "dense_intermediate_size": 96,
        "shared_intermediate_size": 32, "head_dim": 16, "moe_layer_freq": [0, 1, 1], "sparse_attention_config": {
            "sparse_num_index_heads": 2, "sparse_index_dim": 16, "sparse_block_size": 4, "sparse_topk_blocks": 4,
            "sparse_local_block": 1, "sparse_attention_freq": [0, 1, 1]}}},
    "mistral3": {"text_config": MISTRAL4},
    "mistral4": MISTRAL4,
    "muse_spark": {"text_config": MIXTRAL | HYBRID | {
        "head_dim": 16, "post_norm_eps": 1e-6, "rope_parameters": ROPE, "layer_rope_theta": [1e4, 0, 1e4],
        "final_logit_softcapping": 30.0, "output_multiplier": 1.0, "num_local_experts": 16, "num_experts_per_tok": 4,
        "moe_hidden_size": 32, "moe_intermediate_size": 32}},
    "phixtral": {"num_vocab": VOCABULARY, "vocab_size": VOCABULARY, "model_dim": 64, "num_heads": 4, "num_layers": 3,
                 "rotary_dim": 8, "num_experts_per_tok": 2, "num_local_experts": 8,
                 "max_position_embeddings": CONTEXT},
    "qwen3_5": {"text_config": QWEN35},
    "qwen3_vl_moe": {"text_config": QWEN | {"model_type": "qwen3_moe"}},
    "solar_open": DEEPSEEK | {"num_key_value_heads": 2, "head_dim": 16, "tie_word_embeddings": False,
                              "partial_rotary_factor": 1.0},
    "step3p5": QWEN | HYBRID | {
        "num_attention_groups": 2, "moe_num_experts": 16, "moe_top_k": 4, "share_expert_dim": 32,
        "moe_layers_enum": "1,2",
        "attention_other_setting": {"num_attention_heads": 4, "num_attention_groups": 2}},
}  # fmt: skip
WITHOUT_METAL = {} if mx.metal.is_available() else {"muse_spark": "No Metal back-end"}
FAILURES: dict[str, str] = WITHOUT_METAL  # of mlx-lm itself: by model_type, what it says
