"""The tokenizer of a prepared model, and the tokens that end its answers."""

import json

from mlx_lm.tokenizer_utils import load as load_tokenizer

from engine.store.manifest import PreparedModel


def tokenizer_of(prepared: PreparedModel):
    """mlx-lm's tokenizer wrapper; None for a checkpoint that came without one."""
    if not (prepared.folder / "tokenizer_config.json").is_file():
        return None
    return load_tokenizer(prepared.folder, eos_token_ids=_eos_ids(prepared))


def _eos_ids(prepared: PreparedModel) -> list[int]:
    """Ids that end an answer: generation_config.json's, else config.json's."""
    path = prepared.folder / "generation_config.json"
    generation = json.loads(path.read_text()) if path.is_file() else {}
    ids = generation.get("eos_token_id", prepared.config.get("eos_token_id"))
    return ids if isinstance(ids, list) else [] if ids is None else [ids]
