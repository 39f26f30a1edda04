"""Persimmon (Adept): squared ReLU with biases, queries and keys with layer norms, partial rotary, fused qkv."""

from dataclasses import dataclass
from typing import ClassVar

import mlx.core as mx
import mlx.nn as nn

from engine.arrays.attention import Mask
from engine.arrays.layers import added
from engine.models.activations import Activation
from engine.models.attention import Cache, attend
from engine.models.base import CausalModel, Decoder
from engine.models.config import Base, Epsilon, Name, Neurons, Positions, RotaryArgs, Share
from engine.models.ffn import DenseFFN
from engine.models.rotary import rotary


@dataclass(kw_only=True)
class ModelArgs(RotaryArgs):
    """config.json of a Persimmon."""

    intermediate_size: Neurons
    hidden_act: Name
    qk_layernorm: bool = True
    layer_norm_eps: Epsilon = 1e-5
    max_position_embeddings: Positions = 16384
    partial_rotary_factor: Share = 0.5
    rope_theta: Base = 25000.0


class Attention(nn.Module):
    """Rotary attention with normed queries and keys, whose queries, keys and values are one product."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        width, dim = args.hidden_size, args.head_dim
        self.heads = args.num_attention_heads
        self.scale = dim**-0.5
        self.query_key_value = nn.Linear(width, 3 * width)
        self.dense = nn.Linear(width, width)
        if args.qk_layernorm:
            self.q_layernorm = nn.LayerNorm(dim, eps=args.layer_norm_eps)
            self.k_layernorm = nn.LayerNorm(dim, eps=args.layer_norm_eps)
        self.rope = rotary(args, args.partial_rotary_factor)

    def __call__(self, x: mx.array, mask: Mask = None, cache: Cache | None = None) -> mx.array:
        """The attended values of x [batch, length, hidden_size], in its shape."""
        batch, length, _ = x.shape
        # A head's query, key and value lie side by side: [batch, length, heads, 3, head_dim].
        fused = self.query_key_value(x).reshape(batch, length, self.heads, 3, -1)
        queries, keys, values = (fused[..., i, :].transpose(0, 2, 1, 3) for i in range(3))
        if "q_layernorm" in self:
            queries, keys = self.q_layernorm(queries), self.k_layernorm(keys)
        return self.dense(attend(queries, keys, values, cache, mask, self.scale, self.rope))


class DecoderLayer(nn.Module):
    """Attention, then FFN, each with a layer norm before it."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        self.input_layernorm = nn.LayerNorm(args.hidden_size, eps=args.layer_norm_eps)
        self.self_attn = Attention(args)
        self.post_attention_layernorm = nn.LayerNorm(args.hidden_size, eps=args.layer_norm_eps)
        self.ffn = DenseFFN(args.hidden_size, args.intermediate_size, Activation(args.hidden_act), bias=True)

    def __call__(self, x: mx.array, mask: Mask = None, cache: Cache | None = None) -> mx.array:
        """The input of the next layer, [batch, length, hidden_size], as x is."""
        self.ffn.anticipate(self.post_attention_layernorm, x)
        x = added(x, self.self_attn(self.input_layernorm(x), mask, cache))
        return added(x, self.ffn(self.post_attention_layernorm(x)))


class Model(CausalModel):
    """A Persimmon with its head."""

    names: ClassVar = {
        "model.final_layernorm.": "model.norm.",
        ".mlp.dense_h_to_4h.": ".ffn.up.",
        ".mlp.dense_4h_to_h.": ".ffn.down.",
    }
    unused = (".rotary_emb.inv_freq",)

    def __init__(self, args: ModelArgs):
        norm = nn.LayerNorm(args.hidden_size, eps=args.layer_norm_eps)
        super().__init__(args, Decoder(args, DecoderLayer, norm))
