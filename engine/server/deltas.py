"""Deltas: what a token adds to an answer, as every protocol tells it."""

import secrets
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:  # which takes MLX to import
    from engine.inference.generate import Piece
    from engine.inference.logprobs import Logprobs
    from engine.tokens.channels import ChannelEvent

REASONING, ANSWER, TOOL_CALL = "reasoning", "answer", "tool call"  # channels
ID_CHARACTERS = string.ascii_letters + string.digits
CALL_ID_CHARACTERS = 9  # of a call's id: letters and digits, which every template takes


class Kind(Enum):
    """The kind of a delta."""

    REASONING = auto()
    TEXT = auto()
    CALL = auto()


@dataclass(frozen=True)
class Call:
    """A call of a tool that is complete. arguments: JSON."""

    name: str
    arguments: str
    id: str = field(default_factory=lambda: new_id("", CALL_ID_CHARACTERS))

    @property
    def given(self) -> Mapping[str, Any]:
        """The arguments by name."""
        found: dict[str, Any] = msgspec.json.decode(self.arguments)
        return found


@dataclass(frozen=True)
class Delta:
    """A part of an answer: text, or a call. logprobs: of the text's tokens, where they were asked for."""

    kind: Kind
    text: str = ""
    call: Call | None = None
    logprobs: "tuple[Logprobs, ...]" = ()


def new_id(prefix: str, characters: int = 24) -> str:
    """A name that nothing else has."""
    return prefix + "".join(secrets.choice(ID_CHARACTERS) for _ in range(characters))


class Deltas:
    """An answer's deltas as its pieces come, and all of it so far: `reasoning`, `text`, its `logprobs`, `calls`.

    What was meant to be a call and cannot be understood is text. Blank lines around calls are left out.
    """

    def __init__(self) -> None:
        self.reasoning = self.text = ""
        self.calls: list[Call] = []
        self.logprobs: list[Logprobs] = []
        self._noted: list[Logprobs] = []  # of tokens whose text is still to come
        self._unread = ""  # of a call that is being written
        self._blank = ""  # after a call, until more than that follows

    def of(self, piece: "Piece") -> Iterator[Delta]:
        """The deltas of a piece."""
        if piece.logprobs is not None and piece.channel == ANSWER:
            self._noted.append(piece.logprobs)
        for event in piece.events:
            yield from self._of_event(event)

    def finish(self) -> Iterator[Delta]:
        """The deltas of what was held back, at the end of the answer."""
        yield from self._unread_text()

    def _of_event(self, event: "ChannelEvent") -> Iterator[Delta]:
        if event.channel == TOOL_CALL:
            self._unread += event.text
            if event.calls:
                self._unread = ""
            yield from map(self._called, (_call(call.name, call.arguments) for call in event.calls))
            return
        yield from self._unread_text()
        if event.channel == REASONING:
            self.reasoning += event.text
            yield Delta(Kind.REASONING, event.text)
        else:
            yield from self._said(event.text)

    def _unread_text(self) -> Iterator[Delta]:
        unread, self._unread = self._unread, ""
        yield from self._said(unread)

    def _said(self, text: str) -> Iterator[Delta]:
        if self.calls and not text.strip():
            self._blank += text
            return
        text, self._blank = self._blank + text, ""
        if text:
            noted, self._noted = tuple(self._noted), []
            self.text += text
            self.logprobs += noted
            yield Delta(Kind.TEXT, text, logprobs=noted)

    def _called(self, call: Call) -> Delta:
        self.calls.append(call)
        self._blank = ""
        return Delta(Kind.CALL, call=call)


def _call(name: str, arguments: Mapping[str, Any]) -> Call:
    return Call(name, msgspec.json.encode(dict(arguments)).decode())
