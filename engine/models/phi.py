"""Phi-2 with ReLU: attention and FFN in parallel after one layer norm, partial rotary, biases everywhere."""

from dataclasses import dataclass
from typing import ClassVar

import mlx.core as mx
import mlx.nn as nn

from engine.arrays.attention import Mask
from engine.arrays.layers import in_heads
from engine.models.activations import Activation
from engine.models.attention import Cache, attend
from engine.models.base import CausalModel, Decoder
from engine.models.config import Epsilon, Heads, Name, Neurons, RotaryArgs, Share
from engine.models.ffn import DenseFFN, in_parallel
from engine.models.rotary import rotary


@dataclass(kw_only=True)
class ModelArgs(RotaryArgs):
    """config.json of a Phi."""

    intermediate_size: Neurons
    hidden_act: Name
    num_key_value_heads: Heads = 0
    qk_layernorm: bool = False
    layer_norm_eps: Epsilon = 1e-5
    partial_rotary_factor: Share = 0.5

    def __post_init__(self) -> None:
        self.num_key_value_heads = self.num_key_value_heads or self.num_attention_heads
        super().__post_init__()


class Attention(nn.Module):
    """Rotary attention over a part of each head, with biases."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        width, dim = args.hidden_size, args.head_dim
        self.head_dim = dim
        self.scale = dim**-0.5
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, args.num_key_value_heads * dim)
        self.v_proj = nn.Linear(width, args.num_key_value_heads * dim)
        self.dense = nn.Linear(width, width)
        if args.qk_layernorm:
            self.q_layernorm = nn.LayerNorm(dim, eps=args.layer_norm_eps)
            self.k_layernorm = nn.LayerNorm(dim, eps=args.layer_norm_eps)
        self.rope = rotary(args, args.partial_rotary_factor)

    def __call__(self, x: mx.array, mask: Mask = None, cache: Cache | None = None) -> mx.array:
        """The attended values of x [batch, length, hidden_size], in its shape."""
        queries, keys, values = (in_heads(p(x), self.head_dim) for p in (self.q_proj, self.k_proj, self.v_proj))
        if "q_layernorm" in self:
            queries, keys = self.q_layernorm(queries), self.k_layernorm(keys)
        return self.dense(attend(queries, keys, values, cache, mask, self.scale, self.rope))


class DecoderLayer(nn.Module):
    """Attention and FFN side by side, after one layer norm."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        self.input_layernorm = nn.LayerNorm(args.hidden_size, eps=args.layer_norm_eps)
        self.self_attn = Attention(args)
        self.ffn = DenseFFN(args.hidden_size, args.intermediate_size, Activation(args.hidden_act), bias=True)

    def __call__(self, x: mx.array, mask: Mask = None, cache: Cache | None = None) -> mx.array:
        """The input of the next layer, [batch, length, hidden_size], as x is."""
        normed = self.input_layernorm(x)
        return in_parallel(x, lambda: self.self_attn(normed, mask, cache), self.ffn, normed)


class Model(CausalModel):
    """A Phi with its head."""

    names: ClassVar = {"model.final_layernorm.": "model.norm.", ".mlp.fc1.": ".ffn.up.", ".mlp.fc2.": ".ffn.down."}
    unused = (".rotary_emb.inv_freq",)

    def __init__(self, args: ModelArgs):
        norm = nn.LayerNorm(args.hidden_size, eps=args.layer_norm_eps)
        super().__init__(args, Decoder(args, DecoderLayer, norm), head_bias=True)
