"""The engine's thread does one of these at a time."""

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.host.engine_protocol import Piece
from engine.settings import GenerationOptions, Settings

Messages = Sequence[Mapping[str, str]]
LOOK_S = 0.05  # between two looks at whether a wait is cancelled


@dataclass(eq=False)
class Job:
    """What is asked of the engine; it ends early, if it can, once it is `cancelled`."""

    cancelled: threading.Event = field(default_factory=threading.Event, init=False)


@dataclass(eq=False)
class LoadJob(Job):
    """Load a model, by its path or name."""

    model: str
    settings: Settings


@dataclass(eq=False)
class AnswerJob(Job):
    """Answer. after: what is waited for first. pieces: what has come and is not shown yet, with its moment."""

    messages: Messages
    options: GenerationOptions
    after: threading.Event | None = None
    pieces: deque[tuple[float, Piece]] = field(default_factory=deque)

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
