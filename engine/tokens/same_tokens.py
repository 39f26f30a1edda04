"""The comparison of two models' tokens, by the files of their tokenizers alone: nothing of these is run."""

import filecmp
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from msgspec import MsgspecError, json

from engine.system.documents import read_bytes
from engine.system.files import stamp
from engine.tokens.files import TABLES, TOKENIZER_COMPANIONS

MAX_TABLE_BYTES = 200_000_000
ADDED = "added_tokens.json"  # beside a vocab.json
MERGES = "merges.txt"  # says how texts become tokens, not what these are
_Stamps = tuple[tuple[str, int, int], ...]  # of files: path, bytes, when they were last changed
_COMPARED: dict[tuple[_Stamps, _Stamps], bool] = {}  # what was found in this process


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


class Comparison:
    """The tokens of one model beside those of others. Its files are read once, however many others there are, and none
    that is as it was when they were last compared.

    Not for long: the ids stay in memory with it.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    def holds(self, other: Path) -> bool:
        """True if each token of the model is one of the other's, under the same id. That may have more. False where the
        files cannot be compared."""
        try:
            both = _stamps(self._folder), _stamps(other)
            if both not in _COMPARED:
                _COMPARED[both] = self._compared(other)
        except (OSError, ValueError, MsgspecError, RecursionError):
            return False
        return _COMPARED[both]

    def _compared(self, other: Path) -> bool:
        if None in (_table(self._folder), _table(other)):
            return False
        return _equal(self._folder, other) or (bool(self._own) and self._own.items() <= _ids(other).items())

    @cached_property
    def _own(self) -> dict[str, int]:
        return _ids(self._folder)


def same_tokens(folder: Path, other: Path) -> bool:
    """The same, of two models alone."""
    return Comparison(folder).holds(other)


def _stamps(folder: Path) -> _Stamps:
    """The state of the files that say what a model's tokens are."""
    paths = [folder / name for name in (*TABLES, *TOKENIZER_COMPANIONS)]
    return tuple((str(path), *stamp(path)) for path in paths if path.is_file())


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
