"""The one place where Qt meets the engine.

The engine lives on a thread of its own from its first import to its last release, because MLX's streams belong to
threads. Requests go there as a queue of calls. What it has to say comes back as one queued signal, so that every public
signal below is emitted on the GUI's thread. Tokens are not signals: they pile up in a buffer that a timer empties.
"""

import gc
import logging
import queue
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from app.host.recent_tokens import RecentTokens
from app.widgets.language import spoken, tr
from engine.errors import CancelledError, FlashbulbError
from engine.system.awake import awake

DRAIN_MS = 60
PATIENCE_S = 5.0  # for what has to be stored before an answer begins
log = logging.getLogger(__name__)


class State(Enum):
    """What the engine is doing, as far as the window needs to know."""

    EMPTY = auto()
    LOADING = auto()
    READY = auto()
    ANSWERING = auto()
    STOPPING = auto()
    FAILED = auto()
    CLOSED = auto()


@dataclass(frozen=True)
class ModelInfo:
    """What the window shows of a loaded model. Sizes in bytes; `planned` by the budget's items.

    gave_back: whether the neuron pool shrank since loading, for a system short of memory.
    loss: the share by which perplexity is higher than with exact selection; None where it was not measured. outlook:
    the engine's, on what other settings would bring. drive_folder: on the drive that the model is read from.
    longer_window: one in tokens that would be worth it, and the bytes that the budget lacks for it.
    """

    name: str
    model_bytes: int
    context: int
    selection: str
    memory_budget: int | None
    planned: dict[str, int]
    footprint_bytes: int
    window: int = 0
    flash_bytes: int = 0
    smallest_budget: int = 0
    reader_threads: int | None = None
    threshold_shift: float = 0.0
    loss: float | None = None
    gave_back: bool = False
    outlook: object | None = None
    longer_window: tuple[int, int] | None = None
    drive_folder: Path | None = None

    @property
    def planned_bytes(self) -> int:
        return sum(self.planned.values())

    @property
    def on_flash_bytes(self) -> int:
        """Weights that have no room in memory and stay on flash, in bytes of the model's files; 0 if all have room."""
        return max(0, self.flash_bytes - self.planned.get("neuron_pool", 0))


