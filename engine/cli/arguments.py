"""Arguments that several commands take, and how texts, paths, sizes and numbers are read."""

import argparse
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, Protocol

from engine.cli.output import one_line
from engine.errors import PromptError
from engine.settings import DRAFTS, OPTION_RANGES, SELECTIONS, Settings
from engine.system.folders import given_path
from engine.text import shown

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
MAX_SIZE_BYTES = 2**60  # bytes
MAX_COUNT = 10**9
MAX_PATH_CHARACTERS = 4096  # characters
DTYPES = ("float32", "float16", "bfloat16")
MODEL_HELP = (
    "`smollm2` or `starter`, which are built in; a model that was downloaded, also into the Hub's cache or by LM "
    "Studio (owner/name, or its name alone); or the folder of a prepared model or of a checkpoint in MLX's form, which "
    "runs as it is"
)


class Commands(Protocol):
    """The commands of a parser, or the actions of a command, to which more are added."""

    def add_parser(self, name: str, *, help: str | None = ..., **kwargs: Any) -> argparse.ArgumentParser: ...


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Print one line and end with status 2."""
        self.exit(2, one_line(f"{self.prog}: {message}. `{self.prog} --help` says more.") + "\n")


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add how a model is loaded."""
    defaults = Settings()
    parser.add_argument(
        "--window", type=positive, default=defaults.window, metavar="K",
        help="tokens for which a neuron stays in memory (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--memory-budget", type=size, metavar="6GB",
        help="a ceiling on what the model adds to memory; by default, room for all weights where memory allows it, "
        "else for half of the FFN weights",
    )  # fmt: skip
    parser.add_argument(
        "--selection", choices=SELECTIONS, default=defaults.selection,
        help="how a token's neurons are found: predicted, by their exact activations, or all of them, read anew for "
        "each token (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--drafts", choices=DRAFTS, default=defaults.drafts,
        help="what is guessed ahead, of which one pass verifies several tokens where that is faster: what followed the "
        "same words before, or nothing (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--draft-model", type=model, default=defaults.draft_model, metavar="auto|none|MODEL",
        help="a small model that guesses ahead as well: one on this disk with the same tokens, as far as the memory "
        "budget has room for it, none, or the one that is named; `flashbulb info` says which (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--small-context", action="store_true",
        help="keep what the model remembers of the conversation in 8 bits, where its attention can: room for a longer "
        "one, at a small loss, which `flashbulb eval --context-loss` measures",
    )  # fmt: skip


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the form that programs read."""
    parser.add_argument("--json", action="store_true", help="print one JSON object, and nothing else")


def settings_of(args: argparse.Namespace) -> Settings:
    """The settings that a model is loaded with, as the arguments say."""
    names = ("window", "memory_budget", "selection", "drafts", "draft_model", "small_context")
    return Settings(**{name: getattr(args, name) for name in names})


# -------------------------------------------------------------------------------------------------- types
def text(said: str) -> str:
    """A text. Raises ArgumentTypeError for bytes that are no UTF-8."""
    try:
        said.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("that is no UTF-8 text") from None
    return said


def path(said: str) -> Path:
    """A path, as a person gives it."""
    if len(said) > MAX_PATH_CHARACTERS:
        raise argparse.ArgumentTypeError(f"{shown(said)} is too long for a path")
    return given_path(text(said))


def folder(said: str) -> Path:
    """A folder that is there."""
    found = path(said)
    if not found.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {shown(said)}")
    return found


def model(said: str) -> str:
    """A model's name, or a path."""
    return text(said) if len(said) <= MAX_PATH_CHARACTERS else str(path(said))


def size(said: str) -> int:
    """Bytes, as 6GB or 512 MiB."""
    match = re.fullmatch(r"(\d{1,20}(?:\.\d{0,9})?|\.\d{1,9})\s*([KMG]I?)?B?", said.strip().upper(), re.ASCII)
    if match is None or (found := int(float(match[1]) * UNITS[match[2] or ""])) > MAX_SIZE_BYTES:
        raise argparse.ArgumentTypeError(f"{shown(said)} is no size; write it as 6GB or 512MB")
    return found


def positive(said: str) -> int:
    """A count of tokens or of other things."""
    return int(_number(said, int, lambda value: 1 <= value <= MAX_COUNT, f"a whole number from 1 to {MAX_COUNT:,}"))


def option(name: str) -> Callable[[str], int | float]:
    """The type of a number of `GenerationOptions`, within its range."""
    kind, least, most = OPTION_RANGES[name]
    words = f"{'a whole number' if kind is int else 'a number'} from {least:,} to {most:,}"

    def read(said: str) -> int | float:
        value: int | float = _number(said, kind, lambda value: least <= value <= most, words)
        return value

    return read


def _number(said: str, kind: type, accepted: Callable[[float], bool], description: str) -> Any:
    try:
        value = kind(said) if said.isascii() and len(said) <= 40 else None
    except ValueError:
        value = None
    if value is None or not math.isfinite(value) or not accepted(value):
        raise argparse.ArgumentTypeError(f"{shown(said)} is not {description}")
    return value


def standard_input() -> str:
    """All that is sent on standard input. Raises PromptError where nobody sends anything, or what is no UTF-8."""
    if sys.stdin is None or sys.stdin.isatty():
        raise PromptError("Give a prompt: with --prompt, or on standard input.")
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise PromptError("What came on standard input is no UTF-8 text.") from None
