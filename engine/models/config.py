"""A model's config.json, as a dataclass of bounded values for each architecture.

Sizes decide what is allocated, so that they are checked before anything is built. Each bound is some ten times what
exists.
"""

from dataclasses import dataclass
from typing import Annotated, Self

from msgspec import Meta

from engine.errors import FlawError
from engine.system.documents import typed

Width = Annotated[int, Meta(ge=1, le=1_000_000)]
Neurons = Annotated[int, Meta(ge=1, le=10_000_000)]
HeadWidth = Annotated[int, Meta(ge=1, le=100_000)]
Heads = Annotated[int, Meta(ge=1, le=10_000)]
Layers = Annotated[int, Meta(ge=1, le=1_000)]
Positions = Annotated[int, Meta(ge=1, le=100_000_000)]
Vocabulary = Annotated[int, Meta(ge=1, le=10_000_000)]
Epsilon = Annotated[float, Meta(ge=0, le=1)]
Base = Annotated[float, Meta(gt=0, le=1e15)]  # of rotary frequencies
Factor = Annotated[float, Meta(gt=0, le=1e6)]
Share = Annotated[float, Meta(gt=0, le=1)]
Threshold = Annotated[float, Meta(ge=-1e6, le=1e6)]
Name = Annotated[str, Meta(min_length=1, max_length=100)]


@dataclass(kw_only=True)
class RotaryScaling:
    """Rotary positions as `rope_scaling`, or newer configs' `rope_parameters`, ask for them."""

    type: Name | None = None
    rope_type: Name | None = None
    rope_theta: Base | None = None
    partial_rotary_factor: Share | None = None
    factor: Factor | None = None
    low_freq_factor: Factor | None = None
    high_freq_factor: Factor | None = None
    beta_fast: Factor | None = None
    beta_slow: Factor | None = None
    original_max_position_embeddings: Positions | None = None
    attention_factor: Factor | None = None
    mscale: Factor | None = None
    mscale_all_dim: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    truncate: bool | None = None

    @property
    def kind(self) -> str:
        """The name of the scaling."""
        return self.rope_type or self.type or "default"

    def given(self) -> dict[str, object]:
        """The values that the config gives, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(kw_only=True)
class ModelArgs:
    """The values that every architecture has; a size of 0 is one that the config leaves to its architecture."""

    model_type: Name
    hidden_size: Width
    num_hidden_layers: Layers
    num_attention_heads: Heads
    vocab_size: Vocabulary
    max_position_embeddings: Positions = 2048
    tie_word_embeddings: bool = False

    @classmethod
    def parse(cls, config: dict[str, object]) -> Self:
        """A config of Hugging Face's, where a null is a value that is not given.

        Raises FlawError for what is missing or out of bounds.
        """
        return typed({name: value for name, value in config.items() if value is not None}, cls)

    def __post_init__(self) -> None:
        shared(self.num_key_value_heads, self.num_attention_heads)
        _ = self.head_dim

    @property
    def head_dim(self) -> int:
        """The width of an attention head."""
        return shared(self.num_attention_heads, self.hidden_size)

    @property
    def num_key_value_heads(self) -> int:
        """Heads of keys and values, each shared by a group of queries' heads."""
        return self.num_attention_heads

    @property
    def key_width(self) -> int:
        """Elements of a layer's keys for one token, and of its values."""
        return self.num_key_value_heads * self.head_dim


@dataclass(kw_only=True)
class RotaryArgs(ModelArgs):
    """The values of an architecture with rotary positions."""

    rope_theta: Base = 10000.0
    rope_scaling: RotaryScaling | None = None
    rope_parameters: RotaryScaling | None = None


@dataclass(kw_only=True)
class GroupedArgs(RotaryArgs):
    """The values of an architecture with Llama's attention, whose heads of keys and values may be fewer."""

    intermediate_size: Neurons
    hidden_act: Name
    num_key_value_heads: Heads = 0
    head_dim: HeadWidth = 0
    attention_bias: bool = False
    mlp_bias: bool = False

    def __post_init__(self) -> None:
        self.num_key_value_heads = self.num_key_value_heads or self.num_attention_heads
        self.head_dim = self.head_dim or shared(self.num_attention_heads, self.hidden_size)
        super().__post_init__()


def shared(parts: int, whole: int) -> int:
    """The share of each of so many parts. Raises FlawError where they cannot have equal ones."""
    if whole % parts:
        raise FlawError("{parts} attention heads cannot share {whole} evenly", parts=parts, whole=whole)
    return whole // parts