class EngineHost(QObject):
    """Owns the engine thread. Use it from the GUI's thread only; `engine` is the engine's module, or a stand-in."""

    state_changed = Signal(State)
    loaded = Signal(ModelInfo)
    gave_back = Signal(ModelInfo)  # the loaded model holds less from now on
    load_failed = Signal(str, str)  # message, details
    text_arrived = Signal(str)
    finished = Signal(object)  # engine.statistics.Summary
    answer_failed = Signal(str, str)  # message, details
    proving = Signal(float, str)  # share that is done, selection that runs
    proved = Signal(object)  # engine.inference.proof.Proof
    proof_failed = Signal(str, str)  # message, details; an empty message if it was cancelled
    _reported = Signal(object)

    def __init__(self, engine, parent: QObject | None = None):
        super().__init__(parent)
        self.state = State.EMPTY
        self.model: ModelInfo | None = None
        self.recent_tokens = RecentTokens()
        self._engine = engine
        self._loaded_model = None  # the engine's thread only
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._pieces: deque = deque()
        self._cancelled, self._proof_cancelled = threading.Event(), threading.Event()
        self._last_load: Callable[[], None] | None = None
        self._drain_timer = QTimer(self, interval=DRAIN_MS)
        self._drain_timer.timeout.connect(self._drain)
        self._reported.connect(self._handle, Qt.ConnectionType.QueuedConnection)
        self._thread = threading.Thread(target=self._run, name="engine")
        self._thread.start()

    # ------------------------------------------------------------------ requests, on the GUI's thread
    def load(self, model: str, **settings) -> None:
        """Load a prepared model by path, or "starter"; `settings` are fields of engine.Settings."""
        self._last_load = partial(self._load, model, settings)
        self.reload()

    def reload(self) -> None:
        """Repeat the last load, for instance after it failed."""
        self._proof_cancelled.set()
        self.model = None
        self._set_state(State.LOADING)
        self._calls.put(self._last_load)

    def generate(self, messages: list[dict[str, str]], after: threading.Event | None = None, **options) -> None:
        """Answer `messages`; `options` are fields of engine.GenerationOptions. One answer at a time.

        after: what is waited for first, on the engine's thread and for a few seconds at most.
        """
        if self.state is not State.READY:
            raise RuntimeError(f"cannot answer while {self.state.name.lower()}")
        self._cancelled = threading.Event()
        self._set_state(State.ANSWERING)
        self._drain_timer.start()
        self._calls.put(partial(self._generate, messages, options, self._cancelled, after))

    def prove(self, model: str, **settings) -> None:
        """Show of a prepared model that streaming changes nothing; then put back what was loaded before.

        One model at a time is in memory, so that nothing else can be done meanwhile; loading another one cancels it.
        """
        if self.state not in (State.EMPTY, State.READY, State.FAILED):
            raise RuntimeError(f"nothing can be proved while {self.state.name.lower()}")
        self.model = None
        self._proof_cancelled = threading.Event()
        self._set_state(State.LOADING)
        self._calls.put(partial(self._prove, model, settings, self._proof_cancelled))
        if self._last_load:
            self._calls.put(self._last_load)

    def cancel_proof(self) -> None:
        """End the proof soon."""
        self._proof_cancelled.set()

    def renew_profile(self) -> None:
        """The drive was measured: what is said of the loaded model's speed follows from that now."""
        if self.model is None:
            return
        from engine.flash.profile import DriveProfile, profile_path

        profile = DriveProfile.load(profile_path(self.model.drive_folder))
        self.model = replace(self.model, outlook=replace(self.model.outlook, profile=profile))

    def stop(self) -> None:
        """End the answer after its present token."""
        if self.state is State.ANSWERING:
            self._cancelled.set()
            self._set_state(State.STOPPING)

    def shutdown(self) -> None:
        """Cancel what runs, and wait until the engine has let go of everything. The host is of no use afterwards."""
        if self.state is State.CLOSED:
            return
        self._cancelled.set()
        self._proof_cancelled.set()
        self._calls.put(None)
        self._drain_timer.stop()
        self._thread.join()
        self._set_state(State.CLOSED)

    # ------------------------------------------------------------------ reports, on the GUI's thread
    def _handle(self, report: Callable[[], None]) -> None:
        if self.state is not State.CLOSED:
            report()

    def _set_state(self, state: State) -> None:
        self.state = state
        self.state_changed.emit(state)

    def _drain(self) -> None:
        text = []
        while self._pieces:
            moment, piece = self._pieces.popleft()
            self.recent_tokens.add(moment, piece.statistics, piece.prefill)
            text.append(piece.text)
        if joined := "".join(text):
            self.text_arrived.emit(joined)

    def _on_loaded(self, model: ModelInfo) -> None:
        self.model = model
        self.recent_tokens = RecentTokens()
        self._set_state(State.READY)
        self.loaded.emit(model)

    def _on_gave_back(self, planned: dict[str, int]) -> None:
        self.model = replace(self.model, planned=planned, gave_back=True)
        self.gave_back.emit(self.model)

    def _on_load_failed(self, message: str, details: str) -> None:
        self._set_state(State.FAILED)
        self.load_failed.emit(message, details)

    def _on_finished(self, summary) -> None:
        self._end_answer()
        self.finished.emit(summary)

    def _on_answer_failed(self, message: str, details: str) -> None:
        self._end_answer()
        self.answer_failed.emit(message, details)

    def _on_proved(self, proof) -> None:
        self._end_proof()
        self.proved.emit(proof)

    def _on_proof_failed(self, message: str, details: str) -> None:
        self._end_proof()
        self.proof_failed.emit(message, details)

    def _end_proof(self) -> None:
        if self._last_load is None:
            self._set_state(State.EMPTY)

    def _end_answer(self) -> None:
        self._drain_timer.stop()
        self._drain()
        self._set_state(State.READY)

    # ------------------------------------------------------------------ the engine's thread
    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
        self._unload()
        self._engine.release()

    def _load(self, model: str, settings: dict) -> None:
        try:
            self._unload()
            with _no_looking_for_garbage():
                self._loaded_model = self._engine.load(model, self._engine.Settings(**settings))
            self._report(self._on_loaded, _describe(self._loaded_model))
        except Exception as error:
            self._report(self._on_load_failed, *_explain(error))

    def _generate(
        self, messages: list, options: dict, cancelled: threading.Event, after: threading.Event | None
    ) -> None:
        if after is not None:
            after.wait(PATIENCE_S)
        try:
            generation = self._loaded_model.generate(messages, self._engine.GenerationOptions(**options), cancelled)
            with awake("Writing an answer"):
                budget = self._loaded_model.budget
                for piece in generation:
                    self._pieces.append((time.monotonic(), piece))
                    if self._loaded_model.budget is not budget:
                        budget = self._loaded_model.budget
                        self._report(self._on_gave_back, dict(budget.items))
            self._report(self._on_finished, generation.summary)
        except Exception as error:
            self._report(self._on_answer_failed, *_explain(error))

    def _prove(self, model: str, settings: dict, cancelled: threading.Event) -> None:
        try:
            self._unload()
            told = partial(self._report, self.proving.emit)
            with awake("Proving a model"):
                proof = self._engine.prove(model, self._engine.Settings(**settings), told, cancelled)
            self._report(self._on_proved, proof)
        except CancelledError:
            self._report(self._on_proof_failed, "", "")
        except Exception as error:
            self._report(self._on_proof_failed, *_explain(error))

    def _unload(self) -> None:
        model, self._loaded_model = self._loaded_model, None
        gc.unfreeze()
        if model is not None:
            model.close()

    def _report(self, handler: Callable, *arguments) -> None:
        self._reported.emit(partial(handler, *arguments))


