"""Checkpoints of a model that says what it is told to: for tests of what becomes of an answer's tokens."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from tests.helpers.tokenizers import write_tokenizer_files

SPECIAL = ("<|im_start|>", "<|im_end|>", "<|go|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|go|>{% endif %}"
)
NEURONS = 32


def write_scripted(
    folder: Path,
    says: Sequence[str | bytes],
    then: str | None = None,
    template: str | None = TEMPLATE,
    special: Sequence[str] = SPECIAL,
    padding: int = 0,
    config: dict[str, Any] | None = None,
    generation: dict[str, Any] | None = None,
    **settings: Any,
) -> Path:
    """A Llama of one layer with ReLU that says one piece a token after `<|go|>`, and then `</s>`, or `then` for ever.

    says: pieces, each of which becomes a token of its own; bytes are single ones, of half characters. then: a piece, or
    "padding" for a row of the vocabulary that no token has. padding: such rows. settings: of tokenizer_config.json.
    """
    tokenizer = _tokenizer(special)
    pieces = [piece for piece in (*says, then) if isinstance(piece, str) and piece != "padding"]
    tokenizer.add_tokens(
        [AddedToken(piece, normalized=False) for piece in dict.fromkeys(pieces) if piece not in special]
    )
    size = -(-(tokenizer.get_vocab_size() + padding) // 4) * 4
    chain = [tokenizer.token_to_id(special[-1]), *(_id(tokenizer, piece) for piece in says)]
    following = np.full(size, tokenizer.token_to_id("</s>"))
    following[chain[:-1]] = chain[1:]
    if then is not None:
        following[chain[-1]] = size - 1 if then == "padding" else _id(tokenizer, then)
    write_tokenizer_files(folder, tokenizer, template, **settings)
    _write_model(folder, size, following, config or {})
    (folder / "generation_config.json").write_text(json.dumps(generation or {}))
    return folder


def _tokenizer(special: Sequence[str]) -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = ["<s>", "<pad>", "</s>", *alphabet]
    tokenizer = Tokenizer(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", *special])
    return tokenizer


def _id(tokenizer: Tokenizer, piece: str | bytes) -> int:
    if isinstance(piece, str):
        found = tokenizer.token_to_id(piece)
    else:  # the name of a byte: what a byte-level tokenizer calls it
        found = next(i for i in range(3, 259) if _byte(tokenizer.id_to_token(i)) == piece)
    assert found is not None
    return found


def _byte(name: str) -> bytes:
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    code = ord(name)
    return bytes([code if code in plain else others[code - 256]])


def _write_model(folder: Path, size: int, following: np.ndarray, config: dict[str, Any]) -> None:
    """Embeddings are one-hot, attention and FFN add nothing, and the head names what follows."""
    random = np.random.default_rng(0)
    head = np.zeros((size, size), np.float16)
    head[following, np.arange(size)] = 5
    layer = "model.layers.0"
    weights = {"model.embed_tokens.weight": np.eye(size, dtype=np.float16), "lm_head.weight": head}
    weights |= {f"{layer}.self_attn.{part}_proj.weight": np.zeros((size, size), np.float16) for part in "qkvo"}
    norms = ("model.norm", f"{layer}.input_layernorm", f"{layer}.post_attention_layernorm")
    weights |= {f"{norm}.weight": np.ones(size, np.float16) for norm in norms}
    for part in ("gate", "up"):
        values = 0.1 * random.standard_normal((NEURONS, size))
        weights[f"{layer}.mlp.{part}_proj.weight"] = values.astype(np.float16)
    weights[f"{layer}.mlp.down_proj.weight"] = np.zeros((size, NEURONS), np.float16)
    save_file(weights, folder / "model.safetensors")
    content = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "relu",
        "vocab_size": size,
        "hidden_size": size,
        "intermediate_size": NEURONS,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
        "dtype": "float16",
    }
    (folder / "config.json").write_text(json.dumps(content | config))
