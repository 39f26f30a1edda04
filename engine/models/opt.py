"""OPT (Zhang et al., 2022): ReLU FFN with biases, learned positions that start two rows late."""

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn

from engine.arrays.attention import Mask
from engine.arrays.layers import added, in_heads
from engine.models import config
from engine.models.activations import Activation
from engine.models.attention import Cache, attend
from engine.models.base import CausalModel
from engine.models.ffn import DenseFFN

POSITION_OFFSET = 2


@dataclass(kw_only=True)
class ModelArgs(config.ModelArgs):
    """config.json of an OPT. word_embed_proj_dim: the width of embeddings, where it is not that of the layers."""

    ffn_dim: config.Neurons
    word_embed_proj_dim: config.Width = 0
    activation_function: config.Name = "relu"
    do_layer_norm_before: bool = True
    enable_bias: bool = True
    layer_norm_elementwise_affine: bool = True
    _remove_final_layer_norm: bool = False
    tie_word_embeddings: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.word_embed_proj_dim = self.word_embed_proj_dim or self.hidden_size


class Attention(nn.Module):
    """Attention with learned positions: every head has keys and values of its own."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        dim, bias = args.hidden_size, args.enable_bias
        self.head_dim = dim // args.num_attention_heads
        self.scale = self.head_dim**-0.5
        self.q_proj = nn.Linear(dim, dim, bias=bias)
        self.k_proj = nn.Linear(dim, dim, bias=bias)
        self.v_proj = nn.Linear(dim, dim, bias=bias)
        self.out_proj = nn.Linear(dim, dim, bias=bias)

    def __call__(self, x: mx.array, mask: Mask = None, cache: Cache | None = None) -> mx.array:
        """The attended values of x [batch, length, hidden_size], in its shape."""
        queries, keys, values = (in_heads(p(x), self.head_dim) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(attend(queries, keys, values, cache, mask, self.scale))


class DecoderLayer(nn.Module):
    """Attention, then FFN, each with a layer norm before or after it."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        self.norm_before = args.do_layer_norm_before
        affine = args.layer_norm_elementwise_affine
        self.self_attn = Attention(args)
        self.self_attn_layer_norm = nn.LayerNorm(args.hidden_size, affine=affine)
        self.ffn = DenseFFN(args.hidden_size, args.ffn_dim, Activation(args.activation_function), args.enable_bias)
        self.final_layer_norm = nn.LayerNorm(args.hidden_size, affine=affine)

    def __call__(self, x: mx.array, mask: Mask = None, cache: Cache | None = None) -> mx.array:
        """The input of the next layer, [batch, length, hidden_size], as x is."""
        if self.norm_before:
            self.ffn.anticipate(self.final_layer_norm, x)
            x = added(x, self.self_attn(self.self_attn_layer_norm(x), mask, cache))
            return added(x, self.ffn(self.final_layer_norm(x)))
        self.ffn.anticipate(self.self_attn_layer_norm, x)
        x = self.self_attn_layer_norm(added(x, self.self_attn(x, mask, cache)))
        return self.final_layer_norm(added(x, self.ffn(x)))


class Decoder(nn.Module):
    """Embeddings of tokens and of positions, layers, and what is between the last one and the head."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        self.embed_tokens = nn.Embedding(args.vocab_size, args.word_embed_proj_dim)
        self.embed_positions = nn.Embedding(args.max_position_embeddings + POSITION_OFFSET, args.hidden_size)
        if args.word_embed_proj_dim != args.hidden_size:
            self.project_in = nn.Linear(args.word_embed_proj_dim, args.hidden_size, bias=False)
            self.project_out = nn.Linear(args.hidden_size, args.word_embed_proj_dim, bias=False)
        self.layers = [DecoderLayer(args) for _ in range(args.num_hidden_layers)]
        if args.do_layer_norm_before and not args._remove_final_layer_norm:
            self.final_layer_norm = nn.LayerNorm(args.hidden_size, affine=args.layer_norm_elementwise_affine)

    def embed(self, tokens: mx.array, offset: int) -> mx.array:
        """Input of the first layer, [batch, length, hidden_size], for tokens that follow `offset` others."""
        x = self.embed_tokens(tokens)
        if "project_in" in self:
            x = self.project_in(x)
        first = offset + POSITION_OFFSET
        return x + self.embed_positions.weight[first : first + tokens.shape[1]]

    def finish(self, x: mx.array) -> mx.array:
        """The vectors that the head multiplies: the last layer's output, normed and projected."""
        if "final_layer_norm" in self:
            x = self.final_layer_norm(x)
        if "project_out" in self:
            x = self.project_out(x)
        return x


class Model(CausalModel):
    """An OPT with its head, which is its embeddings where the config ties them."""

    def __init__(self, args: ModelArgs):
        super().__init__(args, Decoder(args))

    def rename(self, name: str) -> str | None:
        """Older files lack the `model.` prefix; fc1 and fc2 belong to the FFN."""
        name = name.removeprefix("model.").removeprefix("decoder.")
        if name == "lm_head.weight":
            return None if self.args.tie_word_embeddings else name
        return "model." + name.replace(".fc1.", ".ffn.up.").replace(".fc2.", ".ffn.down.")
