"""Nemotron (Nemotron-Mini, Minitron): squared ReLU without a gate, layer norms that add one, partial rotary."""

from dataclasses import dataclass
from typing import ClassVar

import mlx.core as mx
import mlx.nn as nn

from engine.arrays.attention import Mask
from engine.arrays.layers import added
from engine.models.activations import Activation
from engine.models.attention import Cache
from engine.models.base import CausalModel, Decoder
from engine.models.config import Epsilon, GroupedArgs, Positions, Share
from engine.models.ffn import DenseFFN
from engine.models.llama import Attention


@dataclass(kw_only=True)
class ModelArgs(GroupedArgs):
    """config.json of a Nemotron."""

    max_position_embeddings: Positions = 4096
    norm_eps: Epsilon = 1e-5
    partial_rotary_factor: Share = 0.5


class LayerNorm1P(nn.LayerNorm):
    """A layer norm whose weights are stored less one."""

    """A layer norm whose stored weight is what is added to one."""

    def __call__(self, x: mx.array) -> mx.array:
        """x [..., width], normed."""
        return mx.fast.layer_norm(x, self.weight + 1, self.bias, self.eps)


class DecoderLayer(nn.Module):
    """Attention, then FFN, each with a layer norm before it."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        activation = Activation(args.hidden_act)
        self.input_layernorm = LayerNorm1P(args.hidden_size, eps=args.norm_eps)
        self.self_attn = Attention(args, args.partial_rotary_factor)
        self.post_attention_layernorm = LayerNorm1P(args.hidden_size, eps=args.norm_eps)
        self.ffn = DenseFFN(args.hidden_size, args.intermediate_size, activation, args.mlp_bias)

    def __call__(self, x: mx.array, mask: Mask = None, cache: Cache | None = None) -> mx.array:
        """The input of the next layer, [batch, length, hidden_size], as x is."""
        self.ffn.anticipate(self.post_attention_layernorm, x)
        x = added(x, self.self_attn(self.input_layernorm(x), mask, cache))
        return added(x, self.ffn(self.post_attention_layernorm(x)))


class Model(CausalModel):
    """A Nemotron with its head."""

    names: ClassVar = {".mlp.up_proj.": ".ffn.up.", ".mlp.down_proj.": ".ffn.down."}
    unused = (".rotary_emb.inv_freq",)

    def __init__(self, args: ModelArgs):
        norm = LayerNorm1P(args.hidden_size, eps=args.norm_eps)
        super().__init__(args, Decoder(args, DecoderLayer, norm))
