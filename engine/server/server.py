"""The server: it listens on this computer's own addresses, on a thread of its own."""

import asyncio
import errno
import logging
import socket
import threading
from contextlib import suppress

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from engine.errors import FlashbulbError
from engine.server.access import Access
from engine.server.answering import Answering
from engine.server.application import application, one_too_many
from engine.server.programs import Program, Programs
from engine.system.threads import start_thread

USUAL_PORT = 8081
IPV4, IPV6 = "127.0.0.1", "::1"
MAX_HEADER_BYTES = 32_000
MAX_CONNECTIONS = 200
IDLE_S = 30  # until a connection that nothing is asked on is closed
MAX_UNREAD_S = 60  # until a client that does not read what it is sent is hung up on
STOPPING_S = 1.0
SOUGHT_S = 0.5  # between two looks whether a client that sends no more is still there
GOING_ON = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
log = logging.getLogger(__name__)


class ServerError(FlashbulbError):
    """The server cannot listen."""


class Server:
    """Serves an engine to other programs until it is stopped. Any thread may use it."""

    def __init__(self, answering: Answering, access: Access, port: int = USUAL_PORT):
        """port: 0 for any that is free."""
        self._programs = Programs()
        self._app = application(answering, access, self._programs)
        self._wanted_port = port
        self._thread: threading.Thread | None = None
        self._server: uvicorn.Server | None = None
        self.port = 0

    @property
    def address(self) -> str:
        """The address that programs are given. OpenAI's clients want it with `/v1`."""
        return f"http://{IPV4}:{self.port}"

    @property
    def connected(self) -> list[Program]:
        """The programs that are connected now."""
        return self._programs.connected()

    def start(self) -> None:
        """Listen from now on. Raises ServerError where another program has the port."""
        sockets = _sockets(self._wanted_port)
        self.port = sockets[0].getsockname()[1]
        self._server = server = _Server(_config(self._app))
        self._thread = start_thread("server", lambda: asyncio.run(_serve(server, sockets)))

    def stop(self, seconds: float = STOPPING_S) -> bool:
        """Stop listening, and cancel what is under way. Returns whether it has ended in so many seconds. Harmless when
        repeated."""
        if self._server is None or self._thread is None:
            return True
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(seconds)
        return not self._thread.is_alive()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        log_level=logging.CRITICAL,  # what goes wrong is logged by us: words of its own could have some of a prompt
        access_log=False,
        server_header=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )


async def _serve(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
    try:
        await server.serve(sockets=sockets)
    finally:
        for each in sockets:
            each.close()


class _Server(uvicorn.Server):
    """A server none of whose connections outlives its loop."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn calls it."""
        await self._accept_no_more()
        await super().shutdown(sockets)
        await self._hang_up()

    async def _accept_no_more(self) -> None:
        """Else a connection that was accepted a moment ago would find its listener closed, and nobody would own it."""
        loop = asyncio.get_running_loop()
        for listening in (each for server in self.servers for each in server.sockets):
            loop.remove_reader(listening)
        await asyncio.sleep(0)  # in which those that were accepted get their transports

    async def _hang_up(self) -> None:
        """Close what uvicorn leaves: connections whose answer is under way, or whose client does not read."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # in which they are closed


class _Protocol(H11Protocol):
    """A connection that is closed where the headers of a request do not come in time, or its client does not read; one
    too many is told so. A client that has said that it sends no more gets its answer all the same, as long as it is
    there."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As asyncio calls it."""
        if len(self.connections) >= MAX_CONNECTIONS:
            self.app = one_too_many
        super().connection_made(transport)
        self._headers: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._sought: asyncio.TimerHandle | None = None  # a client that sends no more
        self._sends_no_more = False
        transport.set_write_buffer_limits(0)  # so that we are told of each byte that is not read
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio calls it."""
        for timer in (self._headers, self._unread, self._sought):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """As uvicorn calls it."""
        super().on_response_complete()
        self._wait_for_headers()
        if self._sends_no_more and self._answers:  # what was asked behind it
            self._seek()
        elif self._sends_no_more:
            self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]
        """As asyncio calls it. True leaves the connection open."""
        self._sends_no_more = True
        if not self._answers or self.cycle.more_body:
            return False
        self._seek()
        return True

    @property
    def _answers(self) -> bool:
        """True while a request is answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _seek(self) -> None:
        """Write what says nothing, again and again until there is something to say: where nobody is left to read it,
        the next writing fails. Clients take any number of such responses before the one that counts."""
        if not self._answers or self.cycle.response_started or self.conn.their_http_version == b"1.0":
            return
        self.transport.write(self.conn.send(GOING_ON) or b"")
        self._sought = self.loop.call_later(SOUGHT_S, self._seek)

    def pause_writing(self) -> None:
        """As asyncio calls it."""
        super().pause_writing()
        self._unread = self.loop.call_later(MAX_UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """As asyncio calls it."""
        if self._unread is not None:
            self._unread.cancel()
        super().resume_writing()

    def _wait_for_headers(self) -> None:
        if self._headers is not None:
            self._headers.cancel()
        self._headers = self.loop.call_later(IDLE_S, self._close_unless_asked)

    def _close_unless_asked(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def _sockets(port: int) -> list[socket.socket]:
    """Sockets that listen on both of this computer's own addresses, where it has both. Raises ServerError."""
    found = [_socket(socket.AF_INET, IPV4, port)]
    with suppress(ServerError, OSError):
        found.append(_socket(socket.AF_INET6, IPV6, found[0].getsockname()[1]))
    return found


def _socket(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address, port))
        listening.listen()
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise ServerError("Another program has port {port}: choose another port.", port=port) from None
        raise ServerError(
            "Nothing can listen on port {port} ({reason}): choose another port.",
            port=port,
            reason=error.strerror or type(error).__name__,
        ) from None
    return listening
