"""Framing: how a stream of JSON objects is cut into events or lines."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

Payload = Mapping[str, Any]
EVENTS_TYPE, LINES_TYPE, JSON_TYPE = "text/event-stream", "application/x-ndjson", "application/json"  # media types


@dataclass(frozen=True)
class Framing:
    """frame: of one object. comments: whether something can be said that is none of them, which keeps clients alive.
    end: bytes after the last one."""

    media_type: str
    frame: Callable[[Payload], bytes]
    comments: bool
    end: bytes = b""

    def comment(self, words: str) -> bytes:
        """Words that clients pass over; nothing where there is no form for them."""
        return f": {words}\n\n".encode() if self.comments else b""


def _event(payload: Payload) -> bytes:
    return b"data: " + msgspec.json.encode(payload) + b"\n\n"


def _named_event(payload: Payload) -> bytes:
    return f"event: {payload['type']}\n".encode() + _event(payload)


def _line(payload: Payload) -> bytes:
    return msgspec.json.encode(payload) + b"\n"


EVENTS = Framing(EVENTS_TYPE, _event, True, b"data: [DONE]\n\n")  # OpenAI's
NAMED_EVENTS = Framing(EVENTS_TYPE, _named_event, True)  # Anthropic's, and of OpenAI's responses
LINES = Framing(LINES_TYPE, _line, False)  # Ollama's
