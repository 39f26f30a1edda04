"""The engine's thread: the engine lives on it from its first import to its last release, as MLX's streams belong to
threads. Nothing that is raised there ends it, and every job ends with an event.
"""

import gc
import logging
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from app.host.deadline import Deadline
from app.host.engine_protocol import Engine, Model
from app.host.events import (
    PROMPT,
    TEMPLATE,
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
from app.host.jobs import AnswerJob, Job, LoadJob, ProofJob
from app.host.model_info import ModelInfo
from app.widgets.language import spoken, tr
from engine.errors import BudgetError, CancelledError, FlashbulbError, PromptError, TemplateError
from engine.inference.kept import KeptContexts
from engine.server import answering
from engine.server.answering import AnswerRequest, InMemory
from engine.server.rest import USUAL_REST_S, Rest
from engine.server.turns import Turns
from engine.settings import Settings
from engine.statistics import PromptProgress
from engine.system.awake import awake
from engine.system.footprint import footprint
from engine.system.threads import start_thread

PATIENCE_S = 5.0  # for what has to be stored before an answer begins
LOOK_S = 2.0  # while nothing is asked, between two looks at how short of memory the system is, and at what to keep
Report = Callable[[Job | None, Event], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Budget:
    """A memory budget that was chosen, in bytes; None leaves it to the engine."""

    bytes: int | None


@dataclass(frozen=True)
class Wake:
    """There may be something to do beside jobs."""


@dataclass(frozen=True)
class Forget:
    """Conversations are to leave memory."""


@dataclass(frozen=True)
class End:
    """Nothing is to be done any more."""


class EngineThread:
    """Does jobs in their order, and what other programs ask for when there are none. `report` is called on this thread.

    A program may want another model than the window's: that is loaded again when the window asks next, or when no
    program has asked for the other one in a while. clock: seconds.
    """

    def __init__(self, engine: Engine, report: Report, clock: Callable[[], float] = time.monotonic):
        self._engine, self._report, self._clock = engine, report, clock
        self._model: Model | None = None
        self.contexts: KeptContexts | None = None  # of the next model that is loaded
        self._unkept = False  # True after an answer, until its context is kept
        self._jobs: Turns[Job | AnswerRequest | Wake | Forget | End] = Turns(self._is_ready, answering.is_cancelled)
        self._folder: Path | None = None  # of the model in memory
        self._rest: Rest | None = None  # of a program's model
        self._wanted: LoadJob | None = None  # the model of the window
        self._present: AnswerRequest | None = None
        self._budget: Budget | None = None  # that was chosen, until the model follows it
        self._deleted: deque[str] = deque()  # conversations that are to leave memory
        self._held: object = None  # the plan that was last told of
        self._thread = start_thread("engine", self._run)

    def is_alive(self) -> bool:
        """True if it has not ended yet."""
        return self._thread.is_alive()

    def submit(self, job: Job) -> None:
        """Do this when everything before it is done."""
        if isinstance(job, LoadJob):
            self._budget = None  # the job has one
        self._jobs.put(job)

    def move_budget(self, memory_budget: int | None) -> None:
        """Let the model follow another budget, in bytes: after the present token, or now."""
        self._budget = Budget(memory_budget)
        self._jobs.put(Wake())

    def forget(self) -> None:
        """Let the model forget all conversations, after what was submitted."""
        self._jobs.put(Forget())

    def forget_conversation(self, conversation: str) -> None:
        """Let the model forget a conversation: after the present token, or its own answer."""
        self._deleted.append(conversation)
        self._jobs.put(Wake())

    def attend(self, request: AnswerRequest) -> None:
        """Answer a program, when nothing of the window's waits and it is its turn. Raises BusyError."""
        answering.turn_away(self._jobs.put(request, request.program))

    @property
    def in_memory(self) -> InMemory | None:
        """The model in memory, for any thread; the window's own stays there."""
        model, folder, rest = self._model, self._folder, self._rest
        return answering.in_memory(folder, model, rest) if model is not None and folder is not None else None

    def dismiss(self) -> None:
        """Cancel what programs have asked for."""
        for request in (*self._jobs.of_programs(), self._present):
            if isinstance(request, AnswerRequest):
                request.cancelled.set()

    def finish(self) -> None:
        """Release everything after what was submitted, and end."""
        self._jobs.put(End())

    def join(self, deadline: Deadline) -> bool:
        """Wait until it has ended. Returns whether it has; if not, it is left behind."""
        return deadline.join(self._thread)

    def _run(self) -> None:
        while not isinstance(job := self._next(), End):
            if isinstance(job, AnswerRequest):
                self._attend(job)
            elif isinstance(job, Job):
                self._report(job, self._outcome_of(job))
            elif isinstance(job, Forget):
                self._forget()
            elif self._rest is not None and self._rest.is_over:
                self._end_rest()
            else:
                self._forget_deleted()
                self._look_after_memory()
                if self._unkept and not self._jobs.window_waits:
                    self._keep_contexts()
        answering.turn_away(self._jobs.drain())
        try:
            self._unload()
            self._engine.release()
        except BaseException as error:  # there is nobody left to tell
            log.error("closing: %r", error, exc_info=error)

    def _next(self) -> "Job | AnswerRequest | Wake | Forget | End":
        """The next thing to do; while there is none, and a model is in memory, a look at how short of memory the system
        is, and at whether the model has rested."""
        rest_s = self._rest.left_s if self._rest else None
        look_s = LOOK_S if rest_s is None else min(LOOK_S, rest_s)
        return self._jobs.take(look_s if self._model else None) or Wake()

    def _is_ready(self, job: "Job | AnswerRequest | Wake | Forget | End") -> bool:
        return isinstance(job, AnswerRequest) and job.folder == self._folder

    def _attend(self, request: AnswerRequest) -> None:
        self._present, self._unkept = request, True
        with awake("Answering a program"):
            answering.attend(request, self._for_program, self._unload_for_program, self._begin_rest)
        self._present = None

    def _begin_rest(self, request: AnswerRequest) -> None:
        if self._rest is not None and self._folder == request.folder:
            self._rest.begin(request.rest_s)

    def _for_program(self, folder: Path, progress: Callable[..., None]) -> Any:
        """The model that a program asks for: the one in memory, or another one in its place."""
        if self._model is None or self._folder != folder:
            settings = self._wanted.settings if self._wanted else Settings(read_at_once=True)
            self._bring(str(folder), settings, progress)
            self._rest = None if self._is_windows else Rest(USUAL_REST_S, self._clock)
        return self._model

    def _unload_for_program(self, folder: Path) -> None:
        """The model that a program wants no more; the window's own stays."""
        if self._folder == folder and self._rest is not None:
            self._end_rest()

    def _end_rest(self) -> None:
        """The window's own model, if there is one, in the place of a program's. Where that fails, whoever asks is
        told."""
        self._unload()
        if self._wanted is None:
            return
        try:
            model = self._bring(self._wanted.model, self._wanted.settings, self._told_to_who_waits)
            self._report(None, MemoryChanged.of(model))
        except BaseException as error:  # also a panic of a library, which is no Exception
            log.warning("the window's model is not back: %r", error)

    def _told_to_who_waits(self, share: float, _stage: str = "") -> None:
        """Progress in bringing the window's own model back, for which nobody waits who wants another one, or none."""
        for job in self._jobs.of_window():
            if isinstance(job, AnswerJob):
                self._report(job, Reading(share))
            elif isinstance(job, Job | End):
                raise CancelledError("Loading was cancelled.")

    def _bring(self, model: str, settings: Settings, progress: Callable[..., None]) -> Model:
        """Bring a model into memory, in the place of another."""
        self._unload()
        with _no_looking_for_garbage():
            loaded = self._model = self._engine.load(model, settings, progress)
        self._folder, self._held = Path(model), loaded.budget
        if self.contexts is not None:
            loaded.keep_in(self.contexts)
        return loaded

    @property
    def _is_windows(self) -> bool:
        return self._wanted is not None and self._folder == Path(self._wanted.model)

    def _windows_model(self, job: AnswerJob) -> Model:
        """The window's own model, loaded again where a program wanted another one meanwhile."""
        if self._model is not None and self._is_windows:
            return self._model
        assert self._wanted is not None

        def told(share: float, _stage: str = "") -> None:
            if job.cancelled.is_set():
                raise CancelledError("Loading was cancelled.")
            self._report(job, Reading(share))

        told(0.0)
        model = self._bring(self._wanted.model, self._wanted.settings, told)
        self._report(None, MemoryChanged.of(model))
        return model

    def _look_after_memory(self) -> None:
        """While nothing is asked: what goes wrong is a bug, and the model is left as it is."""
        try:
            if self._model is not None:
                self._model.keep_within_budget(footprint())
                self._follow(self._model)
        except Exception as error:
            log.error("a bug: %r", error, exc_info=error)

    def _follow(self, model: Model) -> None:
        """Let a model have the budget that was chosen, and tell of what the window's holds, if that is something
        else."""
        wanted, self._budget = self._budget, None
        if wanted is not None and wanted.bytes != model.settings.memory_budget:
            self._set_budget(model, wanted.bytes)
        if model.budget is not self._held:
            self._held = model.budget
            if self._is_windows:
                self._report(None, MemoryChanged.of(model))

    def _set_budget(self, model: Model, memory_budget: int | None) -> None:
        """One budget is for all models: what is loaded from now on has it, too, unless the window's own cannot."""
        try:
            model.set_budget(memory_budget)
        except BudgetError as error:
            if self._is_windows:
                self._report(None, BudgetRefused(spoken(error)))
                return
            log.warning("%s", error)
        if self._wanted is not None:
            self._wanted.settings = replace(self._wanted.settings, memory_budget=memory_budget)

    def _forget(self) -> None:
        """Empty the memory of conversations. An error is a bug, and the model is left as it is."""
        self._unkept = False
        try:
            if self._model is not None:
                self._model.forget()
        except Exception as error:
            log.error("forgetting: %r", error, exc_info=error)

    def _forget_deleted(self, answered: str = "") -> None:
        """Empty the memory of conversations that were deleted, but for the one that is being answered. An error is a
        bug, and the model is left as it is."""
        waiting = [self._deleted.popleft() for _ in range(len(self._deleted))]
        self._deleted.extend(each for each in waiting if each == answered)
        try:
            for conversation in waiting:
                if self._model is not None and conversation != answered:
                    self._model.forget_conversation(conversation)
        except Exception as error:
            log.error("forgetting: %r", error, exc_info=error)

    def _keep_contexts(self) -> None:
        """While nothing is asked: what an answer has changed."""
        self._unkept = False
        try:
            if self._model is not None:
                self._model.keep_contexts(lambda: self._jobs.window_waits)
        except Exception as error:  # nothing is lost but time
            log.error("keeping a context: %r", error, exc_info=error)

    def _outcome_of(self, job: Job) -> Event:
        try:
            return self._do(job)
        except CancelledError:
            return Failed("")
        except BaseException as error:  # also a panic of a library, which is no Exception
            return _explained(error)

    def _do(self, job: Job) -> Event:
        if isinstance(job, LoadJob):
            return self._load(job)
        if isinstance(job, AnswerJob):
            return self._answer(job)
        assert isinstance(job, ProofJob)
        return self._prove(job)

    def _load(self, job: LoadJob) -> Event:
        def told(share: float, stage: Literal["preparing", "reading"] = "preparing") -> None:
            if job.cancelled.is_set():
                raise CancelledError("Loading was cancelled.")
            self._report(job, Preparing(share) if stage == "preparing" else Reading(share))

        self._wanted = job
        return Loaded(ModelInfo.of(self._bring(job.model, job.settings, told)))

    def _answer(self, job: AnswerJob) -> Event:
        job.wait_before(PATIENCE_S)
        model = self._windows_model(job)
        self._unkept = True

        def told(progress: PromptProgress) -> None:
            self._report(job, Prefilling(progress))

        generation = model.generate(job.messages, job.options, job.cancelled, told)
        with awake("Writing an answer"):
            for piece in generation:
                job.pieces.append((time.monotonic(), piece))
                self._forget_deleted(job.options.conversation)
                self._follow(model)
        return Answered(generation.summary, model.outlook)

    def _prove(self, job: ProofJob) -> Event:
        def told(share: float, selection: str) -> None:
            self._report(job, Proving(share, selection))

        self._unload()
        with awake("Proving a model"):
            return Proved(self._engine.prove(job.model, job.settings, told, job.cancelled))

    def _unload(self) -> None:
        model, self._model, self._folder, self._rest = self._model, None, None, None
        gc.unfreeze()
        if model is not None:
            model.close()


@contextmanager
def _no_looking_for_garbage() -> Iterator[None]:
    """Nor among what is made meanwhile, ever after: among all of MLX and mlx-lm it holds the window up for 50 ms."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def _explained(error: BaseException) -> Failed:
    """The words for the user, and the details: the engine's own errors speak for themselves, others are bugs."""
    if isinstance(error, FlashbulbError):
        log.warning("%s", error)
        return Failed(spoken(error), refused=_refused(error))
    log.error("a bug: %r", error, exc_info=error)
    bug = tr("Something went wrong inside Flashbulb. The window goes on working; the details may help to report it.")
    return Failed(bug, "".join(traceback.format_exception(error)))


def _refused(error: FlashbulbError) -> str:
    if isinstance(error, TemplateError):
        return TEMPLATE
    return PROMPT if isinstance(error, PromptError) else ""
