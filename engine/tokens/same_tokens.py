"""The comparison of two models' tokens, by the files of their tokenizers alone: nothing of these is run."""

import filecmp
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import MsgspecError, json

from engine.system.documents import read_bytes
from engine.tokens.files import TABLES, TOKENIZER_COMPANIONS

MAX_TABLE_BYTES = 200_000_000
ADDED = "added_tokens.json"  # beside a vocab.json
MERGES = "merges.txt"  # says how texts become tokens, not what these are


@dataclass(frozen=True)
class _Added:
    id: int
    content: str


@dataclass(frozen=True)
class _Model:
    """The tokens by their texts, or in order, each with a score."""

    vocab: dict[str, int] | list[tuple[str, float]]


@dataclass(frozen=True)
class _Tokenizer:
    """A tokenizer.json."""

    model: _Model
    added_tokens: list[_Added] = field(default_factory=list)


def same_tokens(folder: Path, other: Path) -> bool:
    """True if each token of the model in `folder` is one of the other's, under the same id. That may have more. False
    where the files cannot be compared."""
    try:
        tables = _table(folder), _table(other)
        if None in tables:
            return False
        if _equal(folder, other):
            return True
        ids, others = _ids(folder), _ids(other)
    except (OSError, ValueError, MsgspecError, RecursionError):
        return False
    return bool(ids) and ids.items() <= others.items()


def _table(folder: Path) -> str | None:
    """The name of the file that the tokenizer is read from."""
    return next((name for name in TABLES if (folder / name).is_file()), None)


def _equal(folder: Path, other: Path) -> bool:
    """True if both have the same files, byte by byte."""
    table = _table(folder)
    names = [name for name in (table, *TOKENIZER_COMPANIONS) if name and name != MERGES]
    pairs = [(folder / name, other / name) for name in names]
    return _table(other) == table and all(
        filecmp.cmp(one, two, shallow=False) if one.is_file() and two.is_file() else one.is_file() == two.is_file()
        for one, two in pairs
    )


def _ids(folder: Path) -> dict[str, int]:
    """The ids of tokens by their texts; none where only a library reads the files. Raises OSError, ValueError,
    MsgspecError."""
    table = _table(folder)
    if table == "vocab.json":
        added = _numbers(folder / ADDED) if (folder / ADDED).is_file() else {}
        return _numbers(folder / table) | added
    if table != TABLES[0]:
        return {}
    read = json.decode(read_bytes(folder / table, MAX_TABLE_BYTES), type=_Tokenizer)
    vocabulary = read.model.vocab
    ids = vocabulary if isinstance(vocabulary, dict) else {text: i for i, (text, _) in enumerate(vocabulary)}
    return ids | {token.content: token.id for token in read.added_tokens}


def _numbers(path: Path) -> dict[str, int]:
    return json.decode(read_bytes(path, MAX_TABLE_BYTES), type=dict[str, int])
