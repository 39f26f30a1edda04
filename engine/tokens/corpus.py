"""Texts to measure and to calibrate on, as token sequences."""

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.errors import FlashbulbError, FlawError
from engine.settings import GenerationOptions
from engine.system.documents import reason
from engine.tokens.prompt import Conversation
from engine.tokens.tokenizer import Tokenizer

MAX_TEXT_BYTES = 500_000_000


@dataclass(frozen=True)
class Sequence:
    """Tokens that belong together, and the bytes of text that they stand for."""

    tokens: list[int]
    bytes: int


@dataclass(frozen=True)
class Corpus:
    """The text of a file: plain, or the turns of conversations. One of the two is empty."""

    path: Path
    plain: str = ""
    conversations: tuple[list[str], ...] = ()

    @classmethod
    def read(cls, path: Path) -> "Corpus":
        """The text of a file or a pipe. A .jsonl or .jsonl.gz file holds conversations, a line `{"turns": [text, ...]}`
        each, the first turn being the user's. Raises FlashbulbError."""
        with _reading(path):
            if holds_conversations(path):
                return cls(path, conversations=tuple(_conversations(path)))
            return cls(path, content_of(path).decode())

    def sequences(self, tokenizer: Tokenizer, options: GenerationOptions | None = None) -> list[Sequence]:
        """A sequence for plain text, one for each conversation. options: of which the format counts. Raises
        FlashbulbError."""
        with _reading(self.path):
            texts = [_render(turns, tokenizer, options or GenerationOptions()) for turns in self.conversations]
            texts = texts or [tokenizer.encode(self.plain)]
            found = [Sequence(tokens, text_bytes(tokens, tokenizer)) for tokens in texts if len(tokens) > 1]
        if not found:
            raise FlashbulbError("{path} holds no text.", path=self.path)
        return found


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error) as error:
        raise FlashbulbError("{path} cannot be read as a text: {error}", path=path, error=reason(error)) from error


def content_of(path: Path) -> bytes:
    """The bytes of a file, or of a pipe, unpacked. Raises FlawError where they do not end; OSError, EOFError,
    zlib.error."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise FlawError("it is absurdly large")
    return content


def talk(path: Path) -> str:
    """The turns of all conversations of a .jsonl.gz file, a line each."""
    return "\n".join(turn for turns in _conversations(path) for turn in turns)


def holds_conversations(path: Path) -> bool:
    """True for a file whose text the chat template frames."""
    return path.name.endswith((".jsonl", ".jsonl.gz"))


def text_bytes(tokens: list[int], tokenizer: Tokenizer) -> int:
    """UTF-8 bytes of the text that tokens stand for, special tokens not counted."""
    return len(tokenizer.decode(tokens, skip_special_tokens=True).encode())


def windows(tokens: list[int], context: int) -> Iterator[tuple[list[int], list[int], int]]:
    """Cut tokens into runs that fit a context: inputs, targets, and how many of these an earlier run has predicted.

    A later run repeats half a context, so that no token is predicted without history. The last input of all has no
    target.
    """
    start = seen = 0
    while True:
        stop = min(start + context, len(tokens))
        yield tokens[start:stop], tokens[start + 1 : stop + 1], seen - start
        if stop >= len(tokens) - 1:
            return
        start, seen = stop - context // 2, stop


def _conversations(path: Path) -> Iterator[list[str]]:
    for line in content_of(path).decode().splitlines():
        if line.strip():
            yield json.loads(line)["turns"]


def _render(turns: list[str], tokenizer: Tokenizer, options: GenerationOptions) -> list[int]:
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)]
    return Conversation(tokenizer, messages, options).ended()
