"""Mixture-of-experts models by size alone: their configs, as on the Hub."""

from dataclasses import dataclass, field, replace
from typing import Any

Config = dict[str, Any]

QWEN3 = {
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "max_position_embeddings": 40960,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "norm_topk_prob": True,
    "tie_word_embeddings": False,
}
GATED_DELTA = {
    "linear_num_value_heads": 32,
    "linear_num_key_heads": 16,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
    "full_attention_interval": 4,
    "partial_rotary_factor": 0.25,
}
AFFINE = {"group_size": 64, "bits": 4, "mode": "affine"}
MXFP4 = {"group_size": 32, "bits": 4, "mode": "mxfp4"}


@dataclass(frozen=True)
class ExpertShape:
    """A model's config and the form of its quantised weights. experts, top_k: of a layer."""

    config: Config
    experts: int
    top_k: int
    quantization: Config = field(default_factory=lambda: dict(AFFINE))

    def of_layers(self, layers: int) -> "ExpertShape":
        """The same with fewer layers."""
        part = "text_config" if "text_config" in self.config else None
        inner = self.config[part] if part else self.config
        inner = inner | {"num_hidden_layers": min(layers, inner["num_hidden_layers"])}
        if "layer_types" in inner:
            inner["layer_types"] = inner["layer_types"][:layers]
        return replace(self, config=self.config | {part: inner} if part else inner)


EXPERT_SHAPES = {
    "qwen3-30b-a3b": ExpertShape(
        QWEN3
        | {
            "model_type": "qwen3_moe",
            "num_hidden_layers": 48,
            "hidden_size": 2048,
            "intermediate_size": 6144,
            "moe_intermediate_size": 768,
            "num_experts": 128,
            "num_experts_per_tok": 8,
            "num_attention_heads": 32,
            "num_key_value_heads": 4,
            "head_dim": 128,
            "vocab_size": 151936,
        },
        experts=128,
        top_k=8,
    ),
    "qwen3.5-35b-a3b": ExpertShape(
        {
            "model_type": "qwen3_5_moe",
            "text_config": QWEN3
            | GATED_DELTA
            | {
                "model_type": "qwen3_5_moe_text",
                "num_hidden_layers": 40,
                "hidden_size": 2048,
                "intermediate_size": 0,
                "moe_intermediate_size": 512,
                "shared_expert_intermediate_size": 512,
                "num_experts": 256,
                "num_experts_per_tok": 8,
                "num_attention_heads": 16,
                "num_key_value_heads": 2,
                "head_dim": 256,
                "vocab_size": 248320,
                "rope_parameters": {"type": "default", "rope_theta": 1e7, "partial_rotary_factor": 0.25},
            },
        },
        experts=256,
        top_k=8,
    ),
    "gpt-oss-20b": ExpertShape(
        {
            "model_type": "gpt_oss",
            "num_hidden_layers": 24,
            "hidden_size": 2880,
            "intermediate_size": 2880,
            "num_local_experts": 32,
            "num_experts_per_tok": 4,
            "num_attention_heads": 64,
            "num_key_value_heads": 8,
            "head_dim": 64,
            "vocab_size": 201088,
            "sliding_window": 128,
            "rms_norm_eps": 1e-5,
            "rope_theta": 150000,
        },
        experts=32,
        top_k=4,
        quantization=dict(MXFP4),
    ),
    "olmoe-1b-7b": ExpertShape(
        {
            "model_type": "olmoe",
            "num_hidden_layers": 16,
            "hidden_size": 2048,
            "intermediate_size": 1024,
            "num_experts": 64,
            "num_experts_per_tok": 8,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "vocab_size": 50304,
            "rms_norm_eps": 1e-5,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": False,
        },
        experts=64,
        top_k=8,
    ),
    "gemma-4-26b-a4b": ExpertShape(
        {
            "model_type": "gemma4_text",
            "num_hidden_layers": 30,
            "hidden_size": 2816,
            "intermediate_size": 2112,
            "moe_intermediate_size": 704,
            "num_experts": 128,
            "top_k_experts": 8,
            "enable_moe_block": True,
            "hidden_size_per_layer_input": 0,
            "num_kv_shared_layers": 0,
            "use_double_wide_mlp": False,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "num_global_key_value_heads": 2,
            "head_dim": 256,
            "global_head_dim": 512,
            "attention_k_eq_v": True,
            "vocab_size": 262144,
            "sliding_window": 1024,
            "sliding_window_pattern": 6,
        },
        experts=128,
        top_k=8,
    ),
    "glm-4.5-air": ExpertShape(
        {
            "model_type": "glm4_moe",
            "num_hidden_layers": 46,
            "hidden_size": 4096,
            "intermediate_size": 10944,
            "moe_intermediate_size": 1408,
            "n_routed_experts": 128,
            "num_experts_per_tok": 8,
            "n_shared_experts": 1,
            "first_k_dense_replace": 1,
            "n_group": 1,
            "topk_group": 1,
            "routed_scaling_factor": 1.0,
            "scoring_func": "sigmoid",
            "topk_method": "noaux_tc",
            "norm_topk_prob": True,
            "num_attention_heads": 96,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": 151552,
            "use_qk_norm": False,
            "partial_rotary_factor": 0.5,
            "rope_scaling": None,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1e4,
            "max_position_embeddings": 4096,
            "attention_bias": False,
            "tie_word_embeddings": False,
        },
        experts=128,
        top_k=8,
    ),
}
