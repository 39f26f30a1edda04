"""The tokenizer of a prepared model, and the tokens that end its answers."""

from mlx_lm.tokenizer_utils import load as load_tokenizer

from engine.errors import PreparedModelError
from engine.store.manifest import PreparedModel
from engine.system.documents import PREPARE_AGAIN, parsing, read_json


def tokenizer_of(prepared: PreparedModel):
    """mlx-lm's tokenizer wrapper; None for a checkpoint that came without one."""
    if not (prepared.folder / "tokenizer_config.json").is_file():
        return None
    with parsing(prepared.folder / "tokenizer.json", PreparedModelError, PREPARE_AGAIN):
        return load_tokenizer(prepared.folder, {"trust_remote_code": False}, eos_token_ids=_eos_ids(prepared))


def _eos_ids(prepared: PreparedModel) -> list[int]:
    """Ids that end an answer: generation_config.json's, else config.json's."""
    path = prepared.folder / "generation_config.json"
    generation = read_json(path) if path.is_file() else {}
    ids = generation.get("eos_token_id", prepared.config.get("eos_token_id"))
    listed = ids if isinstance(ids, list) else [ids]
    return [number for number in listed if type(number) is int and number >= 0]
