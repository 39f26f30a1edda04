"""The one place where Qt meets the engine, and the one owner of what the engine is doing.

One job at a time is with the engine's thread. What it has to say comes back as one queued signal, so that every public
signal below is emitted on the GUI's thread; what a job that is over still says is passed over. Tokens are not signals:
they pile up in the job's own buffer, which a timer empties.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from enum import Enum, auto
from itertools import groupby
from operator import attrgetter

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from app.host.deadline import Deadline
from app.host.engine_protocol import REASONING, TOOL_CALL, ChannelEvent, Engine
from app.host.engine_thread import EngineThread
from app.host.events import (
    MEMORY_EVENTS,
    PROGRESS_EVENTS,
    Answered,
    BudgetRefused,
    Event,
    Failed,
    Loaded,
    MemoryChanged,
    Prefilling,
    Preparing,
    Proved,
    Proving,
    Reading,
)
from app.host.jobs import AnswerJob, Job, LoadJob, Messages, ProofJob
from app.host.model_info import ModelInfo
from app.host.recent_tokens import RecentTokens
from app.host.serving import Serving
from engine.inference.kept import KeptContexts
from engine.server.answering import AnswerRequest, InMemory
from engine.settings import GenerationOptions, Settings
from engine.statistics import PromptProgress

DRAIN_MS = 60

__all__ = ["DRAIN_MS", "EngineHost", "ModelInfo", "State"]


class State(Enum):
    """The engine's doing, as far as the window needs to know."""

    EMPTY = auto()
    LOADING = auto()
    READY = auto()
    ANSWERING = auto()
    STOPPING = auto()
    FAILED = auto()
    CLOSED = auto()


