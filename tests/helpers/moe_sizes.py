"""Sizes with which a published mixture-of-experts config becomes one for tests."""

TINY_EXPERTS = {
    "hidden_size": 128,
    "intermediate_size": 128,
    "moe_intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 64,
    "vocab_size": 320,
    "num_experts": 32,
    "num_experts_per_tok": 4,
}
