"""The engine thread of `flashbulb serve`: one model at a time in memory, on the one thread that uses MLX."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import CancelledError
from engine.server.answering import AnswerRequest, InMemory, attend, in_memory, is_cancelled, turn_away
from engine.server.rest import USUAL_REST_S, Rest
from engine.server.turns import Turns
from engine.settings import Settings
from engine.system.awake import awake
from engine.system.threads import start_thread

if TYPE_CHECKING:  # which takes MLX to import
    from engine.inference.model import LoadedModel

STOPPING_S = 5.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Loaded:
    """The model in memory."""

    folder: Path
    model: "LoadedModel"
    rest: Rest


class EngineThread:
    """Answers requests in turn: an `Answering`. settings: of every model, so that there is one budget for all.

    first: the folder of a model to load at once. rest_s: seconds without a request after which a model is unloaded,
    unless a request says others.
    """

    def __init__(self, settings: Settings, first: Path | None = None, rest_s: float = USUAL_REST_S):
        self._settings, self._first, self._rest_s = settings, first, rest_s
        self._loaded: _Loaded | None = None
        self._turns: Turns[AnswerRequest | None] = Turns(self._is_ready, is_cancelled)
        self._present: AnswerRequest | None = None
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._thread = start_thread("engine", self._run)

    def submit(self, request: AnswerRequest) -> None:
        """As `Answering` has it."""
        turn_away(self._turns.put(request, request.program))

    @property
    def in_memory(self) -> InMemory | None:
        """As `Answering` has it."""
        loaded = self._loaded
        return in_memory(loaded.folder, loaded.model, loaded.rest) if loaded else None

    def stop(self, seconds: float = STOPPING_S) -> bool:
        """Cancel what is under way, free everything, and end. Returns whether it has ended in so many seconds."""
        self._ending.set()
        if self._present is not None:
            self._present.cancelled.set()
        self._turns.put(None)
        if self._thread is None:
            return True
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        from engine.inference.load import release

        try:
            self._load_first()
            while not self._ending.is_set():
                self._attend_next()
        finally:
            turn_away(self._turns.drain())
            self._unload()
            release()

    def _attend_next(self) -> None:
        request = self._present = self._turns.take(self._loaded.rest.left_s if self._loaded else None)
        if request is None:
            self._unload()
        else:
            with awake("Answering a program"):
                attend(request, self._load, self._unload_this, self._begin_rest)
        self._present = None

    def _is_ready(self, request: AnswerRequest | None) -> bool:
        return request is not None and self._loaded is not None and request.folder == self._loaded.folder

    def _load_first(self) -> None:
        if self._first is not None:
            with suppress(Exception):  # whoever asks for it is told
                self._load(self._first, self._go_on)

    def _go_on(self, *_: object) -> None:
        """Raise CancelledError where all ends."""
        if self._ending.is_set():
            raise CancelledError("The work was cancelled before it was complete.")

    def _load(self, folder: Path, progress: Callable[..., None]) -> "LoadedModel":
        from engine.inference.load import load

        if self._loaded is None or self._loaded.folder != folder:
            self._unload()
            self._loaded = _Loaded(folder, load(folder, self._settings, progress), Rest(self._rest_s))
        return self._loaded.model

    def _begin_rest(self, request: AnswerRequest) -> None:
        if self._loaded is not None and self._loaded.folder == request.folder:
            self._loaded.rest.begin(request.rest_s)

    def _unload_this(self, folder: Path) -> None:
        if self._loaded is not None and self._loaded.folder == folder:
            self._unload()

    def _unload(self) -> None:
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            loaded.model.close()