class EngineHost(QObject):
    """Owns the engine thread. Use it from the GUI's thread only; `engine` is the engine's module, or a stand-in.

    state: READY and ANSWERING mean that `model` is loaded, and nothing else waits to be.
    """

    state_changed = Signal(State)
    preparing = Signal(float)  # share that is done of what is made of a model when it is first loaded
    reading = Signal(float)  # share that is read of a model that has room in memory
    loaded = Signal(ModelInfo)
    memory_changed = Signal(ModelInfo)  # the loaded model holds other amounts from now on
    budget_refused = Signal(str)  # why the loaded model cannot do with the budget that was chosen
    load_failed = Signal(str, str)  # message, details
    prefilling = Signal(object)  # engine.statistics.PromptProgress, of a prompt that takes long
    text_arrived = Signal(str)  # of the answer itself
    reasoning_arrived = Signal(str, float)  # text, and the seconds since the reasoning began
    call_arrived = Signal(str)  # text of a tool call that is being written
    tools_called = Signal(object)  # calls that are complete, as a list of (name, arguments by name)
    finished = Signal(object)  # engine.statistics.Summary, while `model` is still the one that answered
    answer_failed = Signal(str, str)  # message, details
    answer_refused = Signal(str, str)  # message, why: an answer could not begin, but otherwise asked for it could
    proving = Signal(float, str)  # share that is done, selection that runs
    proved = Signal(object)  # engine.inference.proof.Proof
    proof_failed = Signal(str, str)  # message, details; an empty message if it was cancelled
    _reported = Signal(object, object)  # Job, Event

    def __init__(self, engine: Engine, parent: QObject | None = None):
        super().__init__(parent)
        self.state = State.EMPTY
        self.model: ModelInfo | None = None
        self.recent_tokens = RecentTokens()
        self.prompt_progress: PromptProgress | None = None  # while a prompt takes long
        self._job: Job | None = None  # with the engine's thread
        self._wanted: LoadJob | None = None  # as soon as that is over
        self._last_load: tuple[str, Settings] | None = None
        self._drain_timer = QTimer(self, interval=DRAIN_MS)
        self._drain_timer.timeout.connect(self._drain)
        self._reported.connect(self._handle, Qt.ConnectionType.QueuedConnection)
        self._thread = EngineThread(engine, self._report)
        self.serving = Serving(self, self)

    def keep_in(self, contexts: KeptContexts) -> None:
        """Keep there what models remember of conversations, those that are loaded from now on."""
        self._thread.contexts = contexts

    # ------------------------------------------------------------------ requests
    def load(self, model: str, settings: Settings | None = None) -> None:
        """Load a model by its path or name, in the place of what is loaded or waits to be; an answer is stopped."""
        self._last_load = model, settings or Settings()
        self.reload()

    def reload(self) -> None:
        """Repeat the last load, for instance after it failed."""
        if self._last_load is None or self.state is State.CLOSED:
            return
        self._wanted = LoadJob(*self._last_load)
        if isinstance(self._job, AnswerJob):
            self.stop()
        else:
            self._cancel()
            self._begin_load()

    def generate(
        self, messages: Messages, options: GenerationOptions | None = None, after: threading.Event | None = None
    ) -> None:
        """Answer `messages`. One answer at a time.

        after: what is waited for first, on the engine's thread and for a few seconds at most.
        """
        if self.state is not State.READY:
            raise RuntimeError(f"cannot answer while {self.state.name.lower()}")
        self._begin(AnswerJob(messages, options or GenerationOptions(), after))
        self._drain_timer.start()
        self._set_state(State.ANSWERING)

    def prove(self, model: str, settings: Settings) -> None:
        """Show of a prepared model that streaming changes nothing; then put back what was loaded before.

        One model at a time is in memory, so that nothing else can be done meanwhile; loading another one cancels it.
        """
        if self.state not in (State.EMPTY, State.READY, State.FAILED):
            raise RuntimeError(f"nothing can be proved while {self.state.name.lower()}")
        self.model = None
        self._begin(ProofJob(model, settings))
        self._set_state(State.LOADING)

    def cancel_proof(self) -> None:
        """End the proof soon."""
        if isinstance(self._job, ProofJob):
            self._cancel()

    def renew_profile(self) -> None:
        """The drive was measured: what is said of the loaded model's speed follows from that now."""
        if self.model is None or self.model.drive_folder is None:
            return
        from engine.flash.profile import DriveProfile, profile_path

        profile = DriveProfile.load(profile_path(self.model.drive_folder))
        self.model = replace(self.model, outlook=replace(self.model.outlook, profile=profile))  # type: ignore[type-var]

    def move_budget(self, memory_budget: int | None) -> None:
        """Let the loaded model hold what another budget, in bytes, has room for: from the next token on."""
        if self._last_load is not None:
            model, settings = self._last_load
            self._last_load = model, replace(settings, memory_budget=memory_budget)
            self._wanted = self._wanted and LoadJob(*self._last_load)
        self._thread.move_budget(memory_budget)

    def stop(self) -> None:
        """End the answer after its present token."""
        if self.state is State.ANSWERING:
            self._cancel()
            self._set_state(State.STOPPING)

    def submit(self, request: AnswerRequest) -> None:
        """Answer a program, after what the window wants; from any thread. As `Answering` has it."""
        self._thread.attend(request)

    @property
    def in_memory(self) -> InMemory | None:
        """The model in memory, the window's or a program's; from any thread. As `Answering` has it."""
        return self._thread.in_memory

    def forget(self) -> None:
        """Have the model forget all conversations, as soon as it is not answering."""
        self._thread.forget()

    def forget_conversation(self, conversation: str) -> None:
        """Have the model forget a conversation: after the present token, or its own answer."""
        self._thread.forget_conversation(conversation)

    def finish(self) -> None:
        """Cancel what runs, and let the engine go of everything. Nothing is told any more, and nothing can be asked."""
        if self.state is State.CLOSED:
            return
        self._cancel()
        self._thread.dismiss()
        self.serving.finish()
        self._thread.finish()
        self._drain_timer.stop()
        self._job = self._wanted = None
        self._set_state(State.CLOSED)

    def shutdown(self, deadline: Deadline | None = None) -> bool:
        """Finish, and wait for it. Returns whether it has ended in time; what has not is left behind."""
        self.finish()
        left = deadline or Deadline.of_the_end()
        self.serving.shutdown(left)
        return self._thread.join(left)

    # ------------------------------------------------------------------ one job at a time
    def _begin(self, job: Job) -> None:
        assert self._job is None
        self._job = job
        self._thread.submit(job)

    def _begin_load(self) -> None:
        """Now, or as soon as the present job is over."""
        self.model = None
        if self._job is None and self._wanted is not None:
            job, self._wanted = self._wanted, None
            self._begin(job)
        self._set_state(State.LOADING)

    def _cancel(self) -> None:
        if self._job is not None:
            self._job.cancelled.set()

    def _set_state(self, state: State) -> None:
        self.state = state
        self.state_changed.emit(state)

    # ------------------------------------------------------------------ what comes back
    def _report(self, job: Job | None, event: Event) -> None:
        """On the engine's thread, which may outlive us."""
        with suppress(RuntimeError):
            self._reported.emit(job, event)

    def _handle(self, job: Job | None, event: Event) -> None:
        if isinstance(event, MEMORY_EVENTS):
            self._tell_memory(event)
        if job is not self._job or job is None:
            return
        if isinstance(event, PROGRESS_EVENTS):
            self._tell_progress(event)
            return
        self._job = None
        if isinstance(job, AnswerJob):
            self._end_answer(job, event)
        elif isinstance(job, ProofJob):
            self._end_proof(event)
        else:
            self._end_load(event)

    def _tell_memory(self, event: MemoryChanged | BudgetRefused) -> None:
        if self.model is None:
            return
        if isinstance(event, BudgetRefused):
            self.budget_refused.emit(event.message)
            return
        self.model = replace(self.model, planned=event.planned, context=event.context, settings=event.settings,
                             given_bytes=event.given_bytes, streams=event.streams,
                             taken_bytes=event.taken_bytes)  # fmt: skip
        self.memory_changed.emit(self.model)

    def _tell_progress(self, event: Preparing | Reading | Prefilling | Proving) -> None:
        if isinstance(event, Preparing):
            self.preparing.emit(event.share)
        elif isinstance(event, Reading):
            self.reading.emit(event.share)
        elif isinstance(event, Prefilling):
            self.prompt_progress = event.progress
            self.prefilling.emit(event.progress)
        else:
            self.proving.emit(event.share, event.selection)

    def _end_load(self, event: Event) -> None:
        if self._wanted is not None:  # another one was chosen meanwhile
            self._begin_load()
        elif isinstance(event, Loaded):
            self.model, self.recent_tokens = event.model, RecentTokens()
            self._set_state(State.READY)
            self.loaded.emit(event.model)
        else:
            self._set_state(State.FAILED)
            self._tell_failure(event, self.load_failed.emit)

    def _end_answer(self, job: AnswerJob, event: Event) -> None:
        self._drain_timer.stop()
        self.prompt_progress = None
        self._show(job)
        if isinstance(event, Answered):
            if self.model is not None:
                self.model = replace(self.model, outlook=event.outlook)
            self.finished.emit(event.summary)
        elif isinstance(event, Failed) and event.refused:
            self.answer_refused.emit(event.message, event.refused)
        else:
            self._tell_failure(event, self.answer_failed.emit)
        if self._job is not None:  # whoever was told has asked for something else
            return
        if self._wanted is not None:
            self._begin_load()
        else:
            self._set_state(State.READY)

    def _end_proof(self, event: Event) -> None:
        if isinstance(event, Proved):
            self.proved.emit(event.proof)
        else:
            self._tell_failure(event, self.proof_failed.emit)
        if self._job is not None:  # whoever was told has asked for something else
            return
        if self._wanted is None and self._last_load is not None:
            self._wanted = LoadJob(*self._last_load)
        if self._wanted is not None:
            self._begin_load()
        else:
            self._set_state(State.EMPTY)

    def _tell_failure(self, event: Event, tell: Callable[[str, str], None]) -> None:
        assert isinstance(event, Failed)
        tell(event.message, event.details)

    def _drain(self) -> None:
        if isinstance(self._job, AnswerJob):
            self._show(self._job)

    def _show(self, job: AnswerJob) -> None:
        events: list[ChannelEvent] = []
        if job.pieces:
            self.prompt_progress = None
        while job.pieces:
            moment, piece = job.pieces.popleft()
            self.recent_tokens.add(moment, piece.statistics, piece.prefill)
            job.time_reasoning(moment, piece)
            events += piece.events
        for channel, run in groupby(events, attrgetter("channel")):
            self._tell(job, channel, list(run))

    def _tell(self, job: AnswerJob, channel: str, events: list[ChannelEvent]) -> None:
        """Tell what has come of one channel."""
        if channel == TOOL_CALL:
            self._tell_calls(events)
        elif text := "".join(event.text for event in events):
            if channel == REASONING:
                self.reasoning_arrived.emit(text, job.reasoning_seconds)
            else:
                self.text_arrived.emit(text)

    def _tell_calls(self, events: list[ChannelEvent]) -> None:
        for complete, run in groupby(events, lambda event: bool(event.calls)):
            if complete:
                self.tools_called.emit([(call.name, dict(call.arguments)) for event in run for call in event.calls])
            elif text := "".join(event.text for event in run):
                self.call_arrived.emit(text)
