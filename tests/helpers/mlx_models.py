"""Tiny mixture-of-experts checkpoints in MLX's format, made by mlx-lm's own classes: each architecture, each form."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten, tree_map_with_path
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_model

from engine.bench.random_checkpoint import lazy_model

VOCABULARY, CONTEXT = 320, 512
AFFINE4 = {"group_size": 32, "bits": 4, "mode": "affine"}
FORMS: dict[str, dict[str, Any] | None] = {  # by name, of quantisation; None: 32 bits
    "affine-2-g32": {"group_size": 32, "bits": 2, "mode": "affine"},
    "affine-3-g64": {"group_size": 64, "bits": 3, "mode": "affine"},
    "affine-4-g32": AFFINE4,
    "affine-4-g128": {"group_size": 128, "bits": 4, "mode": "affine"},
    "affine-5-g64": {"group_size": 64, "bits": 5, "mode": "affine"},
    "affine-6-g32": {"group_size": 32, "bits": 6, "mode": "affine"},
    "affine-8-g64": {"group_size": 64, "bits": 8, "mode": "affine"},
    "mxfp4": {"group_size": 32, "bits": 4, "mode": "mxfp4"},
    "mxfp8": {"group_size": 32, "bits": 8, "mode": "mxfp8"},
    "nvfp4": {"group_size": 16, "bits": 4, "mode": "nvfp4"},
    "float32": None,
}

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
CONFIGS: dict[str, dict[str, Any]] = {  # by model_type
    "qwen3_moe": QWEN,
    "qwen2_moe": QWEN | {"shared_expert_intermediate_size": 32},
    "qwen3_next": QWEN | LINEAR,
    "qwen3_5_moe": {"text_config": QWEN | LINEAR | {"model_type": "qwen3_5_moe_text", "rope_parameters": {
        "type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}}},
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
    "gemma4_text": QWEN | {"top_k_experts": 4, "enable_moe_block": True, "hidden_size_per_layer_input": 0,
                           "num_kv_shared_layers": 0, "use_double_wide_mlp": False, "num_global_key_value_heads": 1,
                           "global_head_dim": 32, "attention_k_eq_v": True, "sliding_window": 8,
                           "sliding_window_pattern": 2},
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
}  # fmt: skip


def write_moe(
    folder: Path, model_type: str = "qwen3_moe", form: dict[str, Any] | None = AFFINE4, **changed: Any
) -> Path:
    """A checkpoint of random weights in a new folder. changed: of the config."""
    mx.random.seed(1)
    model, config = lazy_model({"model_type": model_type, **CONFIGS[model_type], **changed}, form)
    if form is None:
        model.set_dtype(mx.float32)
    # Routers that are zero to begin with would choose the same experts for every token.
    model.update(tree_map_with_path(lambda name, a: _random(a) if ".gate." in name else a, model.parameters()))
    folder.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _random(array: mx.array) -> mx.array:
    is_zero = mx.issubdtype(array.dtype, mx.floating) and not mx.any(array != 0).item()
    return mx.random.normal(array.shape).astype(array.dtype) if is_zero else array


class InMemory:
    """mlx-lm's own model, all of it in memory, computing in float32."""

    def __init__(self, folder: Path):
        self._model, _ = load_model(folder)
        self._model.set_dtype(mx.float32)

    def logits(self, tokens: list[int]) -> mx.array:
        """float32 [tokens, vocabulary]."""
        logits = self._model(mx.array([tokens]), cache=make_prompt_cache(self._model))[0].astype(mx.float32)
        mx.eval(logits)
        return logits


def write_original(folder: Path, tokenizer: bool = True) -> Path:
    """A mixture of experts as its makers publish it: 16 bits, a tensor for each matrix of each expert."""
    from tests.helpers.checkpoints import write_tokenizer

    mx.random.seed(1)
    config = {"model_type": "qwen3_moe", **CONFIGS["qwen3_moe"], "hidden_size": 64, "moe_intermediate_size": 64}
    model, _ = lazy_model(config, None)
    weights = {}
    for name, array in tree_flatten(model.parameters()):
        values = (0.05 * mx.random.normal(array.shape)).astype(mx.bfloat16)
        if ".switch_mlp." in name:
            weights |= {name.replace("switch_mlp", f"experts.{e}"): expert for e, expert in enumerate(values)}
        else:
            weights[name] = values
    folder.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    (folder / "config.json").write_text(json.dumps(config))
    if tokenizer:
        write_tokenizer(folder, VOCABULARY)
    return folder
