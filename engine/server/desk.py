"""The desk: where requests of every protocol are read, checked, and handed on."""

import asyncio
import re
from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from engine.server.answering import Answering
from engine.server.counting import Tokenizers
from engine.server.exchange import Answer, Asked, Exchange, Reply
from engine.server.framing import JSON_TYPE, Payload
from engine.server.models import ServedModel, find
from engine.server.programs import program_of
from engine.server.refusals import BAD, GONE, TIMEOUT, TOO_LARGE, RefusedError, refusal_of

MAX_BODY_BYTES = 32_000_000
MAX_BODY_S = 30.0  # for a body to arrive
HALF = re.compile(rb"\\u[dD][89a-fA-F]")  # of a character that JSON writes as two
ESCAPE = re.compile(  # of JSON; a half without its other half is the first group
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
HALF_SIGN = rb"\ufffd"
Struct = TypeVar("Struct", bound=msgspec.Struct)


@dataclass(frozen=True)
class Desk:
    """The requests of all protocols pass here."""

    answering: Answering
    tokenizers: Tokenizers = field(default_factory=Tokenizers)

    async def answer(
        self,
        http: Request,
        body: type[Struct],
        asked: Callable[[Struct, ServedModel], Asked],
        reply: Callable[[Struct, ServedModel], Reply],
    ) -> Response:
        """The response to a request of an answer. body: its type. Raises RefusedError, BusyError, FlashbulbError."""
        given = await read(http, body)
        model = await found(getattr(given, "model", ""))
        question = asked(given, model)
        exchange = Exchange(self.answering, question, program_of(http.headers))
        return Answer(exchange, reply(given, model), question.streamed)


async def found(name: str) -> ServedModel:
    """The model of a name. Raises RefusedError."""
    if not name:
        raise RefusedError(BAD, "Name a model.", param="model")
    return await asyncio.to_thread(find, name)


async def read(http: Request, body: type[Struct]) -> Struct:
    """The body of a request. Raises RefusedError for one that is too large, too slow, or something else."""
    try:
        async with asyncio.timeout(MAX_BODY_S):
            content = await _content(http)
    except TimeoutError:
        raise RefusedError(TIMEOUT, f"The body did not arrive within {MAX_BODY_S:.0f} seconds.") from None
    except ClientDisconnect:
        raise RefusedError(GONE, "The client left.") from None
    return decoded(content, body)


def decoded(content: bytes, body: type[Struct]) -> Struct:
    """A body of JSON. Raises RefusedError, with the place of what is wrong."""
    try:
        return msgspec.json.decode(_mended(content), type=body)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at ")
        param = place.rpartition("$")[2].strip("`.") or None
        kind = "a key of " if place.startswith("`key`") else ""
        raise RefusedError(BAD, f"{said} in {kind}{param or 'the body'}.", param=param) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RefusedError(BAD, "The body is no JSON.") from None


def _mended(content: bytes) -> bytes:
    """JSON as it is meant: without a mark at its beginning, and with another sign for each half of a character, which
    programs send that cut texts anywhere."""
    content = content.removeprefix(BOM_UTF8)
    if not HALF.search(content):
        return content
    return ESCAPE.sub(lambda found: HALF_SIGN if found[1] else found[0], content)


async def _content(http: Request) -> bytes:
    _check_size(int(http.headers.get("content-length", 0)))
    content = bytearray()
    async for part in http.stream():
        content += part
        _check_size(len(content))
    return bytes(content)


def _check_size(size: int) -> None:
    if size > MAX_BODY_BYTES:
        raise RefusedError(TOO_LARGE, f"The body has more than {MAX_BODY_BYTES:,} bytes.")


# ----------------------------------------------------------------------------------------------------- routes
Handler = Callable[[Request], Awaitable[Response]]


def json_response(payload: Payload, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response of one object."""
    return Response(msgspec.json.encode(payload), status, dict(headers or {}), JSON_TYPE)


def route(path: str, method: str, handler: Handler, form: Callable[[RefusedError], Payload]) -> Route:
    """A route whose errors are said in its protocol's form."""

    async def endpoint(http: Request) -> Response:
        try:
            return await handler(http)
        except Exception as error:  # a mistake of ours as well: whoever asked is told
            refused = refusal_of(error)
            return json_response(form(refused), refused.status, refused.headers)

    return Route(path, endpoint, methods=[method])