@contextmanager
def _no_looking_for_garbage() -> Iterator[None]:
    """Nor among what is made meanwhile, ever after: among all of MLX and mlx-lm it holds the window up for 50 ms."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def _describe(model) -> ModelInfo:
    from engine.system.footprint import footprint  # here because the engine is imported on its own thread

    return ModelInfo(
        name=model.name,
        model_bytes=model.model_bytes,
        context=model.context,
        selection=model.settings.selection,
        memory_budget=model.settings.memory_budget,
        planned=dict(model.budget.items),
        footprint_bytes=footprint(),
        window=model.settings.window,
        flash_bytes=model.flash_bytes,
        smallest_budget=model.budget.smallest,
        reader_threads=model.settings.reader_threads,
        threshold_shift=model.settings.threshold_shift,
        loss=_loss_with(model.prepared, model.settings),
        outlook=model.outlook,
        longer_window=model.outlook.longer_window(model.settings),
        drive_folder=_drive_folder(model.prepared.folder),
    )


def _drive_folder(model: Path) -> Path:
    """Where files can be written on a model's drive: the models folder, unless the model is on another one."""
    from engine.flash.profile import drive_of
    from engine.system.folders import models_folder

    return models_folder() if drive_of(models_folder()) == drive_of(model) else model.parent


def _loss_with(prepared, settings) -> float | None:
    """What predicting costs with these settings; None where it was not measured with them."""
    if settings.selection != "predictor":
        return 0.0
    measured = prepared.manifest.calibration
    return None if settings.threshold_shift or measured is None else measured.loss


def _explain(error: Exception) -> tuple[str, str]:
    """What to tell the user, and the details: the engine's own errors speak for themselves, others are bugs."""
    if isinstance(error, FlashbulbError):
        log.warning("%s", error)
        return spoken(error), ""
    log.error("a bug: %r", error, exc_info=error)
    bug = tr("Something went wrong inside Flashbulb. The window goes on working; the details may help to report it.")
    return bug, "".join(traceback.format_exception(error))
