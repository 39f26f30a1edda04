"""OPT (Zhang et al., 2022): ReLU FFN with biases, learned positions that start two rows late."""

from dataclasses import dataclass

import mlx.core as mx
import mlx.nn as nn
from engine.activations import Activation
from mlx_lm.models.base import BaseModelArgs, create_attention_mask, scaled_dot_product_attention

POSITION_OFFSET = 2


@dataclass
class ModelArgs(BaseModelArgs):
    model_type: str
    hidden_size: int
    ffn_dim: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    vocab_size: int
    word_embed_proj_dim: int = None
    activation_function: str = "relu"
    do_layer_norm_before: bool = True
    enable_bias: bool = True
    layer_norm_elementwise_affine: bool = True
    _remove_final_layer_norm: bool = False
    tie_word_embeddings: bool = True

    def __post_init__(self):
        if self.word_embed_proj_dim is None:
            self.word_embed_proj_dim = self.hidden_size


class Attention(nn.Module):
    def __init__(self, args: ModelArgs):
        super().__init__()
        dim, bias = args.hidden_size, args.enable_bias
        self.heads = args.num_attention_heads
        self.scale = (dim // self.heads) ** -0.5
        self.q_proj = nn.Linear(dim, dim, bias=bias)
        self.k_proj = nn.Linear(dim, dim, bias=bias)
        self.v_proj = nn.Linear(dim, dim, bias=bias)
        self.out_proj = nn.Linear(dim, dim, bias=bias)

    def __call__(self, x: mx.array, mask=None, cache=None) -> mx.array:
        batch, length, dim = x.shape
        split = (batch, length, self.heads, -1)
        queries, keys, values = (
            p(x).reshape(split).transpose(0, 2, 1, 3) for p in (self.q_proj, self.k_proj, self.v_proj)
        )  # [batch, heads, length, dim / heads]
        if cache is not None:
            keys, values = cache.update_and_fetch(keys, values)
        out = scaled_dot_product_attention(queries, keys, values, cache=cache, scale=self.scale, mask=mask)
        return self.out_proj(out.transpose(0, 2, 1, 3).reshape(batch, length, dim))


class FFN(nn.Module):
    """The dense FFN. A prepared model has a streamed one in its place."""

    activation = Activation("relu")

    def __init__(self, args: ModelArgs):
        super().__init__()
        self.fc1 = nn.Linear(args.hidden_size, args.ffn_dim, bias=args.enable_bias)
        self.fc2 = nn.Linear(args.ffn_dim, args.hidden_size, bias=args.enable_bias)

    def __call__(self, x: mx.array) -> mx.array:
        return self.fc2(nn.relu(self.fc1(x)))

    def bundle_parts(self) -> tuple[mx.array, mx.array]:
        """The rows `[up | down]` that make up the bundles, each [neurons, hidden_size]."""
        return self.fc1.weight, self.fc2.weight.T

    def biases(self) -> tuple[mx.array | None, mx.array | None]:
        """Bias of the bundles' first part [neurons] and of the down projection [hidden_size]."""
        return self.fc1.get("bias"), self.fc2.get("bias")


class DecoderLayer(nn.Module):
    def __init__(self, args: ModelArgs):
        super().__init__()
        self.norm_before = args.do_layer_norm_before
        affine = args.layer_norm_elementwise_affine
        self.self_attn = Attention(args)
        self.self_attn_layer_norm = nn.LayerNorm(args.hidden_size, affine=affine)
        self.ffn = FFN(args)
        self.final_layer_norm = nn.LayerNorm(args.hidden_size, affine=affine)

    def __call__(self, x: mx.array, mask=None, cache=None) -> mx.array:
        if self.norm_before:
            x = x + self.self_attn(self.self_attn_layer_norm(x), mask, cache)
            return x + self.ffn(self.final_layer_norm(x))
        x = self.self_attn_layer_norm(x + self.self_attn(x, mask, cache))
        return self.final_layer_norm(x + self.ffn(x))


class Decoder(nn.Module):
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
        """What the head multiplies: the last layer's output, normed and projected."""
        if "final_layer_norm" in self:
            x = self.final_layer_norm(x)
        if "project_out" in self:
            x = self.project_out(x)
        return x


class Model(nn.Module):
    def __init__(self, args: ModelArgs):
        super().__init__()
        self.args = args
        self.model_type = args.model_type
        self.model = Decoder(args)
        if not args.tie_word_embeddings:
            self.lm_head = nn.Linear(args.word_embed_proj_dim, args.vocab_size, bias=False)

    def __call__(self, tokens: mx.array, cache=None, last_only: bool = False) -> mx.array:
        """Logits [batch, length, vocabulary] (length 1 with `last_only`) of tokens [batch, length]."""
        cache = cache or [None] * len(self.layers)
        x = self.embed(tokens, cache[0].offset if cache[0] is not None else 0)
        mask = create_attention_mask(x, cache[0])
        for layer, layer_cache in zip(self.layers, cache, strict=True):
            x = layer(x, mask, layer_cache)
        return self.logits(x[:, -1:] if last_only else x)

    def embed(self, tokens: mx.array, offset: int = 0) -> mx.array:
        return self.model.embed(tokens, offset)

    def logits(self, x: mx.array) -> mx.array:
        x = self.model.finish(x)
        return self.model.embed_tokens.as_linear(x) if self.args.tie_word_embeddings else self.lm_head(x)

    @property
    def layers(self):
        return self.model.layers

    def sanitize(self, weights: dict[str, mx.array]) -> dict[str, mx.array]:
        """A checkpoint's names as this file's: older files lack the `model.` prefix, fc1 and fc2 belong to the FFN."""
        renamed = {}
        for name, weight in weights.items():
            name = name.removeprefix("model.").removeprefix("decoder.")
            if name == "lm_head.weight":
                if not self.args.tie_word_embeddings:
                    renamed[name] = weight
                continue
            name = name.replace(".fc1.", ".ffn.fc1.").replace(".fc2.", ".ffn.fc2.")
            renamed[f"model.{name}"] = weight
        return renamed
