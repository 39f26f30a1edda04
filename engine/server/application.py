"""The application: every protocol's addresses, behind the guard."""

import logging
import time

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.server import anthropic, chat_completions, completions, ollama, openai, responses
from engine.server.access import Access, Guard, form_of
from engine.server.answering import Answering
from engine.server.desk import Desk, json_response
from engine.server.programs import Programs, program_of
from engine.server.refusals import BUSY, RefusedError
from engine.server.turns import USUAL_WAIT_S

log = logging.getLogger(__name__)
PROTOCOLS = (chat_completions, completions, responses, anthropic, ollama)


def application(answering: Answering, access: Access, programs: Programs) -> ASGIApp:
    """The server's application. programs: told of each request."""
    desk = Desk(answering)
    routes = [*openai.routes(), *(route for protocol in PROTOCOLS for route in protocol.routes(desk))]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _not_served})
    return _Counted(Guard(app, access), programs)


async def one_too_many(scope: Scope, receive: Receive, send: Send) -> None:
    """The application of a connection beside which there are as many as may be."""
    refused = RefusedError(BUSY, "Too many connections are open. Try again later.", "busy", retry_after=USUAL_WAIT_S)
    headers = refused.headers | {"connection": "close"}
    await json_response(form_of(scope["path"], refused), refused.status, headers)(scope, receive, send)


class _Counted:
    """Counts requests by program, and logs each in a line that has nothing of what was asked."""

    def __init__(self, app: ASGIApp, programs: Programs):
        self._app, self._programs = app, programs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        program, began, status = program_of(Headers(scope=scope)), time.monotonic(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        self._programs.began(program)
        try:
            await self._app(scope, receive, noting)
        finally:
            self._programs.ended(program)
            seconds = time.monotonic() - began
            log.info("%s asked %s %s: %d, %.1f s", program, scope["method"], scope["path"][:60], status, seconds)


async def _not_served(http: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = f"{http.method} {http.url.path[:100]} is not served here."
    return json_response(form_of(http.url.path, RefusedError(error.status_code, words)), error.status_code)
