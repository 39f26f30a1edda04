"""`flashbulb serve`: the engine for other programs, on this computer's own address."""

import logging
import re
import signal
import threading
from argparse import ArgumentTypeError, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.arguments import Commands, add_settings, positive, settings_of, text
from engine.cli.output import INTERRUPTED_STATUS, note, say
from engine.errors import FlashbulbError
from engine.system.threads import left_behind
from engine.text import shown

if TYPE_CHECKING:
    from engine.server.engine_thread import EngineThread
    from engine.server.server import Server

PORT, MAX_PORT = 8081, 65535
REST_MINUTES = 10
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#]+", re.IGNORECASE)


def add_to(commands: Commands) -> None:
    """Add `serve` to the command line."""
    parser = commands.add_parser("serve", help="let other programs on this computer use the engine")
    parser.add_argument("--port", type=port, default=PORT, metavar="N", help="where to listen (default %(default)s)")
    parser.add_argument("--model", type=text, metavar="MODEL",
                        help="load this one at once; without it, each when it is asked for")  # fmt: skip
    parser.add_argument("--context", type=positive, metavar="N",
                        help="tokens that a conversation may have (default 8192, or fewer)")  # fmt: skip
    parser.add_argument("--rest", type=positive, default=REST_MINUTES, metavar="MINUTES",
                        help="without a request, after which the model is unloaded (default %(default)s)")  # fmt: skip
    parser.add_argument("--origin", type=origin, action="append", default=[], metavar="URL",
                        help="let pages of this site ask, as https://example.org; may be given several times, by "
                        "default none may")  # fmt: skip
    parser.add_argument("--require-key", action="store_true",
                        help="answer only who gives the key: that in FLASHBULB_SERVER_KEY, or the one in the keychain, "
                        "where one is made if there is none")  # fmt: skip
    add_settings(parser)
    parser.set_defaults(run=run, waits=True)


def port(said: str) -> int:
    """A port, 0 for any that is free."""
    if not (said.isascii() and said.isdigit() and len(said) <= len(str(MAX_PORT)) and int(said) <= MAX_PORT):
        raise ArgumentTypeError(f"{shown(said)} is no port: a whole number from 0 to {MAX_PORT}")
    return int(said)


def origin(said: str) -> str:
    """The origin of a page, as browsers write it."""
    if not ORIGIN.fullmatch(said.rstrip("/")):
        raise ArgumentTypeError(f"{shown(said)} is no origin; write it as https://example.org")
    return said.rstrip("/").lower()


def run(args: Namespace) -> None:
    """Serve until Ctrl-C."""
    from engine.server.access import Access
    from engine.server.engine_thread import EngineThread
    from engine.server.server import Server

    _say_what_happens()
    settings = replace(settings_of(args), context=args.context, read_at_once=True)
    engine = EngineThread(settings, _folder(args.model), 60.0 * args.rest)
    server = Server(engine, Access(_key(args.require_key), tuple(args.origin)), args.port)
    server.start()
    try:
        engine.start()
        say(f"Programs that speak as OpenAI's do ask {server.address}/v1; as Anthropic's or Ollama's, "
            f"{server.address}. Ctrl-C ends it.")  # fmt: skip
        threading.Event().wait()
    finally:
        _end(server, engine)


def _end(server: "Server", engine: "EngineThread") -> None:
    """Stop both; also where nobody waits for that, or one of them takes too long."""
    try:
        server.stop()
        engine.stop()
    finally:
        left_behind(INTERRUPTED_STATUS)


def _say_what_happens() -> None:
    """A line for each request on standard error; a system that asks us to end is as Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _folder(name: str | None) -> Path | None:
    """The folder of the model to begin with. Raises FlashbulbError."""
    from engine.server.models import find
    from engine.server.refusals import RefusedError

    try:
        return find(name).folder if name else None
    except RefusedError as refused:
        raise FlashbulbError("{reason}", reason=refused.message) from None


def _key(required: bool) -> str | None:
    """The key that programs must give. Raises KeychainError."""
    from engine.server.key import environment_key, kept_key, make_key

    if key := environment_key() or (kept_key() if required else None):
        return key
    if not required:
        return None
    key = make_key()
    note(f"The key, which is in the keychain from now on: {key}")
    return key
