"""Falcon with ReLU: attention and FFN in parallel, one head of keys and values (7B) or one a group (40B).

The 40B's form is `new_decoder_architecture`, where each of the two has a layer norm of its own.
"""

from dataclasses import dataclass
from typing import ClassVar

import mlx.core as mx
import mlx.nn as nn

from engine.arrays.attention import Mask
from engine.arrays.layers import added
from engine.errors import CheckpointError
from engine.models.activations import Activation
from engine.models.attention import Cache, attend
from engine.models.base import CausalModel, Decoder
from engine.models.config import Epsilon, Heads, Name, Neurons, RotaryArgs
from engine.models.ffn import DenseFFN, in_parallel
from engine.models.rotary import rotary


@dataclass(kw_only=True)
class ModelArgs(RotaryArgs):
    """config.json of a Falcon."""

    activation: Name
    ffn_hidden_size: Neurons = 0
    num_kv_heads: Heads = 0
    num_ln_in_parallel_attn: int | None = None
    new_decoder_architecture: bool = False
    multi_query: bool = True
    parallel_attn: bool = True
    alibi: bool = False
    bias: bool = False
    layer_norm_epsilon: Epsilon = 1e-5
    tie_word_embeddings: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ffn_hidden_size = self.ffn_hidden_size or 4 * self.hidden_size
        self.parallel_attn = self.parallel_attn or self.new_decoder_architecture
        if self.alibi:
            raise CheckpointError("This Falcon has ALiBi positions (alibi), which are not supported; rotary ones are.")

    @property
    def num_key_value_heads(self) -> int:
        """Heads of keys and values: one for all queries, or one for each group of them."""
        if self.multi_query and not self.new_decoder_architecture:
            return 1
        return self.num_kv_heads or self.num_attention_heads

    @property
    def two_norms(self) -> bool:
        """True where attention and FFN, in parallel, have a layer norm each."""
        return self.new_decoder_architecture and self.num_ln_in_parallel_attn in (None, 2)


class Attention(nn.Module):
    """Rotary attention, whose queries, keys and values are one product; groups of heads share keys and values."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        width, dim, self.groups = args.hidden_size, args.head_dim, args.num_key_value_heads
        self.head_dim = dim
        self.scale = dim**-0.5
        self.query_key_value = nn.Linear(width, (args.num_attention_heads + 2 * self.groups) * dim, bias=args.bias)
        self.dense = nn.Linear(width, width, bias=args.bias)
        self.rope = rotary(args)

    def __call__(self, x: mx.array, mask: Mask = None, cache: Cache | None = None) -> mx.array:
        """The attended values of x [batch, length, hidden_size], in its shape."""
        batch, length, _ = x.shape
        # A group's queries, its key and its value lie side by side; multi-query attention is one group.
        fused = self.query_key_value(x).reshape(batch, length, self.groups, -1, self.head_dim)
        queries = fused[..., :-2, :].reshape(batch, length, -1, self.head_dim)
        queries, keys, values = (p.transpose(0, 2, 1, 3) for p in (queries, fused[..., -2, :], fused[..., -1, :]))
        return self.dense(attend(queries, keys, values, cache, mask, self.scale, self.rope))


class DecoderLayer(nn.Module):
    """Attention and FFN side by side, or one after the other."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        self.parallel, self.two_norms = args.parallel_attn, args.two_norms
        self.self_attention = Attention(args)
        self.ffn = DenseFFN(args.hidden_size, args.ffn_hidden_size, Activation(args.activation), args.bias)
        names = ["ln_attn", "ln_mlp"] if self.two_norms else ["input_layernorm"]
        for name in names if self.parallel else ["input_layernorm", "post_attention_layernorm"]:
            self[name] = nn.LayerNorm(args.hidden_size, eps=args.layer_norm_epsilon)

    def __call__(self, x: mx.array, mask: Mask = None, cache: Cache | None = None) -> mx.array:
        """The input of the next layer, [batch, length, hidden_size], as x is."""
        normed = (self.ln_attn if self.two_norms else self.input_layernorm)(x)
        if self.parallel:
            ffn_input = self.ln_mlp(x) if self.two_norms else normed
            return in_parallel(x, lambda: self.self_attention(normed, mask, cache), self.ffn, ffn_input)
        self.ffn.anticipate(self.post_attention_layernorm, x)
        x = added(x, self.self_attention(normed, mask, cache))
        return added(x, self.ffn(self.post_attention_layernorm(x)))


class Model(CausalModel):
    """A Falcon with its head."""

    names: ClassVar = {
        "transformer.word_embeddings.": "model.embed_tokens.",
        "transformer.h.": "model.layers.",
        "transformer.ln_f.": "model.norm.",
        ".mlp.dense_h_to_4h.": ".ffn.up.",
        ".mlp.dense_4h_to_h.": ".ffn.down.",
    }
    unused = (".rotary_emb.inv_freq", ".maybe_rotary.inv_freq")

    def __init__(self, args: ModelArgs):
        norm = nn.LayerNorm(args.hidden_size, eps=args.layer_norm_epsilon)
        super().__init__(args, Decoder(args, DecoderLayer, norm))
