"""Nemotron (Nemotron-Mini, Minitron): squared ReLU without a gate, layer norms that add one, partial rotary."""

from dataclasses import dataclass
from typing import ClassVar

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.models.base import BaseModelArgs

from engine.models.activations import Activation
from engine.models.base import CausalModel, Decoder
from engine.models.ffn import DenseFFN
from engine.models.llama import Attention


@dataclass
class ModelArgs(BaseModelArgs):
    model_type: str
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    vocab_size: int
    hidden_act: str
    num_key_value_heads: int = None
    head_dim: int = None
    max_position_embeddings: int = 4096
    norm_eps: float = 1e-5
    partial_rotary_factor: float = 0.5
    rope_theta: float = 10000.0
    rope_scaling: dict = None
    rope_parameters: dict = None
    attention_bias: bool = False
    mlp_bias: bool = False
    tie_word_embeddings: bool = False

    def __post_init__(self):
        self.num_key_value_heads = self.num_key_value_heads or self.num_attention_heads
        self.head_dim = self.head_dim or self.hidden_size // self.num_attention_heads


class LayerNorm1P(nn.LayerNorm):
    """A layer norm whose stored weight is what is added to one."""

    def __call__(self, x: mx.array) -> mx.array:
        return mx.fast.layer_norm(x, self.weight + 1, self.bias, self.eps)


class DecoderLayer(nn.Module):
    def __init__(self, args: ModelArgs):
        super().__init__()
        activation = Activation(args.hidden_act)
        self.input_layernorm = LayerNorm1P(args.hidden_size, eps=args.norm_eps)
        self.self_attn = Attention(args, args.partial_rotary_factor)
        self.post_attention_layernorm = LayerNorm1P(args.hidden_size, eps=args.norm_eps)
        self.ffn = DenseFFN(args.hidden_size, args.intermediate_size, activation, args.mlp_bias)

    def __call__(self, x: mx.array, mask=None, cache=None) -> mx.array:
        self.ffn.anticipate(self.post_attention_layernorm(x))
        x = x + self.self_attn(self.input_layernorm(x), mask, cache)
        return x + self.ffn(self.post_attention_layernorm(x))


class Model(CausalModel):
    names: ClassVar = {".mlp.up_proj.": ".ffn.up.", ".mlp.down_proj.": ".ffn.down."}
    unused = (".rotary_emb.inv_freq",)

    def __init__(self, args: ModelArgs):
        norm = LayerNorm1P(args.hidden_size, eps=args.norm_eps)
        super().__init__(args, Decoder(args, DecoderLayer, norm))
