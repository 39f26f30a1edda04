"""Tiny dense checkpoints in MLX's format, made by mlx-lm's own classes: many architectures, each form."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten

from engine.models.mlx_lm import build_quantised
from tests.helpers.dense_configs import OTHERS
from tests.helpers.mlx_models import AFFINE4
from tests.helpers.moe_configs import SHARED

DENSE = SHARED | {"hidden_size": 128, "intermediate_size": 320, "num_key_value_heads": 2, "head_dim": 16,
                  "tie_word_embeddings": False}  # fmt: skip
BIASES = {"attention_bias": False, "mlp_bias": False}
GEMMA3N = DENSE | {
    "model_type": "gemma3n", "num_kv_shared_layers": 1, "vocab_size_per_layer_input": 300, "sliding_window": 8,
    "rope_local_base_freq": 1e4, "final_logit_softcapping": 30.0, "activation_sparsity_pattern": [0.95, 0.0, 0.0],
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "hidden_size_per_layer_input": 32,
    "altup_num_inputs": 4, "altup_coef_clip": 120.0, "altup_correct_scale": True, "altup_active_idx": 0,
    "laurel_rank": 32}  # fmt: skip
GEMMA4 = DENSE | {"model_type": "gemma4_text", "global_head_dim": 32, "vocab_size_per_layer_input": 320,
                  "num_kv_shared_layers": 1, "hidden_size_per_layer_input": 32, "sliding_window": 8,
                  "sliding_window_pattern": 2}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {  # by model_type
    "llama": DENSE,
    "qwen2": DENSE,
    "qwen3": DENSE | {"tie_word_embeddings": True},
    "gemma2": DENSE | {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "query_pre_attn_scalar": 16,
                       "sliding_window": 64},
    "gemma3_text": DENSE | {"query_pre_attn_scalar": 16, "sliding_window": 8, "sliding_window_pattern": 2,
                            "rope_local_base_freq": 1e4},
    "gemma3n": {"text_config": GEMMA3N},
    "gemma4_text": GEMMA4,
    "gemma4": {"text_config": GEMMA4, "vocab_size": SHARED["vocab_size"]},
    "phi3": DENSE,
    "glm4": DENSE | {"attention_bias": False, "partial_rotary_factor": 0.5},
    "olmo2": DENSE,
    "granite": DENSE | BIASES | {"logits_scaling": 8.0, "attention_multiplier": 0.1, "embedding_multiplier": 12.0,
                                 "residual_multiplier": 0.2},
    "smollm3": DENSE,
    "seed_oss": DENSE | BIASES | {"attention_bias": True, "attention_out_bias": False},
    "starcoder2": DENSE | {"norm_epsilon": 1e-5},
    "gpt_neox": DENSE | {"layer_norm_eps": 1e-5, "rotary_emb_base": 10000, "rotary_pct": 0.25,
                         "use_parallel_residual": True},
    "internlm2": DENSE | {"bias": False},
    "exaone4": DENSE | {"sliding_window": 8, "sliding_window_pattern": "LLG", "rope_scaling": None},
    "nemotron": DENSE | BIASES | {"hidden_act": "relu2", "norm_eps": 1e-5, "partial_rotary_factor": 0.5},
    "lfm2": DENSE | {"norm_eps": 1e-5, "conv_bias": False, "conv_L_cache": 3, "block_dim": 128, "block_ff_dim": 320,
                     "block_multiple_of": 32, "block_ffn_dim_multiplier": 1.0, "block_auto_adjust_ff_dim": False,
                     "full_attn_idxs": [1]},
    "hunyuan_v1_dense": DENSE | {"use_qk_norm": True, "attention_bias": False,
                                 "rope_scaling": {"alpha": 1000.0, "factor": 1.0, "type": "dynamic"}},
    "ministral3": DENSE | {"rope_parameters": {"rope_theta": 1e4, "rope_type": "default", "llama_4_scaling_beta": 0.1,
                                               "original_max_position_embeddings": 512}},
}  # fmt: skip


def write_dense(
    folder: Path,
    model_type: str = "llama",
    form: dict[str, Any] | None = AFFINE4,
    dtype: mx.Dtype | None = None,
    config: dict[str, Any] | None = None,
) -> Path:
    """A checkpoint of random weights in a new folder. dtype: of what is not quantised; None for the config's. config:
    None for the one of its type."""
    mx.random.seed(1)
    model, config = build_quantised({"model_type": model_type, **(config or (CONFIGS | OTHERS)[model_type])}, form)
    if dtype is not None:
        model.set_dtype(dtype)
    folder.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())))
    (folder / "config.json").write_text(json.dumps(config))
    return folder
