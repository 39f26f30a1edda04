"""The engine's thread does one of these at a time."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.host.engine_protocol import REASONING, Piece
from engine.settings import GenerationOptions, Settings

Messages = Sequence[dict[str, Any]]
LOOK_S = 0.05  # between two looks at whether a wait is cancelled


@dataclass(eq=False)
class Job:
    """A request to the engine; it ends early, if it can, once it is `cancelled`."""

    cancelled: threading.Event = field(default_factory=threading.Event, init=False)


@dataclass(eq=False)
class LoadJob(Job):
    """Load a model, by its path or name."""

    model: str
    settings: Settings


@dataclass(eq=False)
class AnswerJob(Job):
    """Answer. after: what is waited for first. pieces: what has come and is not shown yet, with its moment.

    reasoning_seconds: from its first token to its last, or to the first that follows, so far.
    """

    messages: Messages
    options: GenerationOptions
    after: threading.Event | None = None
    pieces: deque[tuple[float, Piece]] = field(default_factory=deque)
    reasoning_seconds: float = 0.0
    _reasoning_began: float | None = None
    _reasoning_ended: bool = False

    def time_reasoning(self, moment: float, piece: Piece) -> None:
        """Take a piece's moment, in seconds of one clock, if it belongs to the reasoning or ends it."""
        channels = {event.channel for event in piece.events}
        if self._reasoning_began is None and REASONING in channels:
            self._reasoning_began = moment
        if self._reasoning_began is not None and not self._reasoning_ended and channels:
            self.reasoning_seconds = moment - self._reasoning_began
            self._reasoning_ended = channels != {REASONING}

    def wait_before(self, patience_s: float) -> None:
        """Wait for `after`, as long as that makes sense."""
        end = time.monotonic() + patience_s
        while self.after and not (self.after.wait(LOOK_S) or self.cancelled.is_set() or time.monotonic() > end):
            pass


@dataclass(eq=False)
class ProofJob(Job):
    """Prove a model; whatever is loaded goes for it."""

    model: str
    settings: Settings
