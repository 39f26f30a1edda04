"""The shape of a model: what its config says about size."""

from dataclasses import dataclass

from engine.arrays.dtypes import DTYPES
from engine.errors import CheckpointError
from engine.store.bundle_file import padded_row_bytes

CONTEXT = 2048  # tokens, where nobody says
GATED = ("bamboo", "llama", "mistral", "sparsellama")


@dataclass(frozen=True)
class ModelShape:
    """What a config says about size. parts: rows of a bundle. key_width: of a layer's keys, in elements. parallel:
    whether attention and FFN are side by side."""

    layers: int
    width: int
    neurons: int
    parts: int
    vocabulary: int
    key_width: int
    tied: bool
    context: int
    dtype: str
    compute_dtype: str
    parallel: bool = False

    @classmethod
    def from_config(cls, config: dict, dtype: str | None = None, compute_dtype: str | None = None) -> "ModelShape":
        """dtype: as stored, None takes the config's; compute_dtype: as computed and resident, None for the same.

        Raises CheckpointError if the config does not say enough.
        """
        dtype = dtype or config.get("torch_dtype") or config.get("dtype") or "float16"
        try:
            width, heads = config["hidden_size"], config["num_attention_heads"]
            head = config.get("head_dim") or width // heads
            neurons = config.get("ffn_dim") or config.get("ffn_hidden_size") or config.get("intermediate_size")
            return cls(
                layers=config["num_hidden_layers"],
                width=width,
                neurons=neurons or 4 * width,
                parts=3 if config["model_type"] in GATED else 2,
                vocabulary=config["vocab_size"],
                key_width=head * _key_heads(config, heads),
                tied=config.get("tie_word_embeddings", config["model_type"] in ("opt", "falcon")),
                context=min(config.get("max_position_embeddings") or CONTEXT, CONTEXT),
                dtype=dtype if dtype in DTYPES else "float16",
                compute_dtype=compute_dtype or (dtype if dtype in DTYPES else "float16"),
                parallel=_parallel(config),
            )
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                "config.json does not say how large the model is: {error} is missing.", error=error
            ) from error

    @property
    def row_bytes(self) -> int:
        return padded_row_bytes(self.parts * self.width * DTYPES[self.dtype].size)

    @property
    def item_bytes(self) -> int:
        """Of an element of the resident weights."""
        return DTYPES[self.compute_dtype].size

    @property
    def ffn_bytes(self) -> int:
        """Of all bundles, with their padding."""
        return self.layers * self.neurons * self.row_bytes

    @property
    def attention_bytes(self) -> int:
        return self.layers * self.width * (2 * self.width + 2 * self.key_width) * self.item_bytes

    @property
    def embedding_bytes(self) -> int:
        """One table; it is the head as well where the two are tied."""
        return self.vocabulary * self.width * self.item_bytes

    @property
    def resident_bytes(self) -> int:
        return self.attention_bytes + self.embedding_bytes * (1 if self.tied else 2)

    @property
    def model_bytes(self) -> int:
        """What naive loading reads for every token."""
        return self.resident_bytes + self.ffn_bytes

    def kv_cache_bytes(self, context: int) -> int:
        return 2 * self.layers * context * self.key_width * self.item_bytes


def _parallel(config: dict) -> bool:
    if config["model_type"] == "falcon":
        return bool(config.get("new_decoder_architecture") or config.get("parallel_attn", True))
    return config["model_type"] == "phi"


def _key_heads(config: dict, heads: int) -> int:
    if config["model_type"] == "falcon" and not config.get("new_decoder_architecture"):
        return 1 if config.get("multi_query", True) else heads
    return config.get("num_key_value_heads") or config.get("num_kv_heads") or heads
