"""Llama with ReLU (ReluLLaMA, MiniCPM-S), and what has its shape: Mistral, ProSparse, Bamboo, Arcee.

They differ in the FFN's activation alone: gated ReLU, ReLU above a threshold (ProSparse), ReLU of gate and of up
(Bamboo), and squared ReLU without a gate (Arcee).
"""

from dataclasses import dataclass
from typing import ClassVar

import mlx.core as mx
import mlx.nn as nn

from engine.arrays.attention import Mask
from engine.arrays.layers import added, in_heads
from engine.errors import FlawError
from engine.models.activations import Activation
from engine.models.attention import Cache, attend
from engine.models.base import CausalModel, Decoder
from engine.models.config import Epsilon, GroupedArgs, Positions, Threshold
from engine.models.ffn import DenseFFN
from engine.models.rotary import rotary


@dataclass(kw_only=True)
class ModelArgs(GroupedArgs):
    """config.json of a Llama. hidden_act_param: the threshold of fatrelu. sliding_window: tokens, 0 for all."""

    hidden_act_param: Threshold | None = None
    sliding_window: Positions = 0
    rms_norm_eps: Epsilon = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sliding_window:  # within its length attention is the full one, and longer contexts are not offered
            self.max_position_embeddings = min(self.max_position_embeddings, self.sliding_window)
        if self.hidden_act == "fatrelu" and self.hidden_act_param is None:
            raise FlawError("it lacks hidden_act_param, the threshold of fatrelu")

    @property
    def activation(self) -> Activation:
        """The FFN's activation, which alone tells these models apart."""
        if self.model_type == "bamboo":
            return Activation("drelu", gated=True)
        threshold = self.hidden_act_param if self.hidden_act == "fatrelu" else None
        return Activation(self.hidden_act, gated=self.model_type != "arcee", threshold=threshold or 0.0)


class Attention(nn.Module):
    """Rotary attention, grouped where there are fewer heads of keys and values than of queries.

    share: how much of a head is turned.
    """

    def __init__(self, args: GroupedArgs, share: float = 1.0):
        super().__init__()
        width, dim, bias = args.hidden_size, args.head_dim, args.attention_bias
        self.head_dim = dim
        self.scale = dim**-0.5
        self.q_proj = nn.Linear(width, args.num_attention_heads * dim, bias=bias)
        self.k_proj = nn.Linear(width, args.num_key_value_heads * dim, bias=bias)
        self.v_proj = nn.Linear(width, args.num_key_value_heads * dim, bias=bias)
        self.o_proj = nn.Linear(args.num_attention_heads * dim, width, bias=bias)
        self.rope = rotary(args, share)

    def __call__(self, x: mx.array, mask: Mask = None, cache: Cache | None = None) -> mx.array:
        """The attended values of x [batch, length, hidden_size], in its shape."""
        queries, keys, values = (in_heads(p(x), self.head_dim) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.o_proj(attend(queries, keys, values, cache, mask, self.scale, self.rope))


class DecoderLayer(nn.Module):
    """Attention, then FFN, each with a norm before it."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(args.hidden_size, eps=args.rms_norm_eps)
        self.self_attn = Attention(args)
        self.post_attention_layernorm = nn.RMSNorm(args.hidden_size, eps=args.rms_norm_eps)
        self.ffn = DenseFFN(args.hidden_size, args.intermediate_size, args.activation, args.mlp_bias)

    def __call__(self, x: mx.array, mask: Mask = None, cache: Cache | None = None) -> mx.array:
        """The input of the next layer, [batch, length, hidden_size], as x is."""
        self.ffn.anticipate(self.post_attention_layernorm, x)
        x = added(x, self.self_attn(self.input_layernorm(x), mask, cache))
        return added(x, self.ffn(self.post_attention_layernorm(x)))


class Model(CausalModel):
    """A Llama, or a model of its shape, with its head."""

    names: ClassVar = {".mlp.gate_proj.": ".ffn.gate.", ".mlp.up_proj.": ".ffn.up.", ".mlp.down_proj.": ".ffn.down."}
    # Frequencies that older files keep, and the predictors that TurboSparse models bring: ours are trained anew.
    unused = (".rotary_emb.inv_freq", ".mlp.predictor.")

    def __init__(self, args: ModelArgs):
        norm = nn.RMSNorm(args.hidden_size, eps=args.rms_norm_eps)
        super().__init__(args, Decoder(args, DecoderLayer, norm))
