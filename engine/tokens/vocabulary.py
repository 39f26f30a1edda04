"""The vocabulary as bytes: what each token adds to a text, for whoever holds answers to a grammar, byte by byte."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

from llguidance import LLTokenizer

from engine.errors import SchemaError

SPACE = "▁"  # for a space, in the names of SentencePiece's tokens
OF_SENTENCEPIECE = ("Metaspace", "ByteFallback", SPACE)  # one of these is in a decoder that knows such names
PLAIN_BYTES = (*range(33, 127), *range(161, 173), *range(174, 256))  # whose names are themselves, of byte-level tokens


def _byte_names() -> Mapping[str, int]:
    """The names of bytes in byte-level vocabularies, as GPT-2 introduced them."""
    others = [byte for byte in range(256) if byte not in PLAIN_BYTES]
    return {chr(byte): byte for byte in PLAIN_BYTES} | {chr(256 + i): byte for i, byte in enumerate(others)}


BYTE_NAMES = _byte_names()


class Named(Protocol):
    """A tokenizer, as far as the bytes of its tokens are told by their names. library: transformers' own. special: ids
    that are never text."""

    library: Any
    special: frozenset[int]

    @property
    def ids(self) -> frozenset[int]:
        """Every id that stands for something."""

    @property
    def added(self) -> Mapping[str, int]:
        """Tokens beside the vocabulary, to their ids."""

    @property
    def steering(self) -> frozenset[int]:
        """Ids of tokens that steer."""

    @property
    def eos_token_ids(self) -> frozenset[int]:
        """All ids that end an answer."""

    def mark(self, said: Any) -> Any:
        """A text in which nothing is a special token."""

    def encode_marked(self, text: str) -> list[int]:
        """Token ids of a text that is marked."""


class Vocabulary:
    """A tokenizer's tokens as bytes. Raises SchemaError for a kind of tokenizer whose tokens are not known as such."""

    def __init__(self, tokenizer: Named):
        self._tokenizer = tokenizer
        self.has_spaces = _kind(tokenizer.library) == "spaces"
        self.tokens = self._tokens()

    def _tokens(self) -> Sequence[bytes]:
        """The bytes of each id from 0; of a token beside the vocabulary its name's, and none of an id for nothing."""
        of, ids = (_spaced if self.has_spaces else _byte_level), self._tokenizer.ids
        names = self._tokenizer.library.convert_ids_to_tokens(range(max(ids) + 1))
        added = self._tokenizer.added
        return [
            b"" if i not in ids or name is None else name.encode() if name in added else of(name)
            for i, name in enumerate(names)
        ]

    @cached_property
    def matching(self) -> LLTokenizer:
        """The vocabulary as llguidance has it. Its special tokens are those that steer: no text makes them."""
        source = _Source(self._tokenizer, self.tokens)
        ends = sorted(i for i in self._tokenizer.eos_token_ids if i < len(self.tokens))
        made = LLTokenizer(source, n_vocab=len(self.tokens), eos_token=ends or None)  # type: ignore[arg-type]
        source.greedily = made.greedy_tokenize
        return made


class _Source:
    """A tokenizer under the names that llguidance asks for."""

    is_tokenizer_wrapper = True

    def __init__(self, tokenizer: Named, tokens: Sequence[bytes]):
        self.tokens, self._tokenizer = tokens, tokenizer
        self.bos_token_id, self.special_token_ids = None, sorted(tokenizer.steering)
        self.eos_token_id = min(tokenizer.eos_token_ids, default=0)
        self.greedily: Any = lambda _text: []

    def __call__(self, text: str | bytes) -> list[int]:
        """The tokens that stand for a text, as the tokenizer would write it; else others that do."""
        letters = text.decode(errors="replace") if isinstance(text, bytes) else text
        found = self._tokenizer.encode_marked(self._tokenizer.mark(letters))
        whole = b"".join(self.tokens[token] for token in found if token not in self._tokenizer.special)
        return found if whole == letters.encode() else list(self.greedily(letters))


def _kind(library: Any) -> str:
    """The way in which a library's tokens are named: `bytes` or `spaces`."""
    decoder = repr(getattr(getattr(library, "backend_tokenizer", None), "decoder", SPACE))
    if "ByteLevel" in decoder:
        return "bytes"
    if any(name in decoder for name in OF_SENTENCEPIECE):
        return "spaces"
    raise SchemaError("Answers of this model cannot be held to a schema: its tokenizer is of an unusual kind.")


def _byte_level(name: str) -> bytes:
    known = [BYTE_NAMES.get(letter) for letter in name]
    return name.encode() if None in known else bytes(byte for byte in known if byte is not None)


def _spaced(name: str) -> bytes:
    is_byte = len(name) == 6 and name.startswith("<0x") and name.endswith(">")
    return bytes([int(name[3:5], 16)]) if is_byte else name.replace(SPACE, " ").encode()
