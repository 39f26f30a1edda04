"""Exchanges: a request on its way to the engine and back, and the HTTP response that it becomes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.server.answering import (
    Answered,
    Answering,
    AnswerRequest,
    Began,
    Event,
    Failed,
    Loading,
    Prefilling,
    Prompt,
    Written,
)
from engine.server.deltas import Delta, Deltas
from engine.server.framing import JSON_TYPE, Framing, Payload
from engine.server.models import ServedModel
from engine.server.refusals import RefusedError, refusal_of
from engine.settings import GenerationOptions
from engine.statistics import Summary

SILENCE_S = 5.0  # until a client that gets a stream hears that it is not forgotten
SILENT_WORDS = "waiting"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """The request of a program, as the engine takes it. prompt: None only loads the model. streamed: told as it is
    written. rest_s: as in AnswerRequest."""

    model: ServedModel
    prompt: Prompt | None
    options: GenerationOptions
    streamed: bool
    rest_s: float | None = None


@dataclass(frozen=True)
class Ended:
    """An answer that is over: all that it said, and what it took."""

    said: Deltas
    summary: Summary
    receipt: Mapping[str, Any]


class Reply(Protocol):
    """An answer in the form of an API: as JSON objects while it is written, or as one when it is whole. One that is
    told in pieces begins, adds deltas, and ends."""

    framing: Framing

    def begin(self) -> Iterable[Payload]:
        """The objects before the first delta."""

    def add(self, delta: Delta) -> Iterable[Payload]:
        """The objects that tell a delta."""

    def end(self, ended: Ended) -> Iterable[Payload]:
        """The objects after the last delta; the last one has the receipt."""

    def whole(self, ended: Ended) -> Payload:
        """The one object of an answer that was not streamed."""

    def refusal(self, refused: RefusedError) -> Payload:
        """The object of an error."""


class Exchange:
    """A request that is submitted, and its events. Used on the server's thread. Raises BusyError."""

    def __init__(self, answering: Answering, asked: Asked, program: str):
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        folder, prompt = asked.model.folder, asked.prompt
        self._request = AnswerRequest(folder, prompt, asked.options, program, self._told, asked.rest_s)
        answering.submit(self._request)

    async def next(self) -> Event:
        """The next event. Raises RefusedError where there will be no answer."""
        event = await self._events.get()
        if isinstance(event, Failed):
            raise refusal_of(event.error)
        return event

    def cancel(self) -> None:
        """End it within a layer. Harmless when it is over."""
        self._request.cancelled.set()

    def _told(self, event: Event) -> None:
        """On the engine's thread, which may outlive the loop."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)


class Answer(Response):
    """The HTTP response of an exchange, which is cancelled when its client leaves."""

    def __init__(self, exchange: Exchange, reply: Reply, streamed: bool):
        super().__init__()
        self._exchange, self._reply, self._streamed = exchange, reply, streamed
        self._said = Deltas()
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As Starlette calls it."""
        del scope
        gone = asyncio.create_task(_until_gone(receive))
        answered = asyncio.create_task(self._answer(send))
        try:
            await asyncio.wait({gone, answered}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._exchange.cancel()
            gone.cancel()
            if not answered.done():
                answered.cancel()
        with suppress(asyncio.CancelledError, OSError):
            await answered

    async def _answer(self, send: Send) -> None:
        try:
            await (self._stream(send) if self._streamed else self._send_whole(send))
        except OSError:
            pass  # nobody listens any more
        except Exception as error:  # a mistake of ours as well: whoever asked is told
            await self._refuse(send, refusal_of(error))

    async def _refuse(self, send: Send, refused: RefusedError) -> None:
        body = self._reply.refusal(refused)
        if self._begun:
            await _send_body(send, self._reply.framing.frame(body), more=False)
        else:
            await _send_json(send, body, refused.status, refused.headers)

    async def _send_whole(self, send: Send) -> None:
        while not isinstance(event := await self._exchange.next(), Answered):
            if isinstance(event, Written):
                list(self._said.of(event.piece))
        list(self._said.finish())
        await _send_json(send, self._reply.whole(Ended(self._said, event.summary, event.receipt)))

    async def _stream(self, send: Send) -> None:
        """Nothing is sent before it is known that there is an answer, or that it takes long."""
        async for content in self._contents():
            if not self._begun:
                self._begun = True
                await _start(send, 200, {"content-type": self._reply.framing.media_type, "cache-control": "no-cache"})
            await _send_body(send, content, more=True)
        await _send_body(send, self._reply.framing.end, more=False)

    async def _contents(self) -> AsyncIterator[bytes]:
        framing, words = self._reply.framing, SILENT_WORDS
        waited: asyncio.Task[Event] | None = None
        try:
            while True:
                waited = waited or asyncio.create_task(self._exchange.next())
                await asyncio.wait({waited}, timeout=SILENCE_S)
                if not waited.done():
                    if comment := framing.comment(words):
                        yield comment
                    continue
                event, waited = waited.result(), None
                words = _progress(event) or words
                for payload in self._payloads(event):
                    yield framing.frame(payload)
                if isinstance(event, Answered):
                    return
        finally:
            if waited is not None:
                waited.cancel()

    def _payloads(self, event: Event) -> Iterable[Payload]:
        reply = self._reply
        match event:
            case Began():
                yield from reply.begin()
            case Written(piece):
                for delta in self._said.of(piece):
                    yield from reply.add(delta)
            case Answered(summary, receipt):
                for delta in self._said.finish():
                    yield from reply.add(delta)
                yield from reply.end(Ended(self._said, summary, receipt))


def _progress(event: Event) -> str:
    """The words of how far a request is; none where an event says nothing of it."""
    match event:
        case Loading(share, stage):
            return f"{stage} {100 * share:.0f} %"
        case Prefilling(progress):
            return f"prefill {progress.tokens} of {progress.total} tokens, {progress.seconds_left:.0f} s left"
    return ""


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _send_body(send: Send, content: bytes, more: bool) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": more})


async def _send_json(send: Send, body: Payload, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
    content = msgspec.json.encode(body)
    length = {"content-type": JSON_TYPE, "content-length": str(len(content))}
    await _start(send, status, length | dict(headers or {}))
    await _send_body(send, content, more=False)
