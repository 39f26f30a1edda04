"""The model that every architecture is: embed, run the layers, multiply with the head."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.models.base import create_attention_mask

from engine.models.attention import Cache
from engine.models.config import ModelArgs


class Decoder(nn.Module):
    """Embeddings without positions, layers, and a norm. An architecture with more to it has a decoder of its own."""

    def __init__(self, args: Any, layer: Callable[[Any], nn.Module], norm: nn.Module):
        super().__init__()
        self.embed_tokens = nn.Embedding(args.vocab_size, args.hidden_size)
        self.layers = [layer(args) for _ in range(args.num_hidden_layers)]
        self.norm = norm

    def embed(self, tokens: mx.array, _offset: int) -> mx.array:
        """The input of the first layer, [batch, length, hidden_size], for tokens [batch, length]."""
        return self.embed_tokens(tokens)

    def finish(self, x: mx.array) -> mx.array:
        """The vectors that the head multiplies, [batch, length, hidden_size]."""
        return self.norm(x)


class CausalModel(nn.Module):
    """A decoder and its head. An architecture brings the decoder, and says what a checkpoint calls its weights.

    names: parts of a checkpoint's names, and what they are here. unused: parts of names of weights that are not needed.
    """

    names: ClassVar[dict[str, str]] = {}
    unused: ClassVar[tuple[str, ...]] = ()

    def __init__(self, args: ModelArgs, decoder: Any, head_bias: bool = False):
        super().__init__()
        self.args = args
        self.model_type = args.model_type
        self.model = decoder
        if not args.tie_word_embeddings:
            vocabulary, width = decoder.embed_tokens.weight.shape
            self.lm_head = nn.Linear(width, vocabulary, bias=head_bias)

    def __call__(
        self, tokens: mx.array, cache: Sequence[Cache | None] | None = None, last_only: bool = False
    ) -> mx.array:
        """Logits [batch, length, vocabulary] (length 1 with `last_only`) of tokens [batch, length]."""
        cache = cache or [None] * len(self.layers)
        x = self.embed(tokens, cache[0].offset if cache[0] is not None else 0)
        mask = create_attention_mask(x, cache[0])
        for layer, layer_cache in zip(self.layers, cache, strict=True):
            x = layer(x, mask, layer_cache)
        return self.logits(x[:, -1:] if last_only else x)

    @property
    def layers(self) -> list[nn.Module]:
        """The decoder's layers, from the first."""
        return self.model.layers

    def embed(self, tokens: mx.array, offset: int = 0) -> mx.array:
        """Input of the first layer, [batch, length, hidden_size], for tokens that follow `offset` others."""
        return self.model.embed(tokens, offset)

    def logits(self, x: mx.array) -> mx.array:
        """Logits [batch, length, vocabulary] of the last layer's output."""
        x = self.model.finish(x)
        return self.model.embed_tokens.as_linear(x) if self.args.tie_word_embeddings else self.lm_head(x)

    @property
    def head(self) -> str:
        """Name of the matrix that makes logits: `<head>.weight` [vocabulary, ...], beside it perhaps `<head>.bias`."""
        return "model.embed_tokens" if self.args.tie_word_embeddings else "lm_head"

    def rename(self, name: str) -> str | None:
        """The name here of a checkpoint's weight; None for one that is not needed."""
        if (name == "lm_head.weight" and self.args.tie_word_embeddings) or any(part in name for part in self.unused):
            return None
        for theirs, ours in self.names.items():
            name = name.replace(theirs, ours)
        return name
