"""The tokenizer that a GGUF file's metadata hold, as files that transformers read."""

import json
from pathlib import Path
from typing import Any

from engine.errors import CheckpointError
from engine.store.gguf import GGUFFile, Value
from engine.system.documents import parsing
from engine.text import Text

DIGIT_SPLITTERS = ("smollm", "starcoder", "refact", "command-r", "exaone")  # by `tokenizer.ggml.pre`


def write_tokenizer(file: GGUFFile, architecture: str, folder: Path) -> None:
    """tokenizer.json and tokenizer_config.json, as transformers makes them of such metadata."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_TOKENIZER_MAPPING, convert_gguf_tokenizer

    with parsing(file.path, CheckpointError, Text("Get the same model in MLX's form (safetensors).")):
        renames = GGUF_TOKENIZER_MAPPING["tokenizer"]
        found = {name: file.metadata.get(f"tokenizer.{key}") for key, name in renames.items()}
        known = {name: value for name, value in found.items() if value is not None}
        tokenizer, _ = convert_gguf_tokenizer(architecture, known)
        if known.get("pre_tokenizer_type") in DIGIT_SPLITTERS:
            tokenizer.pre_tokenizer = _digits_apart()
        tokenizer.save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(json.dumps(_tokenizer_config(file.metadata)), encoding="utf-8")


def _digits_apart() -> Any:
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )


def _tokenizer_config(metadata: dict[str, Value]) -> dict[str, Any]:
    tokens = metadata.get("tokenizer.ggml.tokens")
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    for part, key in {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}.items():
        number = metadata.get(f"tokenizer.ggml.{key}_token_id")
        if isinstance(tokens, list) and type(number) is int and 0 <= number < len(tokens):
            config[f"{part}_token"] = tokens[number]
    for name in ("add_bos_token", "add_eos_token"):
        if isinstance(metadata.get(f"tokenizer.ggml.{name}"), bool):
            config[name] = metadata[f"tokenizer.ggml.{name}"]
    if isinstance(metadata.get("tokenizer.chat_template"), str):
        config["chat_template"] = metadata["tokenizer.chat_template"]
    return config
