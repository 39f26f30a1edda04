"""`flashbulb chat`: a conversation in the terminal."""

import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.cli.arguments import MODEL_HELP, Commands, add_settings, model, text
from engine.cli.generate import add_sampling, options_of, show
from engine.cli.loading import loaded_model
from engine.cli.output import Aside, fail, note, say
from engine.errors import PromptError
from engine.system.built_in import built_in

if TYPE_CHECKING:
    from engine.inference.model import LoadedModel

PROMPT = "> "
Messages = list[dict[str, str]]


def add_to(commands: Commands) -> None:
    """Add `chat` to the command line."""
    parser = commands.add_parser("chat", help="chat in the terminal")
    parser.add_argument("model", type=model, metavar="MODEL", nargs="?", default=built_in()[0],
                        help=f"{MODEL_HELP} (default %(default)s)")  # fmt: skip
    parser.add_argument("--system", type=text, metavar="TEXT", help="a system prompt, by default none")
    add_sampling(parser)
    add_settings(parser)
    parser.set_defaults(run=run)


def run(args: Namespace) -> None:
    """Answer each line, until there is no more."""

    loaded = loaded_model(args, read_at_once=True)
    messages: Messages = [{"role": "system", "content": args.system}] if args.system else []
    try:
        if sys.stdin.isatty():
            note(f"{loaded.name}. Ctrl-C stops an answer, Ctrl-D ends the chat.")
        for asked in _lines():
            if asked.strip():
                _turn(loaded, messages, asked, args)
    finally:
        loaded.close()


def _lines() -> Iterator[str]:
    """The lines that are typed, or sent on standard input, until there is no more."""
    if not sys.stdin.isatty():
        yield from (line.decode(errors="replace").rstrip("\r\n") for line in sys.stdin.buffer)
        return
    with suppress(ImportError):
        import readline  # noqa: F401 (lines can then be edited)
    with suppress(EOFError):
        while True:
            yield input(PROMPT)
    say()


def _turn(loaded: "LoadedModel", messages: Messages, asked: str, args: Namespace) -> None:
    """Ask, and answer. What cannot be answered is not kept."""
    messages.append({"role": "user", "content": asked})
    said, aside = "", Aside()
    try:
        for piece in loaded.generate(messages, options_of(args)):
            said += piece.text
            show(piece, aside)
    except KeyboardInterrupt:
        pass
    except PromptError as error:
        fail(str(error))
        messages.pop()
        return
    aside.end()
    say()
    messages.append({"role": "assistant", "content": said})
