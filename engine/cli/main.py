"""The command line: chat, generate, serve, eval, prepare, info, models, bench.

With --json, one JSON object on standard output and nothing else. Errors are one line on standard error; exit status 2
for bad use, 1 for a failure.
"""

import argparse
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from traceback import extract_tb
from typing import Any

from engine.cli import bench, chat, evaluate, generate, info, models, prepare, serve
from engine.cli.arguments import Parser
from engine.cli.output import INTERRUPTED_STATUS, fail, never_stumble
from engine.errors import FlashbulbError, OptionError
from engine.system.awake import awake
from engine.text import shown

COMMANDS = (chat, generate, serve, models, prepare, info, evaluate, bench)  # in the order of the help
HELP = "help"
BAD_USE_STATUS = 2  # exit status


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    never_stumble()
    args = parser().parse_args(asking_for_help(sys.argv[1:] if argv is None else argv))
    try:
        with nullcontext() if "waits" in args else awake("Working"):  # which keeps the system awake while it works
            args.run(args)
    except OptionError as error:
        return _failed(f"--{str(error).replace('_', '-')}", BAD_USE_STATUS)
    except FlashbulbError as error:
        return _failed(str(error))
    except BrokenPipeError:
        # Whoever read our output is gone; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _failed(_of_the_system(error))
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    except MemoryError:
        return _failed("There is not enough memory for that. Choose a smaller model, or give the process more.")
    except Exception as error:  # a mistake of ours, or of a library
        return _failed(_unforeseen(error))
    return 0


def _of_the_system(error: OSError) -> str:
    place = f": {shown(error.filename)}" if error.filename else ""
    try:
        Path.cwd()
    except OSError:
        return "The folder that this command was started in is gone. Go to another one."
    return f"{error.strerror or type(error).__name__}{place}."


def _unforeseen(error: Exception) -> str:
    """A line to report: what went wrong, and the last place of ours that it passed."""
    ours = [frame for frame in extract_tb(error.__traceback__) if "engine" in Path(frame.filename).parts]
    place = f" ({Path(ours[-1].filename).name}, line {ours[-1].lineno})" if ours else ""
    return f"Something went wrong inside Flashbulb: {type(error).__name__}: {error}{place}."


def _failed(message: str, status: int = 1) -> int:
    fail(message)
    return status


class _Listed:
    """The commands, each with its line of help."""

    def __init__(self, whole: argparse.ArgumentParser):
        self._commands = whole.add_subparsers(required=True, metavar="COMMAND")
        self.helps: dict[str, str] = {}

    def add_parser(self, name: str, *, help: str | None = "", **kwargs: Any) -> argparse.ArgumentParser:
        self.helps[name] = does = help or ""
        return self._commands.add_parser(name, help=does, description=f"{does[:1].upper()}{does[1:]}.", **kwargs)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    return _built()[0]


def overview() -> str:
    """The commands, a line each, for people."""
    return "\n".join(f"  {name:<10} {help}" for name, help in _built()[1].items())


def _built() -> tuple[argparse.ArgumentParser, dict[str, str]]:
    whole = Parser(
        prog="flashbulb",
        description="Language models larger than memory, from flash. Without a command, the window opens.",
        epilog="`flashbulb help COMMAND` says more of one.",
    )
    listed = _Listed(whole)
    for command in COMMANDS:
        command.add_to(listed)
    return whole, listed.helps


def asking_for_help(argv: list[str]) -> list[str]:
    """`help` and `help generate` mean `--help` and `generate --help`."""
    return [*argv[1:], "--help"] if argv[:1] == [HELP] else argv
